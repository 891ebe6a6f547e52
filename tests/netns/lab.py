# SPDX-License-Identifier: BSD-3-Clause
"""The lab as the cases see it: two hosts, the box between them, what it counts, and servers and clients to use it.

scripts/lib makes the network and starts the box, as scripts/lab does; here are the policies that the cases want.
"""

import contextlib
import errno
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile

from nets import Failure, Namespace, check, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))

import sw_lab  # noqa: E402 (the path comes first)
import sw_process  # noqa: E402

NAME = os.environ.get("SEAWALL_LAB", "swt")

SERVER = {4: "10.20.0.10", 6: "fd00:20::10"}
CLIENT = {4: "10.20.0.2", 6: "fd00:20::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

PORTS_PER_CASE = 8
CASES = 500
FIRST_PORT = 22000
NO_LIMITS = {"source": {"syn_per_s": 0, "conn_per_s": 0, "concurrent": 0}, "prefixes": []}


def services(**more):
    """A service for every case: the box learns per service what a server offers, and cases change just that."""
    result = []
    for number in range(CASES):
        first = FIRST_PORT + number * PORTS_PER_CASE
        ports = f"{first}-{first + PORTS_PER_CASE - 1}"
        result.append({"name": f"case-{number}", "targets": [f"{SERVER[4]}:{ports}", f"[{SERVER[6]}]:{ports}"], **more})
    for name, port in (("web", 80), ("mail", 25), ("tracker", 20000)):
        result.append({"name": name, "targets": [f"{SERVER[4]}:{port}", f"[{SERVER[6]}]:{port}"], **more})
    return result


class Lab:
    def __init__(self, wall):
        self.wall = wall
        self.net = sw_lab.Lab(NAME)
        self.outside, self.box, self.inside = (Namespace(f"{NAME}-{n}") for n in ("outside", "box", "inside"))
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{NAME}-netns."))
        self.directory.chmod(0o755)  # nginx serves from here
        self.runtime, self.state = pathlib.Path(self.net.runtime_dir), pathlib.Path(self.net.state_dir)
        self.policy = None
        self.outside_if = self.inside_if = self.outside_mac = self.inside_mac = None
        self.queues = None
        self._raw = itertools.count(1)
        self.is_up = False

    # ---- up and down

    def start(self, policy):
        """A network when there is none, and a new box with this policy; returns when it answers."""
        config = self.write_policy(policy)
        self.policy = policy
        queues = policy["boot"].get("workers", 1)
        if self.is_up and queues != self.queues:
            self.net.down()
            self.is_up = False
            config = self.write_policy(policy)
        if self.is_up and self.wall == "seawall":
            self.net.stop()
            shutil.rmtree(self.state, ignore_errors=True)
            self.net.start(str(config))
        elif not self.is_up:
            self.net.up(self.wall, queues=queues, config=str(config))
            self.is_up, self.queues = True, queues
            self.outside_if, self.outside_mac = self._interface(self.outside, CLIENT[4])
            self.inside_if, self.inside_mac = self._interface(self.inside, SERVER[4])
        if self.wall == "seawall":
            wait_for(self.accounting_or_none, 10, "accounting in /stats")

    @staticmethod
    def _interface(ns, address):
        for link in json.loads(ns.run("ip", "-json", "address", "show")):
            if any(a.get("local") == address for a in link["addr_info"]):
                return link["ifname"], link["address"]
        raise Failure(f"nobody has {address} in {ns.name}")

    def down(self):
        self.net.down()
        shutil.rmtree(self.directory, ignore_errors=True)

    # ---- the two processes

    def config(self, **more):
        """The lab's policy: no limit of ours bites unless a group asks for one. `more` replaces whole sections; boot
        and global are merged."""
        result = {
            # A crowded machine may keep a worker waiting: that it then fails open is not what the cases are about.
            "boot": {"links": [{"outside": "out0", "inside": "in0"}], "services": 512, "heartbeat_timeout_ms": 10000},
            "control": {"listen": []},
            "global": {"answers_per_source_per_s": 1000000, "answers_per_prefix_per_s": 1000000, "adopt_s": 0},
            "service_defaults": {"mode": "always", "limits": NO_LIMITS},
            "services": services(),
        }
        for key, value in more.items():
            result[key] = {**result[key], **value} if key in ("boot", "global") else value
        return result

    def write_policy(self, policy):
        """`policy`: a tree, or text that is broken on purpose. The path, which is the running daemon's once it runs."""
        path = pathlib.Path(self.net.config_path) if self.is_up else self.directory / "seawall.json"
        if not isinstance(policy, (str, bytes)):
            policy = json.loads(json.dumps(policy))
            policy["boot"].setdefault("instance", NAME)
            policy["boot"].setdefault("workers", 1)
            policy = json.dumps(policy, indent=1)
        path.write_bytes(policy.encode() if isinstance(policy, str) else policy)
        return path

    def start_control(self):
        """The daemon alone, as after a crash: it finds the dataplane that runs."""
        words = [sw_lab.program("control"), "--config", self.net.config_path, "--runtime-dir", self.net.runtime_dir,
                 "--state-dir", self.net.state_dir]
        self.net._spawn("control", "box", words)
        wait_for(self.accounting_or_none, 10, "accounting in /stats")

    def process(self, name):
        """What scripts/lab noted of `dataplane` or `control`: pid, log."""
        entry = self.net.state()["processes"].get(name)
        check(entry, f"the lab knows of no {name}")
        return entry

    def log_tail(self, name, count=15):
        try:
            lines = pathlib.Path(self.net.log_dir, f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        # A line for each of hundreds of services says nothing here.
        return "\n".join("    " + line for line in [x for x in lines if ": armed at 0 " not in x][-count:])

    def alive(self):
        if self.wall == "seawall":
            for name in ("dataplane", "control"):
                entry = self.process(name)
                if not sw_process.alive(entry):
                    raise Failure(f"{name} is dead{self._how(entry['pid'])}:\n{self.log_tail(name)}")
                log = pathlib.Path(entry["log"]).read_text(errors="replace")
                # What a build with sanitizers has to say; the undefined behaviour sanitizer says it and goes on.
                check("runtime error:" not in log and "Sanitizer" not in log, f"{name}:\n{self.log_tail(name, 40)}")

    @staticmethod
    def _how(pid):
        """Our own child tells how it ended, once."""
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, os.WNOHANG)[1])
        except (ChildProcessError, ValueError):
            return ""
        return f", signal {-status}" if status < 0 else f", exit {status}"

    # ---- control

    def http(self, method, path, body=None, headers=None, timeout=10):
        """(status, parsed JSON or text) from seawalld's Unix socket."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        body = (body or "").encode() if not isinstance(body, bytes) else body
        head = {"Host": "localhost", "Content-Length": len(body), "Connection": "close", **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in head.items()]
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(timeout)
            s.connect(str(self.runtime / "seawalld.sock"))
            with contextlib.suppress(BrokenPipeError):  # refused before its end; the answer is there all the same
                s.sendall("\r\n".join(lines + ["", ""]).encode() + body)
            answer = http.client.HTTPResponse(s, method=method)
            answer.begin()
            text = answer.read().decode("utf-8", "replace")
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path):
        status, body = self.http("GET", path)
        check(status == 200, f"GET {path}: {status} {str(body)[:300]}")
        return body

    def accounting(self):
        return self.get("/stats")["accounting"]

    def accounting_or_none(self):
        try:
            return self.accounting()
        except (OSError, http.client.HTTPException, Failure):
            return None

    def sums(self, seconds=5):
        """Waits until every packet is accounted for; the accounting then."""
        last = {}

        def settled():
            nonlocal last
            last = self.accounting()
            return last["unaccounted"] == 0

        wait_for(settled, seconds, lambda: f"unaccounted 0 in {json.dumps(last)}", 0.1)
        return last

    def counters(self, service=None):
        """The accounting with the events in it, of the box or of one service."""
        if service:
            return self.get(f"/services/{service}")["counters"]
        stats = self.get("/stats")
        return {**stats["accounting"], "events": stats["events"], "wire": stats["wire"], "losses": stats["losses"]}

    @contextlib.contextmanager
    def counting(self, expect=None, service=None, seconds=5):
        """`with lab.counting(lambda g: g["answered"] >= 3) as g`: waits behind the block until what was counted since
        its begin is as expected; g then holds what grew: {"answered": 3, "dropped": {"denied": 1}, ...}."""
        grown = {}
        if self.wall != "seawall":
            yield grown
            return
        self.sums()
        before = self.counters(service)
        yield grown

        def settled():
            grown.clear()
            grown.update(difference(before, self.counters(service)))
            return expect is None or expect(grown)

        wait_for(settled, seconds, lambda: f"expected counts; counted: {grown}")

    def service(self, name):
        return self.get(f"/services/{name}")

    def reload(self, policy=None, good=True):
        """Hot reload over the API; `policy` None: the same file again."""
        if self.wall != "seawall":
            return None
        if policy is not None:
            self.write_policy(policy)
            if good:
                self.policy = policy
        status, body = self.http("POST", "/reload")
        check((status == 200) == good, f"POST /reload: {status} {str(body)[:600]}")
        return body

    def sighup(self):
        os.kill(self.process("control")["pid"], signal.SIGHUP)

    # ---- addresses

    def server(self, family):
        return SERVER[family]

    def client(self, family):
        return CLIENT[family]

    def raw_address(self, family, number=None):
        """An address and a MAC that no kernel owns; the inside host knows where it is."""
        n = next(self._raw) if number is None else number
        address = f"10.20.{128 + n // 250}.{1 + n % 250}" if family == 4 else f"fd00:20::1:{n:x}"
        hardware = f"02:77:{family:02x}:00:{n >> 8:02x}:{n & 255:02x}"
        self.inside.run("ip", "neigh", "replace", address, "lladdr", hardware, "dev", self.inside_if,
                        "nud", "permanent")
        return address, hardware

    # ---- sockets

    def listen(self, family, port, address=None, backlog=1024, **options):
        s = self.inside.socket(FAMILY[family], socket.SOCK_STREAM, options.pop("protocol", 0))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == 6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for (level, name), value in options.pop("set", {}).items():
            s.setsockopt(level, name, value)
        s.bind((address or SERVER[family], port))
        s.listen(backlog)
        return s

    @staticmethod
    def _connected(s, where):
        """False while this host still waits for the last ACK of an old connection on the same ports."""
        try:
            s.connect(where)
            return True
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False

    def connect(self, family, port, seconds=10.0, address=None, sport=0, namespace=None, protocol=0, set=None,
                bind=None):
        s = (namespace or self.outside).socket(FAMILY[family], socket.SOCK_STREAM, protocol)
        try:
            s.settimeout(seconds)
            for (level, name), value in (set or {}).items():
                s.setsockopt(level, name, value)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sport or bind:
                s.bind((bind or CLIENT[family], sport))
            where = (address or SERVER[family], port)
            if sport:
                wait_for(lambda: self._connected(s, where), seconds, f"place for a new connection from port {sport}")
            else:
                s.connect(where)
        except BaseException:
            s.close()
            raise
        return s


def difference(before, after):
    """Of nested counters: what grew, at the top all of it."""
    result = {}
    for key, value in after.items():
        if isinstance(value, dict):
            result[key] = {k: n - before[key].get(k, 0) for k, n in value.items() if n != before[key].get(k, 0)}
        elif isinstance(value, (int, float)):
            result[key] = value - before[key]
    return result


def drops(grown, *names):
    """How many packets these reasons dropped; without names, all."""
    return sum(n for name, n in grown["dropped"].items() if not names or name in names)
