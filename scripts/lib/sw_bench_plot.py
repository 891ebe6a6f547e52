# SPDX-License-Identifier: BSD-3-Clause
"""Plots of the benchmark, by gnuplot."""
import subprocess

from sw_net import LabError

HEAD = """
set terminal svg size 900,640 font 'sans-serif,12' background 'white'
set output '%s'
set multiplot layout 2,2
set logscale x
set format x '%%.0s%%c'
set yrange [0:*]
set ylabel 'TSC cycles a packet'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key top left reverse Left noenhanced
set offsets 0, 0, graph 0.3, 0
"""

PANEL = """
set title '%s'
set xlabel '%s'
plot '-' using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb '#1f5fa8' title 'Seawall (%s)'%s
"""


def rows(points, key):
    return "".join("%d %f\n" % (point["count"], point[key]) for point in points) + "e\n"


def panel(name, unit, axis):
    points = axis["points"]
    with_bare = name == "sources" and all(point["bare_cycles"] for point in points)
    text = PANEL % ("Growth with " + name, unit, axis["case"], ", '-' using 1:2 with linespoints pt 6 "
                    "ps 0.6 lw 2 lc rgb '#999999' title 'bare loop'" if with_bare else "")
    return text + rows(points, "cycles_per_packet") + (rows(points, "bare_cycles") if with_bare else "")


def growth(report, path):
    script = HEAD % path
    for name, unit in (("sources", "sources"), ("flows", "connections"), ("services", "services"),
                       ("prefixes", "deny prefixes")):
        script += panel(name, unit, report[name])
    done = subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, stderr=subprocess.PIPE)
    if done.returncode:
        raise LabError("gnuplot: %s" % done.stderr)
