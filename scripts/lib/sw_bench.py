# SPDX-License-Identifier: BSD-3-Clause
"""The parts of scripts/bench: each prints its table and returns what goes into the JSON."""
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile

import sw_bench_peers
import sw_bench_plot
import sw_bench_wire
from sw_lab import BUILD
from sw_net import LabError

PROGRAM = os.path.join(BUILD, "tests/perf/sw-bench")
FRAMES = 8192  # BENCH_FRAMES of tests/perf/bench.h
CASES = ("syn_v4_64k", "syn_v4_1m", "syn_v4_16m", "syn_v4_new", "syn_v4_options", "syn_v6_1m", "ack_forged", "ack_valid", "established_v4",
         "established_v6", "denied", "limited", "untouched", "mix")


def ahead_of_others():
    """What keeps neighbours off the core during a run, as far as there is the right to it. Not a real-time priority: under
    one, sleeping between the runs kept the CPU busy on some virtual machines."""
    command = ["nice", "-n", "-20"]
    return command if os.geteuid() == 0 else []


def real_time():
    command = ["chrt", "--fifo", "1"]
    return command if subprocess.run(command + ["true"], stderr=subprocess.DEVNULL).returncode == 0 else []


HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
HUGE_PAGES_MIB = 768  # a box, a forwarder and a generator at a time


def count_huge_pages():
    with open(HUGE_PAGES) as file:
        return int(file.read())


