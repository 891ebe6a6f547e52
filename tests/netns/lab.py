# SPDX-License-Identifier: BSD-3-Clause
"""The lab as the cases see it: two hosts, the box between them, what it counts, and servers and clients to use it.

scripts/lab makes the namespaces; this file starts the two processes in the box with the policies that the cases want.
"""

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from nets import Failure, Namespace, check, command, terminate, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEAWALL_BUILD", ROOT / "build"))
NAME = os.environ.get("SEAWALL_LAB", "swt")

SERVER = {4: "10.20.0.10", 6: "fd00:20::10"}
CLIENT = {4: "10.20.0.2", 6: "fd00:20::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

TCP_INFO = 11
TCPI_OPT = {"timestamps": 1, "sack": 2, "wscale": 4, "ecn": 8, "ecn_seen": 16, "syn_data": 32}
PORTS_PER_CASE = 8
CASES = 250
FIRST_PORT = 22000


def services(mode="always", **more):
    """A service for every case: the box learns per service what a server offers, and cases change just that."""
    result = []
    for number in range(CASES):
        first = FIRST_PORT + number * PORTS_PER_CASE
        ports = f"{first}-{first + PORTS_PER_CASE - 1}"
        result.append({"name": f"case-{number}", "mode": mode,
                       "targets": [f"{SERVER[4]}:{ports}", f"[{SERVER[6]}]:{ports}"], **more})
    for name, port in (("web", 80), ("mail", 25), ("tracker", 20000)):
        result.append({"name": name, "mode": mode, "targets": [f"{SERVER[4]}:{port}", f"[{SERVER[6]}]:{port}"], **more})
    return result


class Lab:
    def __init__(self, wall):
        self.wall = wall
        self.outside, self.box, self.inside = (Namespace(f"{NAME}-{n}") for n in ("outside", "box", "inside"))
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{NAME}-netns."))
        self.runtime, self.state = self.directory / "run", self.directory / "state"
        self.processes = {}
        self.logs = {}
        self.policy = None
        self.starts = 0
        self._raw = itertools.count(1)
        self._lock = threading.Lock()
        self.is_up = False

    # ---- up and down

    def up(self):
        self.clean()
        self.is_up = True
        outside, box, inside = self.outside, self.box, self.inside
        for ns in (outside, box, inside):
            command("ip", "netns", "add", ns.name)
            ns.run("ip", "link", "set", "lo", "up")
        command("ip", "link", "add", f"{NAME}-o", "netns", outside.name, "type", "veth", "peer", "name", "outside", "netns",
                box.name)
        command("ip", "link", "add", f"{NAME}-i", "netns", inside.name, "type", "veth", "peer", "name", "inside", "netns",
                box.name)
        for ns, old, four, six in ((outside, f"{NAME}-o", CLIENT[4], CLIENT[6]), (inside, f"{NAME}-i", SERVER[4], SERVER[6])):
            ns.run("ip", "link", "set", old, "name", "lan")
            ns.write_sysctl("ipv6/conf/lan/accept_dad", 0)
            ns.run("ethtool", "-K", "lan", "tx", "off", "txvlan", "off")
            ns.run("ip", "address", "add", f"{four}/16", "dev", "lan")
            ns.run("ip", "address", "add", f"{six}/64", "dev", "lan", "nodad")
            ns.run("ip", "link", "set", "lan", "up")
        box.run("ip", "link", "add", "wall", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        for end in ("outside", "inside"):
            box.run("ip", "link", "set", end, "master", "wall", "up")
        box.write_sysctl("ipv6/conf/wall/disable_ipv6", 1)
        box.run("ip", "link", "set", "wall", "up")
        inside.run("ip", "route", "add", "default", "via", CLIENT[4])
        inside.run("ip", "-6", "route", "add", "default", "via", CLIENT[6])
        self.look()

    def look(self):
        """Finds interfaces and MACs, and waits until both hosts reach one another."""
        self.outside_if, self.outside_mac = self._interface(self.outside, CLIENT[4])
        self.inside_if, self.inside_mac = self._interface(self.inside, SERVER[4])

    @staticmethod
    def _interface(ns, address):
        for link in json.loads(ns.run("ip", "-json", "address", "show")):
            if any(a.get("local") == address for a in link["addr_info"]):
                return link["ifname"], link["address"]
        raise Failure(f"nobody has {address} in {ns.name}")

    def down(self):
        self.stop()
        if self.is_up:
            self.clean()
            self.is_up = False
        shutil.rmtree(self.directory, ignore_errors=True)

    def clean(self):
        for ns in (self.outside, self.box, self.inside):
            if os.path.exists(ns.path):
                subprocess.run(["ip", "netns", "delete", ns.name], check=False)

    # ---- the two processes

    def config(self, **more):
        """`more` replaces whole sections; boot and control are merged."""
        result = {
            "boot": {"instance": NAME, "workers": 1, "cores": [0], "links": [{"outside": "outside", "inside": "inside"}]},
            "control": {},
            "services": services(),
        }
        for key, value in more.items():
            if key in ("boot", "control"):
                result[key] = {**result[key], **value}
            else:
                result[key] = value
        return result

    def write_policy(self, policy):
        path = self.directory / "seawall.json"
        path.write_text(json.dumps(policy, indent=1), encoding="utf-8")
        return path

    def start(self, policy):
        """Starts dataplane and daemon with `policy`; returns when both answer."""
        if self.wall != "seawall":
            return
        self.stop()
        for directory in (self.runtime, self.state):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        config = self.write_policy(policy)
        self.policy = policy
        self.starts += 1
        snapshot = self.directory / "boot.snapshot"
        command(BUILD / "control/seawalld", "--config", config, "--compile", snapshot)
        directories = ("--runtime-dir", self.runtime, "--state-dir", self.state)
        self._spawn("dataplane", BUILD / "dataplane/seawall-dataplane", "--snapshot", snapshot, *directories)
        wait_for(lambda: self._alive_or_fail("dataplane") and self._connects("dataplane.sock"), 30, "dataplane.sock")
        self._spawn("seawalld", BUILD / "control/seawalld", "--config", config, *directories)
        wait_for(lambda: self._alive_or_fail("seawalld") and self._connects("seawalld.sock"), 20, "seawalld.sock")
        wait_for(self.accounting_or_none, 10, "accounting in /stats")

    def _spawn(self, name, *words):
        log = open(self.directory / f"{name}.log", "ab")
        with log:
            self.processes[name] = self.box.start(*words, stdout=log, stderr=log, start_new_session=True)

    def _connects(self, name):
        path = self.runtime / name
        if not path.exists():
            return False
        kind = socket.SOCK_SEQPACKET if name == "dataplane.sock" else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as s:
            try:
                s.connect(str(path))
                return True
            except OSError:
                return False

    def _alive_or_fail(self, name):
        status = self.processes[name].poll()
        if status is not None:
            raise Failure(f"{name} ended with {status}:\n{self.log_tail(name)}")
        return True

    def log_tail(self, name, count=15):
        try:
            lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join("    " + line for line in lines[-count:])

    def stop(self):
        for name in ("seawalld", "dataplane"):
            process = self.processes.pop(name, None)
            if process:
                terminate(process)

    def alive(self):
        if self.wall == "seawall":
            for name in self.processes:
                self._alive_or_fail(name)
            check(len(self.processes) == 2, "a process of the box is missing")

    # ---- control

    def http(self, method, path, body=None, headers=None, timeout=10):
        """(status, parsed JSON or text) from seawalld's Unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(timeout)
        try:
            connection.sock.connect(str(self.runtime / "seawalld.sock"))
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text
        finally:
            connection.close()

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

    @contextlib.contextmanager
    def counting(self):
        """`with lab.counting() as d`: after the block, d is what grew: {"answered": 3, "dropped": {"denied": 1}, ...}."""
        difference = {}
        if self.wall != "seawall":
            yield difference
            return
        before = self.sums()
        yield difference
        self.difference(before, self.sums(), difference)

    @staticmethod
    def difference(before, after, into):
        into.clear()
        for key, value in after.items():
            if key == "dropped":
                into[key] = {r: n - before[key].get(r, 0) for r, n in value.items() if n != before[key].get(r, 0)}
            else:
                into[key] = value - before[key]

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
        self.processes["seawalld"].send_signal(signal.SIGHUP)

    # ---- addresses

    def server(self, family):
        return SERVER[family]

    def client(self, family):
        return CLIENT[family]

    def raw_address(self, family, number=None):
        """An address and a MAC that no kernel owns; the inside host knows where it is."""
        n = next(self._raw) if number is None else number
        address = f"10.20.{100 + n // 250}.{1 + n % 250}" if family == 4 else f"fd00:20::1:{n:x}"
        hardware = f"02:77:{family:02x}:00:{n >> 8:02x}:{n & 255:02x}"
        self.inside.run("ip", "neigh", "replace", address, "lladdr", hardware, "dev", self.inside_if, "nud", "permanent")
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

    def connect(self, family, port, seconds=10.0, address=None, sport=0, namespace=None, protocol=0, set=None, bind=None):
        s = (namespace or self.outside).socket(FAMILY[family], socket.SOCK_STREAM, protocol)
        try:
            s.settimeout(seconds)
            for (level, name), value in (set or {}).items():
                s.setsockopt(level, name, value)
            if sport or bind:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((bind or CLIENT[family], sport))
            s.connect((address or SERVER[family], port))
        except BaseException:
            s.close()
            raise
        return s


def tcp_info(sock):
    """The fields the cases look at, by the kernel's names (include/uapi/linux/tcp.h)."""
    data = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)
    head = struct.unpack_from("8B24I", data)
    words = head[8:]
    return {"state": head[0], "options": head[5], "snd_wscale": head[6] & 15, "rcv_wscale": head[6] >> 4,
            "snd_mss": words[2], "rcv_mss": words[3], "pmtu": words[13], "advmss": words[18], "rtt": words[15]}


def has_option(sock, name):
    return bool(tcp_info(sock)["options"] & TCPI_OPT[name])


# ---- servers and data ------------------------------------------------------------------------------------------------

class Server:
    """Accepts in a thread, serves each connection in a thread; errors of handlers are kept for the case to see."""

    def __init__(self, lab, family, port, handler, **options):
        self.listener = lab.listen(family, port, **options)
        self.handler = handler
        self.errors, self.accepted, self.open = [], [], []
        self.ended = threading.Event()
        self.threads = []
        self.accepter = threading.Thread(target=self._accept, daemon=True)
        self.accepter.start()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            connection.settimeout(120)
            self.accepted.append(peer)
            self.open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            self.handler(connection)
        except Exception as error:  # kept, not lost: a handler's thread has nobody above it
            self.errors.append(error)
        finally:
            with contextlib.suppress(ValueError):
                self.open.remove(connection)
            connection.close()

    def close(self):
        # shutdown wakes accept(), close() alone does not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def speaks_first(text=b"220 seawall.test ESMTP\r\n"):
    def handler(connection):
        connection.sendall(text)
        echo(connection)
    return handler


def receive_exactly(sock, count):
    parts, left = [], count
    while left:
        data = sock.recv(min(left, 1 << 20))
        if not data:
            raise Failure(f"end of stream after {count - left} of {count} bytes")
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def receive_to_end(sock):
    parts = []
    while True:
        data = sock.recv(1 << 20)
        if not data:
            return b"".join(parts)
        parts.append(data)


class Pattern:
    """Bytes that differ everywhere, so that a lost, doubled or misplaced piece shows; made without keeping them."""

    def __init__(self, seed, total):
        self.block = hashlib.shake_128(str(seed).encode()).digest(1 << 20)
        self.total = total

    def chunks(self):
        left, n = self.total, 0
        while left:
            take = min(left, len(self.block) - 8)
            yield struct.pack("!Q", n) + self.block[8:8 + take - 8] if take >= 8 else self.block[:take]
            left -= take
            n += 1

    def digest(self):
        h = hashlib.sha256()
        for chunk in self.chunks():
            h.update(chunk)
        return h.hexdigest()

    def send(self, sock):
        for chunk in self.chunks():
            sock.sendall(chunk)


def receive_digest(sock, total=None):
    """SHA-256 of what comes, until the end of the stream or `total` bytes; and how much it was."""
    h, count, buffer = hashlib.sha256(), 0, bytearray(1 << 20)
    view = memoryview(buffer)
    while total is None or count < total:
        n = sock.recv_into(buffer, 0 if total is None else min(len(buffer), total - count))
        if not n:
            break
        h.update(view[:n])
        count += n
    return h.hexdigest(), count


def in_threads(*functions, seconds=120):
    """Runs all at once; the first exception of any is raised here."""
    errors, threads = [], []

    def guard(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    for function in functions:
        thread = threading.Thread(target=guard, args=(function,), daemon=True)
        thread.start()
        threads.append(thread)
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if errors:
        raise errors[0]
    check(not any(t.is_alive() for t in threads), f"not done within {seconds} s")

