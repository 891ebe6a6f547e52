# SPDX-License-Identifier: BSD-3-Clause
"""nftables' synproxy and Seawall in the lab, by turns, under the same flood with the same legitimate load.

CPU of the box: softirq time of the machine and CPU time of Seawall's processes. The kernel does the work of veth, XDP
and synproxy in softirqs of whichever CPU; part of it belongs to the wires and to the outside host. How much is measured
with a third box that drops each frame as it comes in (nftables, netdev ingress), and taken off both.
"""
import json
import os
import statistics
import subprocess
import tempfile

from sw_lab import Lab, LabError
from sw_net import INSIDE4, call, within

NAME = "swbench"
FLOOD_PER_S, LOAD_PER_S, SECONDS, ROUNDS = 200000, 200, 5, 3
TARGET = INSIDE4 + ":80"
TICK = os.sysconf("SC_CLK_TCK")


def config(directory):
    """Always armed, so that both answer from the first SYN on; the limits are Seawall's defaults."""
    path = os.path.join(directory, "seawall.json")
    with open(path, "w") as file:
        json.dump({"boot": {"links": [{"outside": "out0", "inside": "in0"}]},
                   "services": [{"name": "web", "mode": "always", "targets": [TARGET]}]}, file)
    return path


def softirq_s():
    with open("/proc/stat") as file:
        return int(file.readline().split()[7]) / TICK


def processes_s(lab):
    """CPU time of Seawall's two processes, if they run."""
    total = 0
    for name, entry in lab.state()["processes"].items():
        if name in ("dataplane", "control"):
            with open("/proc/%d/stat" % entry["pid"]) as file:
                total += sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
    return total / TICK


def received(lab):
    """Frames that reached the outside host: what the box answered, and a few of the legitimate load."""
    for line in call(*within(lab.netns("outside"), "cat", "/proc/net/dev")).splitlines():
        if line.strip().startswith("eth0:"):
            return int(line.split(":")[1].split()[1])
    raise LabError("the outside host has no eth0")


def resident_mib(lab):
    total = 0
    for name, entry in lab.state()["processes"].items():
        if name in ("dataplane", "control"):
            with open("/proc/%d/status" % entry["pid"]) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return total / 1024


def conntrack_mib(lab):
    """Entries of the slab cache and the table of buckets, which the kernel sizes by the machine's memory."""
    with open("/proc/slabinfo") as file:
        rows = [line.split() for line in file if line.startswith("nf_conntrack ")]
    entries = sum(int(row[2]) * int(row[3]) for row in rows)
    buckets = int(call(*within(lab.netns("box"), "sysctl", "-n", "net.netfilter.nf_conntrack_buckets")))
    return (entries + buckets * 8) / 2**20


DROP_AT_THE_DOOR = """
table netdev seawall_bench {
    chain ingress {
        type filter hook ingress device "out0" priority 0
        ip protocol tcp drop
    }
}
"""


def hurry(lab, ahead):
    """An appliance has its cores to itself: where the right to it is there, Seawall's workers go ahead of whatever else
    this machine does. Softirqs, which the other box lives in, always do. No real-time priority: a worker that polls would
    leave nothing to those that bring it its frames."""
    if not ahead or "dataplane" not in lab.state()["processes"]:
        return
    tasks = "/proc/%d/task" % lab.state()["processes"]["dataplane"]["pid"]
    for thread in os.listdir(tasks):
        with open("%s/%s/comm" % (tasks, thread)) as file:
            if file.read().startswith("rte-worker"):
                call("renice", "-n", "-20", "-p", thread)