@contextlib.contextmanager
def huge_pages():
    """Lays packet buffers on huge pages, as a box in production has them, and gives the pages back. Where they are not to
    be had (no root, memory in pieces), buffers lie on ordinary ones, and cases() says so."""
    if not os.access(HUGE_PAGES, os.W_OK):
        yield
        return
    before = count_huge_pages()
    try:
        with open(HUGE_PAGES, "w") as file:
            file.write(str(before + HUGE_PAGES_MIB // 2))
        yield
    finally:
        with open(HUGE_PAGES, "w") as file:
            file.write(str(before))


def last_cpu():
    """The kernel prefers the lowest CPUs for its own work."""
    return str(max(os.sched_getaffinity(0)))


def run(*args, pinned=True, show=True):
    """sw-bench with its table shown as it comes; the parsed JSON."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "figures.json")
        pin = ["taskset", "-c", last_cpu()] if pinned else []
        done = subprocess.run(ahead_of_others() + pin + [PROGRAM, "--json", path] + [str(each) for each in args],
                              stdout=None if show else subprocess.DEVNULL)
        if done.returncode:
            raise LabError("sw-bench %s ended with status %d" % (" ".join(map(str, args)), done.returncode))
        with open(path) as file:
            return json.load(file)


def cases(args):
    # `cases` is the shape that others read: name, cycles_per_packet, mpps_per_core, bare_cycles, ratio, spread.
    figures = run("--runs", args.runs, *(["--case", args.case] if args.case else []))
    print("packet buffers on %s pages" % ("huge" if figures["huge_pages"] else "ordinary"))
    return figures["cases"]


def workers(args):
    return run("--workers", "--runs", args.runs, pinned=False)["workers"]


def memory(_):
    return run("--memory", pinned=False)["memory"]


# ---- instruction sets ----

ISAS = ("scalar", "avx2", "avx512")
ISA_CASES = ("syn_v4_1m", "syn_v4_new", "syn_v6_1m", "ack_forged", "ack_valid", "established_v4", "denied", "limited", "mix")


def isas(args):
    """The same cases with the loops for each set that this processor has: {case: {set: cycles}}."""
    report = {}
    print("%-16s" % "case" + "".join("%12s" % isa for isa in ISAS))
    for case in ISA_CASES:
        report[case] = {}
        for isa in ISAS:
            figures = run("--isa", isa, "--case", case, "--runs", max(9, args.runs // 2), "--passes", 32, show=False)
            if figures["isa"] == isa:
                report[case][isa] = figures["cases"][0]["cycles_per_packet"]
        print("%-16s" % case + "".join("%12s" % ("%.1f" % report[case][isa] if isa in report[case] else "-") for isa in ISAS),
              flush=True)
    return report


# ---- growth ----

AXES = (
    # name, unit, option, values, case, further options
    ("sources", "sources", "--bits", (16, 18, 20, 22, 24), "syn_v4_1m", ()),
    ("flows", "connections", "--bits", (16, 18, 20, 22), "established_v4", ()),
    ("services", "services", "--services", (1, 2, 4, 10, 100, 1000, 4000), "syn_v4_1m", ("--spread",)),
    ("prefixes", "deny prefixes", "--prefixes", (1000, 10000, 100000, 800000), "syn_v4_1m", ()),
)


GROWTH_ROUNDS = 3
MEASURED = ("cycles_per_packet", "bare_cycles", "spread", "table_bytes", "policy_bytes")


def growth_point(axis, value, runs):
    _, _, option, _, case, further = axis
    return run("--case", case, option, value, "--runs", max(9, runs // 2), "--passes", 20, *further, show=False)["cases"][0]


def median(values):
    """None where any is: there is no bare loop for this processor."""
    values = list(values)
    return None if None in values else statistics.median(values)


def times(cycles, first):
    return cycles / first if cycles and first else None


def growth_points(axis, runs):
    """By turns, and each value against the first one of its round: what neighbours do to one they mostly do to all."""
    _, _, option, values, _, _ = axis
    rounds = [[growth_point(axis, value, runs) for value in values] for _ in range(GROWTH_ROUNDS)]
    points = []
    for i, value in enumerate(values):
        point = {key: median(points[i][key] for points in rounds) for key in MEASURED}
        point["count"] = 1 << value if option == "--bits" else value
        for growth_key, key in (("growth", "cycles_per_packet"), ("bare_growth", "bare_cycles")):
            point[growth_key] = median(times(points[i][key], points[0][key]) for points in rounds)
        points.append(point)
    return points


def growth(args):
    report = {}
    for axis in AXES:
        name, unit, _, _, case, _ = axis
        report[name] = {"case": case, "points": growth_points(axis, args.runs)}
        print("%-12s %12s %10s %10s %10s %10s %8s" % (name, unit, "cycles", "growth", "bare", "its growth", "spread"))
        for point in report[name]["points"]:
            bare = ("%.1f" % point["bare_cycles"], "%.2fx" % point["bare_growth"]) if point["bare_cycles"] else ("-", "-")
            print("%-12s %12d %10.1f %9.2fx %10s %10s %7.1f%%" % (
                case, point["count"], point["cycles_per_packet"], point["growth"], *bare, point["spread"] * 100))
        print(flush=True)
    last = report["sources"]["points"][-1]
    report["sources_growth"], report["sources_growth_bare"] = last["growth"], last["bare_growth"]
    print("2^24 sources cost %.2f times what 2^16 cost (bare: %s); goal 1.45" % (
        last["growth"], "%.2f" % last["bare_growth"] if last["bare_growth"] else "-"))
    if args.plot:
        sw_bench_plot.growth(report, args.plot)
    return report


# ---- instructions ----

STAGES = ("parse", "classify", "limit", "challenge", "lookup", "source", "translate", "verify", "transmit")


def instructions_of(case):
    """(all, by stage), a packet. valgrind knows no AVX-512: the AVX2 cookies and the plain limits are counted. The tables are
    as full as in the cases, but smaller, so that filling them does not take for ever."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "callgrind.out")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, "--collect-atstart=no",
             "--toggle-collect=bench_counted_pass", PROGRAM, "--case", case, "--count", "--bits", "18"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise LabError("valgrind: %s" % done.stdout[-2000:])
        text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], stdout=subprocess.PIPE,
                              text=True, check=True).stdout

    def inclusive(name):
        found = re.search(r"^ *([\d,]+) .*[:?]%s( |$)" % name, text, re.M)
        return int(found.group(1).replace(",", "")) / FRAMES if found else 0

    stages = {stage: inclusive("sw_stage_" + stage) for stage in STAGES}
    # What stages do ahead of their turn (dataplane/pipeline.c); sw_sources_ask() calls sw_limits_ask().
    stages["lookup"] += inclusive("sw_lookup_ask") + inclusive("sw_lookup_guess")
    stages["source"] += inclusive("sw_sources_ask") - inclusive("sw_limits_ask") + inclusive("sw_sources_of_syns")
    stages["limit"] += inclusive("sw_limits_ask") + inclusive("sw_limits_place")
    return inclusive("bench_counted_pass"), stages


def instructions(args):
    report = {}
    print("instructions a packet, without AVX-512, counted by callgrind; of these in each stage")
    print("%-16s %7s " % ("case", "all") + " ".join("%9s" % stage for stage in STAGES))
    for case in CASES[1:]:
        if case == "syn_v4_16m" or (args.case and not case.startswith(args.case)):
            continue
        total, stages = instructions_of(case)
        report[case] = {"instructions_per_packet": total, "stages": stages}
        print("%-16s %7.0f " % (case, total) + " ".join("%9.0f" % stages[stage] for stage in STAGES), flush=True)
    return report


# ---- end to end ----

def end_to_end(_):
    return sw_bench_wire.end_to_end(["--real-time"] if real_time() else [])


def peers(_):
    return sw_bench_peers.peers(ahead_of_others())
