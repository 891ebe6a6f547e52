# SPDX-License-Identifier: BSD-3-Clause
"""End to end: the real seawall-dataplane and a plain forwarder behind net_memif ports, and a generator in front of them."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import sw_process
from sw_lab import BUILD, program
from sw_net import LabError

PROGRAM = os.path.join(BUILD, "tests/perf/sw-endtoend")


def cpus():
    """(of the generator, of what it tries)"""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise LabError("end to end wants two CPUs")
    return str(allowed[0]), str(allowed[-1])


def over_memif(priority):
    generator_cpu, cpu = cpus()
    directory = tempfile.mkdtemp(prefix="seawall-bench-")
    snapshot = directory + "/policy.snapshot"
    subprocess.run([PROGRAM, "snapshot", snapshot, directory, "--cpu", cpu], check=True)
    with open(directory + "/generator.log", "w") as log:
        generator = subprocess.Popen([PROGRAM, "generate", directory, "--generator-cpu", generator_cpu] + priority, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    started = []
    try:
        listening = [directory + "/%s.sock" % who for who in ("forward", "seawall")]
        sw_process.wait_until(lambda: all(map(os.path.exists, listening)) or generator.poll() is not None, 30)
        forward = sw_process.spawn([PROGRAM, "forward", directory, "--cpu", cpu], directory + "/forward.log")
        started.append(forward)
        dataplane = sw_process.spawn([program("dataplane"), "--snapshot", snapshot, "--runtime-dir", directory + "/run",
                                      "--state-dir", directory + "/state"], directory + "/dataplane.log")
        started.append(dataplane)
        # Whoever is stopped before its ports are connected never connects them.
        sw_process.wait_until(lambda: os.path.exists(directory + "/run/region"), 30)
        time.sleep(1)
        out, _ = generator.communicate("%d %d\n" % (forward["pid"], dataplane["pid"]), timeout=120)
        if generator.returncode:
            raise LabError("sw-endtoend ended:\n" + "".join(
                sw_process.log_tail(directory + "/%s.log" % who) for who in ("generator", "forward", "dataplane")))
        return json.loads(out)
    finally:
        generator.kill()
        for entry in started:
            resume(entry["pid"])
        sw_process.end(started)
        shutil.rmtree(directory, ignore_errors=True)


def resume(pid):
    """Whatever was stopped in the middle of a slice has to run to be able to end."""
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def over_rings(priority):
    generator_cpu, cpu = cpus()
    done = subprocess.run([PROGRAM, "ring", "--generator-cpu", generator_cpu, "--cpu", cpu] + priority, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if done.returncode:
        raise LabError("sw-endtoend ring: %s" % done.stderr[-1500:])
    return json.loads(done.stdout)


def show(title, figures):
    print("%s%42s %12s %12s" % (title, "forwarder", "Seawall", "ratio"))
    forward, seawall = figures["forwarder"], figures["seawall"]
    print("  %-46s %10.2f %12.2f %12.2f   (quartiles %.2f and %.2f)" % (
        "SYNs answered, Mpps", forward["syn_mpps"], seawall["syn_mpps"], figures["syn_ratio"],
        figures["syn_ratio_first_quartile"], figures["syn_ratio_third_quartile"]))
    print("  %-46s %10.2f %12.2f %12.2f   (quartiles %.2f and %.2f)" % (
        "established, Mpps", forward["established_mpps"], seawall["established_mpps"], figures["established_ratio"],
        figures["established_ratio_first_quartile"], figures["established_ratio_third_quartile"]))
    for quantile in ("p50", "p99"):
        key = "latency_us_" + quantile
        print("  %-46s %10.2f %12.2f %+12.2f" % ("latency of established at %.1f Mpps, us, %s" % (
            figures["half_load_mpps"], quantile), forward[key], seawall[key], seawall[key] - forward[key]))


def end_to_end(priority):
    report = {"net_memif": over_memif(priority)}
    show("net_memif", report["net_memif"])
    report["net_ring"] = over_rings(priority)
    show("net_ring ", report["net_ring"])
    return report