def flood(lab, with_load, ahead):
    """The flood, the load beside it, and what it cost."""
    load = None
    softirq, processes, frames = softirq_s(), processes_s(lab), received(lab)
    attack = subprocess.Popen(lab.within("outside", lab.tool("sw-flood"), "--target", TARGET, "--rate", str(FLOOD_PER_S),
                                         "--seconds", str(SECONDS), "--seed", "7"), stdout=subprocess.PIPE, text=True)
    if with_load:
        load = subprocess.Popen(lab.within("outside", *ahead, lab.tool("sw-load"), "http", "--target", TARGET, "--sources",
                                           "10.20.64.1+1000", "--rate", str(LOAD_PER_S), "--seconds", str(SECONDS)),
                                stdout=subprocess.PIPE, text=True)
    sent = json.loads(attack.communicate()[0])
    cost = {"flood": sent, "softirq_s": softirq_s() - softirq, "processes_s": processes_s(lab) - processes,
            "answered": received(lab) - frames}
    if load:
        cost["load"] = json.loads(load.communicate()[0])
    return cost


def one(wall, settings, ahead):
    """A box of this kind, a flood, and the end of the box. `wall`: nothing, nftables or seawall."""
    lab = Lab(NAME)
    try:
        lab.up("none" if wall == "nothing" else wall, config=settings if wall == "seawall" else None)
        if wall == "nothing":
            call(*within(lab.netns("box"), "nft", "-f", "-"), stdin=DROP_AT_THE_DOOR)
        hurry(lab, ahead)
        cost = flood(lab, wall != "nothing", ahead)
        cost["memory_mib"] = {"nothing": lambda _: 0, "nftables": conntrack_mib, "seawall": resident_mib}[wall](lab)
        return cost
    finally:
        lab.down()


def judge(cost, wires_s_per_packet):
    """Figures of one round. `wires_s_per_packet`: what a frame costs that the box drops at once."""
    sent, seconds, load = cost["flood"]["sent"], cost["flood"]["seconds"], cost["load"]
    cpu = cost["softirq_s"] + cost["processes_s"]
    own = max(cpu - sent * wires_s_per_packet, 1e-3)
    return {"flood_per_s": sent / seconds, "answered_per_s": cost["answered"] / seconds, "answered_per_cpu_s": cost["answered"] / cpu,
            "answered_per_own_cpu_s": cost["answered"] / own, "cpu_us_per_syn": cpu / sent * 1e6, "load_ok_per_s": load["ok"] / seconds,
            "load_failed": load["sent"] - load["ok"], "p50_ms": load["latency_ms"]["p50"] if load["latency_ms"] else None,
            "p99_ms": load["latency_ms"]["p99"] if load["latency_ms"] else None, "memory_mib": cost["memory_mib"]}


def median(rounds):
    return {key: statistics.median(each[key] for each in rounds) if all(each[key] is not None for each in rounds) else None
            for key in rounds[0]}


ROWS = (
    ("flood, SYNs a second", "flood_per_s", "%.0f"), ("answered a second", "answered_per_s", "%.0f"),
    ("answered per CPU second, wires included", "answered_per_cpu_s", "%.0f"),
    ("answered per CPU second of the box alone", "answered_per_own_cpu_s", "%.0f"),
    ("legitimate requests answered a second", "load_ok_per_s", "%.1f"), ("legitimate requests failed", "load_failed", "%.0f"),
    ("their latency, p50 ms", "p50_ms", "%.2f"), ("their latency, p99 ms", "p99_ms", "%.2f"),
    ("memory, MiB", "memory_mib", "%.1f"),
)


def peers(ahead):
    rounds = {"nftables": [], "seawall": []}
    with tempfile.TemporaryDirectory() as directory:
        settings = config(directory)
        for number in range(ROUNDS):
            nothing = one("nothing", settings, ahead)
            wires = nothing["softirq_s"] / nothing["flood"]["sent"]
            for wall in rounds:
                rounds[wall].append(judge(one(wall, settings, ahead), wires))
            print("round %d of %d done; wires: %.2f us a frame" % (number + 1, ROUNDS, wires * 1e6), flush=True)
    report = {wall: median(each) for wall, each in rounds.items()}
    print("%-44s %14s %14s" % ("medians of %d rounds of %d s" % (ROUNDS, SECONDS), "nftables", "Seawall"))
    for title, key, form in ROWS:
        print("%-44s %14s %14s" % ((title,) + tuple("-" if report[wall][key] is None else form % report[wall][key]
                                                  for wall in ("nftables", "seawall"))))
    return report
