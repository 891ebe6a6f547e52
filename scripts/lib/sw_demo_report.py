# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/demo shows at the end: a table for a person, the criteria, and the JSON for a script."""
import json
import os


def number(value):
    return "-" if value is None else "{:,}".format(value)


def share(ok, sent):
    percent = 100.0 * ok / sent if sent else 0.0
    # 99.96 % is not "100.0 %"
    shown = "100" if ok == sent and sent else "%.1f" % min(percent, 99.9)
    return "{:,} of {:,} ({} %)".format(ok, sent, shown)


def milliseconds(value):
    return "-" if value is None else "%.2f ms" % value


def rows(phases):
    """(title, one cell a phase)"""
    def cells(make):
        return [make(phase) for phase in phases]

    def boxed(make):
        return cells(lambda phase: make(phase["box"]) if "box" in phase else "-")

    yield "flood, SYN/s", cells(lambda p: number(p["flood_syn_per_s"]) if p["flood_syn_per_s"] else "none")
    yield "announces answered", cells(lambda p: share(p["announces_ok"], p["announces_sent"]))
    yield "  half of them within", cells(lambda p: milliseconds(p["latency_ms"]["p50"]))
    yield "  99 % within", cells(lambda p: milliseconds(p["latency_ms"]["p99"]))
    yield "BitTorrent download", cells(lambda p: "done" if p["client"]["downloaded"] else "FAILED")
    yield "web requests answered", cells(lambda p: share(p["web_ok"], p["web_sent"]))
    yield "mail sessions answered", cells(lambda p: share(p["mail_ok"], p["mail_sent"]))
    yield "SYNs at the tracker host", cells(lambda p: number(p["host"]["syns"]))
    yield "  it turned away", cells(lambda p: number(p["host"]["turned_away"]))
    yield "Seawall received", boxed(lambda b: number(b["rx"]))
    yield "  answered with cookies", boxed(lambda b: number(b["answered"]))
    yield "  forwarded", boxed(lambda b: number(b["forwarded"]))
    yield "  dropped", boxed(lambda b: number(sum(b["dropped"].values())))
    reasons = sorted({reason for phase in phases for reason in phase.get("box", {}).get("dropped", {})})
    for reason in reasons:
        yield "    " + reason, boxed(lambda b, reason=reason: number(b["dropped"].get(reason, 0)))
    if any(phase.get("box", {}).get("passed_unguarded") for phase in phases):
        # The worker got no CPU for half a second, and XDP let frames pass as the policy says.
        yield "  passed unguarded", boxed(lambda b: number(b["passed_unguarded"]))
    yield "  unaccounted", boxed(lambda b: number(b["unaccounted"]))
    yield "  proven sources named", boxed(lambda b: number(b["named"]))
    yield "    of these no attackers", boxed(lambda b: number(len(b["named_wrongly"])))


def table(phases):
    lines = [["", *(phase["name"] for phase in phases)]] + [[title, *cells] for title, cells in rows(phases)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for at, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        text.append("  ".join(cells).rstrip())
        if at == 0:
            text.append("  ".join("-" * width for width in widths))
    return "\n".join(text)


def criteria(phases):
    """(holds, sentence, whether it is about time) for everything that the demo is to show."""
    by_name = {phase["name"]: phase for phase in phases}
    quiet, bare = by_name["quiet"], by_name["forged, no wall"]
    yield 2 * bare["announces_ok"] <= bare["announces_sent"], "without a wall at least half of the announces fail", False
    for phase in (by_name["forged, Seawall"], by_name["real, Seawall"]):
        for what in ("announces", "web", "mail"):
            ok, sent = phase[what + "_ok"], phase[what + "_sent"]
            yield sent > 0 and ok >= 0.999 * sent, "%s: at least 99.9 %% of %s answered: %s" % (
                phase["name"], what, share(ok, sent)), False
        p50, limit = phase["latency_ms"]["p50"], 2 * (quiet["latency_ms"]["p50"] or 0)
        yield p50 is not None and p50 <= limit, "%s: half of the announces within %s, twice that of quiet without a wall is %s" % (
            phase["name"], milliseconds(p50), milliseconds(limit)), True
        yield phase["box"]["unaccounted"] == 0, "%s: every packet accounted for" % phase["name"], False
    real = by_name["real, Seawall"]["box"]
    yield real["named"] > 0 and not real["named_wrongly"], \
        "real, Seawall: {:,} proven sources named, {} of them no attackers".format(
            real["named"], len(real["named_wrongly"]) or "none"), False


def cost_of_the_box(phases):
    """What the detour through a process costs when nobody attacks: a sentence."""
    by_name = {phase["name"]: phase for phase in phases}
    return "half of the quiet announces take %s behind Seawall, %s without it" % tuple(
        milliseconds(by_name[name]["latency_ms"]["p50"]) for name in ("quiet, Seawall", "quiet"))


def write_json(path, phases, accounting):
    """Phases with the keys of the published shape first; what else was measured behind them."""
    with open(path + ".new", "w") as file:
        json.dump({"phases": phases, "accounting": accounting}, file, indent=2)
        file.write("\n")
    os.replace(path + ".new", path)
