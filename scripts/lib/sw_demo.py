# SPDX-License-Identifier: BSD-3-Clause
"""The phases of scripts/demo: the same legitimate load each time, a flood that differs, and every figure of both."""
import json
import os
import subprocess
import threading
import time

import sw_torrent
from sw_net import INSIDE4, INSIDE6
from sw_services import INFO_HASH, SMTP_PORT, TRACKER_PORT, WEB_PORT

FLOOD_SYN_PER_S = 8000
ATTACKERS = 2000
ATTACKER_RATE = 4  # connections a second, each
ATTACKERS4, ATTACKERS6 = 1600, 400
FIRST_ATTACKER4, FIRST_ATTACKER6 = "10.20.72.1", "fd00:21:0:666::1"
FLOOD_AFTER_S = 2  # the load has been running for so long when the flood begins

# name, mode, target, first source, sources, requests a second. Each source stays far below any limit.
LOAD = (
    ("announces", "announce", "%s:%d" % (INSIDE4, TRACKER_PORT), "10.20.64.1", 160, 40),
    ("announces", "announce", "[%s]:%d" % (INSIDE6, TRACKER_PORT), "fd00:21::1", 40, 10),
    ("web", "http", "%s:%d" % (INSIDE4, WEB_PORT), "10.20.64.1", 160, 15),
    ("web", "http", "[%s]:%d" % (INSIDE6, WEB_PORT), "fd00:21::1", 40, 5),
    ("mail", "smtp", "%s:%d" % (INSIDE4, SMTP_PORT), "10.20.64.1", 160, 8),
    ("mail", "smtp", "[%s]:%d" % (INSIDE6, SMTP_PORT), "fd00:21::1", 40, 2),
)

PHASES = (
    # name, wall, flood, what it says above the figures
    ("quiet", "none", "none", "Quiet: no flood, no wall"),
    ("forged, no wall", "none", "forged", "8,000 forged SYN/s, no wall, a tracker host configured as in 2008"),
    ("quiet, Seawall", "seawall", "none", "Quiet again, behind Seawall"),
    ("forged, Seawall", "seawall", "forged", "The same flood, behind Seawall"),
    ("real, Seawall", "seawall", "real", "2,000 real sources, 4 connections/s each, behind Seawall"),
)

COUNT_SYNS = """
table inet sw_demo {
    chain arriving {
        type filter hook prerouting priority -300;
        tcp dport %d tcp flags & (syn|ack) == syn counter
    }
}
""" % TRACKER_PORT


