# SPDX-License-Identifier: BSD-3-Clause
"""Is the bare loop that ratios are taken to slow itself? Another one, compiled from its source, and ours, by turns."""
import os
import re
import shlex
import statistics
import subprocess
import tempfile

import sw_bench
from sw_net import LabError, call

TURNS = 21  # of a second or so: what other guests do to the shared cache lasts for several
PATIENCE_S = 120  # for one turn, which takes seconds
LINE = re.compile(r"^2\^(\d+) sources: ([\d.]+) TSC cycles a packet", re.M)


def compile_source(source, directory):
    """For this processor: such a loop may use vectors without asking whether there are any."""
    if not os.path.isfile(source):
        raise LabError("--yardstick %s: no such file; it wants the C source of a bare loop" % source)
    program = os.path.join(directory, "yardstick")
    flags = shlex.split(call("pkg-config", "--cflags", "--libs", "libdpdk")) + ["-march=native", "-DALLOW_EXPERIMENTAL_API"]
    done = subprocess.run(["gcc", "-O3", source, "-o", program] + flags, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise LabError("--yardstick %s does not compile; it has to be one C file that needs nothing but DPDK:\n%s" % (
            source, done.stdout[-2000:].strip()))
    return program


def figures_in(text):
    """{bits: cycles} of lines such as `2^20 sources: 53.1 TSC cycles a packet`; what follows on a line is of no account."""
    return {int(bits): float(cycles) for bits, cycles in LINE.findall(text)}


def constant(text, name, otherwise):
    """A plain number, of an enum, a variable or a macro."""
    if not re.search(r"\b%s\b" % name, text):
        return otherwise
    found = re.search(r"(?:#define\s+%s\s+|\b%s\s*=\s*)(\d+)[uUlL]*\s*(?:[,;}]|//|$)" % (name, name), text, re.M)
    if not found:
        raise LabError("--yardstick: %s is there but is no plain number (as in `enum { %s = 100 };`)" % (name, name))
    return int(found.group(1))


def options_like(source):
    """Ours over as many frames, for as long: how full a table of 2^24 is depends on how many packets there were. What
    has no constants of these names is held against our own defaults."""
    with open(source, errors="replace") as file:
        text = file.read()
    frames = constant(text, "FRAMES", sw_bench.FRAMES)
    if frames % 32 or not 0 < frames <= sw_bench.FRAMES:
        raise LabError("--yardstick %s: FRAMES is %d; ours can have a multiple of 32 up to %d" % (source, frames, sw_bench.FRAMES))
    return ("--frames", frames, "--passes", constant(text, "ROUNDS", 100), "--runs",
            max(constant(text, "RUNS", 15), 9), "--warm", 0)


def run_ours(options):
    """({bits: cycles}, whether on huge pages)"""
    report = sw_bench.run("--bare", *options, show=False)
    return {each["source_bits"]: each["cycles_per_packet"] for each in report["bare"]}, report["huge_pages"]


def run_other(program, source, huge):
    """On the same CPU and the same kind of memory as ours (tests/perf/bench_eal.c)."""
    command = sw_bench.ahead_of_others() + [program, "-l", sw_bench.last_cpu(), "--iova-mode=va", "--no-pci", "--no-telemetry",
                                            "--no-shconf", "--file-prefix", "sw-yardstick"]
    command += ["--in-memory"] if huge else ["--no-huge", "-m", "900"]
    try:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise LabError("--yardstick %s: did not end within %d s" % (source, PATIENCE_S)) from None
    figures = figures_in(done.stdout)
    if done.returncode or not figures:
        raise LabError("--yardstick %s: %s; it has to take DPDK's arguments and print lines such as\n"
                       "  2^20 sources: 53.1 TSC cycles a packet\nIt printed:\n%s" % (
                           source, "ended with status %d" % done.returncode if done.returncode else "printed no figures",
                           done.stdout[-1500:].strip()))
    return figures


def summary(turns):
    """`turns`: of each, (theirs, ours), both {bits: cycles}. A row for each number of sources that all of them have."""
    def middle(who, values):
        return {who + "_cycles": statistics.median(values), who + "_range": [min(values), max(values)]}

    shared = set.intersection(*(set(figures) for turn in turns for figures in turn))
    rows = []
    for bits in sorted(shared):
        theirs, ours = ([turn[who][bits] for turn in turns] for who in (0, 1))
        rows.append({"source_bits": bits, **middle("yardstick", theirs), **middle("bare", ours),
                     "ratio": statistics.median(our / their for our, their in zip(ours, theirs))})
    return rows


def show(rows, huge):
    print("%-8s %28s %28s %7s" % ("sources", "yardstick, cycles (range)", "bare, cycles (range)", "ratio"))
    for row in rows:
        print("2^%-6d %28s %28s %7.2f" % ((row["source_bits"],) + tuple(
            "%.1f (%.1f to %.1f)" % (row[who + "_cycles"], *row[who + "_range"]) for who in ("yardstick", "bare")) + (row["ratio"],)))
    print("alone, medians of %d turns; ratio: bare to yardstick, turn by turn; memory on %s pages" % (
        TURNS, "huge" if huge else "ordinary"))


def check(args):
    """Before anything takes minutes: would it run?"""
    with tempfile.TemporaryDirectory(prefix="seawall-bench-") as directory:
        compile_source(args.yardstick, directory)
    options_like(args.yardstick)


def yardstick(args):
    with tempfile.TemporaryDirectory(prefix="seawall-bench-") as directory:
        program = compile_source(args.yardstick, directory)
        options, turns = options_like(args.yardstick), []
        for turn in range(TURNS):
            # Neither always comes first; in the first turn ours, which says what memory there is.
            theirs = run_other(program, args.yardstick, huge) if turn % 2 else None
            ours, huge = run_ours(options)
            turns.append((theirs or run_other(program, args.yardstick, huge), ours))
    rows = summary(turns)
    if not rows:
        raise LabError("--yardstick %s: none of its figures is for 2^16, 2^20 or 2^24 sources, as ours are" % args.yardstick)
    show(rows, huge)
    print("ours with " + " ".join(map(str, options)))
    left_out = {16, 20, 24} - {row["source_bits"] for row in rows}
    if left_out:
        print("not among the figures of both: " + ", ".join("2^%d" % bits for bits in sorted(left_out)))
    return {"rows": rows, "huge_pages": huge, "ours": " ".join(map(str, options))}