class Generator:
    """A sw-load or sw-flood: its progress lines as they come, its result at the end."""

    def __init__(self, lab, command):
        self.last, self.result = {}, None
        self.child = subprocess.Popen(lab.within("outside", *command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, env=lab.environment(), start_new_session=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stderr:
            try:
                self.last = json.loads(line)
            except ValueError:
                self.last = {"complaint": line.strip()}

    def finish(self):
        """Waits for the end; the result, as the program printed it."""
        text = self.child.stdout.read()
        self.child.wait()
        self.reader.join()
        if self.child.returncode or not text:
            raise RuntimeError("%s failed: %s" % (" ".join(self.child.args), self.last.get("complaint", "no reason given")))
        self.result = json.loads(text)
        return self.result

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Client:
    """An aria2 with its log."""

    def __init__(self, lab, name, command):
        self.log = "%s/%s.log" % (lab.log_dir, name)
        with open(self.log, "w") as out:
            self.child = subprocess.Popen(lab.within("outside", *command), stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=subprocess.STDOUT, start_new_session=True)

    def announces(self):
        return sw_torrent.announces(self.log)

    def end(self):
        """Lets an announce under way come to its end, then ends it without a further one."""
        deadline = time.monotonic() + 1.2
        while self.child.poll() is None and time.monotonic() < deadline:
            begun, answered = self.announces()
            if begun == answered:
                break
            time.sleep(0.05)
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


def load_commands(seconds):
    for name, mode, target, first, sources, rate in LOAD:
        # Ahead of the others on a crowded machine: it is to time the network, not its own turn on the CPU.
        yield name, ["nice", "-n", "-10", "sw-load", mode, "--target", target, "--sources", "%s+%d" % (first, sources),
                     "--rate", str(rate), "--seconds", str(seconds), "--timeout-ms", "1000", "--progress", "1"]


def flood_commands(kind, seconds):
    if kind == "forged":
        # Three of four towards IPv4, as on a tracker of today.
        targets = ["%s:%d" % (INSIDE4, TRACKER_PORT)] * 3 + ["[%s]:%d" % (INSIDE6, TRACKER_PORT)]
        yield ["sw-flood", "--rate", str(FLOOD_SYN_PER_S), "--seconds", str(seconds), "--progress", "1"] \
            + [word for target in targets for word in ("--target", target)]
    elif kind == "real":
        for first, count, target in ((FIRST_ATTACKER4, ATTACKERS4, "%s:%d" % (INSIDE4, TRACKER_PORT)),
                                     (FIRST_ATTACKER6, ATTACKERS6, "[%s]:%d" % (INSIDE6, TRACKER_PORT))):
            yield ["sw-load", "connect", "--target", target, "--sources", "%s+%d" % (first, count), "--max-open", "18000",
                   "--rate", str(count * ATTACKER_RATE), "--seconds", str(seconds), "--hold-ms", "200", "--close", "rst",
                   "--timeout-ms", "1000", "--progress", "1"]


def is_attacker(address):
    """Whether an address, as text, is one of the 2,000."""
    import ipaddress
    ip = ipaddress.ip_address(address)
    first, count = ((FIRST_ATTACKER4, ATTACKERS4) if ip.version == 4 else (FIRST_ATTACKER6, ATTACKERS6))
    return 0 <= int(ip) - int(ipaddress.ip_address(first)) < count


def quantile(histogram, fraction):
    """Milliseconds from merged [microseconds, count] pairs; None when nothing was answered."""
    total = sum(count for _, count in histogram)
    wanted, seen = max(1, -(-total * fraction // 1)), 0
    for floor_us, count in sorted(histogram):
        seen += count
        if seen >= wanted:
            return round(floor_us / 1000, 3)
    return None


class Phase:
    def __init__(self, lab, torrent, name, wall, flood, seconds):
        self.lab, self.torrent, self.seconds = lab, torrent, seconds
        self.name, self.wall, self.flood = name, wall, flood
        self.load, self.floods, self.clients = [], [], []
        self.report = {}

    # ---- while it runs ----

    def run(self, tell):
        """Runs the phase; `tell(line)` about once a second. Ends whatever it started, however it ends."""
        try:
            self._begin()
            began = time.monotonic()
            flood_begun = leech_begun = False
            second = 0
            while any(generator.child.poll() is None for _, generator in self.load):
                now = time.monotonic() - began
                if not flood_begun and now >= FLOOD_AFTER_S:
                    self.floods = [Generator(self.lab, command)
                                   for command in flood_commands(self.flood, self.seconds - FLOOD_AFTER_S)]
                    flood_begun = True
                if not leech_begun and now >= FLOOD_AFTER_S + 1:
                    self.clients.append(Client(self.lab, self._log_name("leecher"), self.torrent.leech_command()))
                    leech_begun = True
                if now >= second + 1:
                    second = int(now)
                    tell(self._line(second))
                time.sleep(0.05)
            self._collect()
        finally:
            for running in [generator for _, generator in self.load] + self.floods + self.clients:
                running.end()
        return self.report

    def _log_name(self, client):
        return "%s-%s" % (client, self.name.replace(", ", "-").replace(" ", "-").lower())

    def _begin(self):
        self.before = self._box()
        self.host_before = self._host()
        self.clients.append(Client(self.lab, self._log_name("seeder"), self.torrent.seed_command()))
        # Another torrent than the clients': these peers do not exist, and would only be in their way.
        hash_option = ["--info-hash", INFO_HASH]
        self.load = [(name, Generator(self.lab, command + (hash_option if name == "announces" else [])))
                     for name, command in load_commands(self.seconds)]

    def _line(self, second):
        words = ["%3d s" % second]
        for name in ("announces", "web", "mail"):
            rows = [generator.last for each, generator in self.load if each == name]
            words.append("%s %d/%d" % (name, sum(r.get("ok", 0) for r in rows), sum(r.get("sent", 0) for r in rows)))
        sent = sum(generator.last.get("sent", 0) for generator in self.floods)
        words.append("flood {:,}".format(sent))
        if self.wall == "seawall":
            words.append(self._box_line())
        return "  ".join(words)

    def _box_line(self):
        try:
            stats, services = self.lab.get("/stats"), self.lab.get("/services")
        except (OSError, ValueError) as error:
            return "box: no answer (%s)" % error
        now = stats["rates"].get("1s", {})
        armed = [service["name"] for service in services["services"] if service["armed"]]
        return "box: {:,.0f}/s in, {:,.0f} answered, {:,.0f} dropped; armed: {}; unaccounted {}".format(
            now.get("rx", 0), now.get("answered", 0), now.get("dropped_total", 0), ", ".join(armed) or "none",
            stats["accounting"]["unaccounted"])

    # ---- afterwards ----

    def _box(self):
        return self.lab.get("/stats") if self.wall == "seawall" else None

    def _host(self):
        """What the tracker's host has seen so far."""
        kernel = json.loads(self.lab.output("inside", "nstat", "-asj"))["kernel"]
        return {"syns": syns_seen(self.lab), "opened": kernel.get("TcpPassiveOpens", 0),
                "turned_away": kernel.get("TcpExtListenDrops", 0)}

    def _collect(self):
        results = [(name, generator.finish()) for name, generator in self.load]
        floods = [generator.finish() for generator in self.floods]
        for client in self.clients:
            client.end()
        client_begun, client_answered = map(sum, zip(*(client.announces() for client in self.clients)))

        def total(name, key):
            return sum(result[key] for each, result in results if each == name)

        histogram = [pair for name, result in results if name == "announces" for pair in result["histogram_us"]]
        host = self._host()
        self.report = {
            "name": self.name, "wall": self.wall, "flood": self.flood,
            "flood_syn_per_s": round(sum(flood["sent"] for flood in floods) / (self.seconds - FLOOD_AFTER_S)),
            "announces_sent": total("announces", "sent") + client_begun,
            "announces_ok": total("announces", "ok") + client_answered,
            "web_sent": total("web", "sent"), "web_ok": total("web", "ok"),
            "mail_sent": total("mail", "sent"), "mail_ok": total("mail", "ok"),
            "latency_ms": {"p50": quantile(histogram, 0.50), "p99": quantile(histogram, 0.99)},
            "client": {"announces_sent": client_begun, "announces_ok": client_answered,
                       "downloaded": self.torrent.downloaded()},
            "host": {key: host[key] - self.host_before[key] for key in host},
            "flood_connected": sum(flood.get("ok", 0) for flood in floods),
        }
        if self.wall == "seawall":
            self.report["box"] = self._box_report()

    def _box_report(self):
        after, before = self.lab.settled_stats(), self.before
        old, new = before["accounting"], after["accounting"]
        dropped = {reason: count - old["dropped"].get(reason, 0) for reason, count in new["dropped"].items()}
        report = {key: new[key] - old[key] for key in ("rx", "forwarded", "answered", "absorbed")}
        report["dropped"] = {reason: count for reason, count in dropped.items() if count}
        report["unaccounted"] = new["unaccounted"]
        report["passed_unguarded"] = sum(after["wire"][key] - before["wire"][key]
                                         for key in ("passed_stale", "passed_no_dataplane"))
        report.update(self._named())
        return report

    def _named(self):
        """Whom the box names: sources that proved their address and were refused or blocked."""
        offenders = self.lab.get("/sources?by=refused&service=tracker&limit=10000")["offenders"]
        proven = [source["address"] for source in offenders]
        return {"named": len(proven), "named_wrongly": [address for address in proven if not is_attacker(address)],
                "named_examples": proven[:3]}


def count_syns(lab):
    """The counter that says how many SYNs reach the tracker's host, whatever the host then does with them."""
    subprocess.run(lab.within("inside", "nft", "-f", "-"), input=COUNT_SYNS, text=True, check=True)


def syns_seen(lab):
    rules = json.loads(lab.output("inside", "nft", "-j", "list", "table", "inet", "sw_demo"))
    return sum(part["counter"]["packets"] for item in rules["nftables"] if "rule" in item
               for part in item["rule"]["expr"] if "counter" in part)


def accounting(lab):
    """The sums of the box since it started, in the shape of --json."""
    stats = lab.settled_stats()["accounting"]
    return {key: stats[key] for key in ("rx", "forwarded", "answered", "absorbed", "held", "dropped", "unaccounted")}


def torrent_for(directory):
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    return sw_torrent.Torrent(directory, "http://%s:%d/announce" % (INSIDE4, TRACKER_PORT))
