# SPDX-License-Identifier: BSD-3-Clause
"""Nonsense for the control plane: HTTP, policies, the dataplane's socket. A clear error each time, never an end."""

import array
import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import struct

from cases import case, group
from nets import check, command, wait_for
from servers import receive_exactly
import sw_lab
import sw_process

REQUEST = struct.Struct("=II16sII")          # struct sw_request of dataplane/api/messages.h
REPLY_HEAD = struct.Struct("=IIQII256s")     # struct sw_reply without its explain
HELLO, PUBLISH, UNBLOCK, EXPLAIN = range(4)
OK, BAD_REQUEST, REFUSED, NEEDS_RESTART, BUSY = range(5)
MESSAGE_VERSION = 1


@group("control")
def _control(lab):
    """With a TCP port, to which everybody on the machine may speak."""
    policy = lab.config()
    policy["control"] = {"listen": ["127.0.0.1:8471"]}
    return policy


def works(t):
    t.serve()
    with t.lab.connect(t.family, t.port) as s:
        s.sendall(b"all is well")
        check(receive_exactly(s, 11) == b"all is well", "another echo")
    t.lab.get("/status")


# ---- HTTP ------------------------------------------------------------------------------------------------------------

def raw_http(t, data, tcp=False, seconds=5):
    """Sends bytes, returns what comes until the end or the deadline."""
    if tcp:
        s = t.lab.box.socket(socket.AF_INET, socket.SOCK_STREAM)
        where = ("127.0.0.1", 8471)
    else:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        where = str(t.lab.runtime / "seawalld.sock")
    with s:
        s.settimeout(seconds)
        s.connect(where)
        got = b""
        with contextlib.suppress(OSError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while len(got) < 1 << 20 and (data := s.recv(65536)):
                got += data
        return got


NONSENSE = [
    b"", b"\0", b"\r\n\r\n", b"GET", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"G\0T / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", b"GET / HTTP/1.1\r\nHost: " + b"h" * 100_000 + b"\r\n\r\n",
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /check HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx\r\n",
    b"POST /check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
    b"GET /why/%00%ff%2e%2e%2f HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), b"SSH-2.0-nonsense\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /sources?limit=-1&by=%27%20or%201=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /stats HTTP/1.1\r\nHost: evil.example\r\n\r\n", random.Random(3).randbytes(50_000),
]
ERRORS = [
    ("GET", "/nothing", None, (404,)), ("DELETE", "/stats", None, (405,)), ("POST", "/stats", "x", (405,)),
    ("PUT", "/reload", "x", (405,)), ("GET", "/why/nonsense", None, (400,)), ("GET", "/why/300.1.1.1", None, (400,)),
    ("GET", "/services/none-such", None, (404,)), ("GET", "/sources?limit=abc", None, (400,)),
    ("POST", "/blocks", "", (400,)), ("POST", "/blocks", "{", (400,)), ("POST", "/blocks", "[]", (400,)),
    ("POST", "/blocks", "[" * 100_000, (400, 413)), ("POST", "/blocks", '{"address":5}', (400,)),
    ("POST", "/blocks", '{"address":"1.2.3.4","seconds":-5}', (400,)),
    ("POST", "/blocks", '{"address":"1.2.3.4","x":1}', (400,)),
    ("POST", "/blocks", '{"prefix":"0.0.0.0/0"}', (400,)), ("POST", "/blocks", '{"prefix":"1.2.3.4/24"}', (400,)),
    ("POST", "/blocks", '{"address":"1.2.3.4","seconds":1e300}', (400,)),
    ("POST", "/blocks", '{"address":"1.2.3.4","reason":"' + "r" * 100_000 + '"}', (400, 413)),
    ("DELETE", "/blocks/1.2.3.4", None, (404,)), ("DELETE", "/blocks/nonsense", None, (400,)),
    ("POST", "/check", "not json", (400, 422)), ("POST", "/check", "x" * (20 << 20), (400, 413, 422)),
]


@case("HTTP nonsense on the Unix socket and on TCP", group="control", seawall=True, families=(4,))
def nonsense(t):
    for data in NONSENSE:
        for tcp in (False, True):
            answer = raw_http(t, data, tcp)
            check(not answer or answer.startswith(b"HTTP/1."), f"{data[:60]!r}: answered {answer[:80]!r}")
            check(not answer.startswith(b"HTTP/1.1 500"), f"{data[:60]!r}: {answer[:200]!r}")
    works(t)


@case("wrong requests are told so, as JSON", group="control", seawall=True, families=(4,))
def wrong_requests(t):
    for method, path, body, wanted in ERRORS:
        try:
            status, answer = t.lab.http(method, path, body)
        except (BrokenPipeError, ConnectionResetError):
            check(body and len(body) > 4096, f"{method} {path}: connection closed without an answer")
            continue
        check(status in wanted, f"{method} {path} {str(body)[:60]}: {status}, not {wanted}: {str(answer)[:300]}")
        check(isinstance(answer, dict) and "error" in answer or path == "/check",
              f"{method} {path}: no error text: {str(answer)[:200]}")
    works(t)


@case("TCP may read and change nothing; a strange Host is refused", group="control", seawall=True, families=(4,))
def tcp_reads_only(t):
    def ask(method, path, host=b"localhost", body=b""):
        return raw_http(t, b"%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
            method, path, host, len(body), body), tcp=True).split(b" ")[1:2]

    check(ask(b"GET", b"/stats") == [b"200"], "reading over TCP")
    check(ask(b"GET", b"/stats", b"evil.example") in ([b"400"], [b"403"], [b"421"]),
          "a strange Host may read (DNS rebinding)")
    for method, path, body in ((b"POST", b"/reload", b""),
                               (b"POST", b"/blocks", b'{"address":"192.0.2.1","seconds":60}'),
                               (b"DELETE", b"/blocks/192.0.2.1", b"")):
        check(ask(method, path, body=body) == [b"403"], f"{method} {path} over TCP: {ask(method, path, body=body)}")
    works(t)


@case("connections that say nothing or read nothing do not keep others out", group="control", seawall=True,
      families=(4,))
def idlers(t):
    idle = []
    try:
        for n in range(300):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(2)
            idle.append(s)
            with contextlib.suppress(OSError):
                s.connect(str(t.lab.runtime / "seawalld.sock"))
                s.sendall((b"", b"GET /", b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")[n % 3])
        # Some of them were turned away, or are: what counts is that there is soon room for one that asks.
        wait_for(t.lab.accounting_or_none, 60, "answer while 300 connections idle", 0.5)
    finally:
        for s in idle:
            s.close()
    wait_for(t.lab.accounting_or_none, 10, "answer afterwards")
    works(t)


# ---- policies --------------------------------------------------------------------------------------------------------

def broken(t):
    """{name: text of a policy that must be refused whole}"""
    good = json.dumps(t.lab.config())

    def spoiled(change):
        policy = t.lab.config()
        change(policy)
        policy["boot"].update(instance=t.lab.net.name, workers=1)
        return json.dumps(policy)

    def first(key, value):
        return lambda p: p["services"][0].__setitem__(key, value)

    return {
        "empty": "", "no JSON": "hello", "cut": good[:len(good) // 2],
        "an array": "[]", "a number": "5", "null": "null",
        "NUL inside": good[:50] + "\0" + good[50:], "deep": "[" * 200_000, "deep objects": '{"a":' * 200_000,
        "unknown key": spoiled(lambda p: p.__setitem__("servces", [])), "double key": '{"boot":{},"boot":{}}',
        "no links": spoiled(lambda p: p["boot"].__setitem__("links", [])),
        "bad target": spoiled(first("targets", ["10.20.0.10:99999"])),
        "bad address": spoiled(first("targets", ["10.20.0:80"])),
        "no target": spoiled(first("targets", [])), "bad mode": spoiled(first("mode", "sometimes")),
        "number as text": spoiled(first("start_syn_per_s", "many")), "negative": spoiled(first("start_syn_per_s", -1)),
        "huge": spoiled(first("start_syn_per_s", 10**30)), "stop above start": spoiled(
            lambda p: p["services"][0].update(mode="auto", start_syn_per_s=5, stop_syn_per_s=50)),
        "two of one name": spoiled(lambda p: p["services"].append(p["services"][0])),
        "host bits": spoiled(lambda p: p.__setitem__("deny", ["10.0.0.1/8"])),
        "missing file": spoiled(lambda p: p.__setitem__("deny", [{"file": "/nonexistent/list"}])),
        "invalid UTF-8": b'{"boot": "\xff\xfe"}',
        "noise": random.Random(11).randbytes(100_000), "a long line": "x" * (4 << 20),
    }


@case("broken and hostile policies are refused with their place; the running one stays", group="control", seawall=True,
      families=(4,))
def hostile_policies(t):
    before = t.lab.get("/status")["policy"]["generation_in_force"]
    t.serve()
    try:
        for name, text in broken(t).items():
            answer = t.lab.reload(text, good=False)
            findings = answer.get("errors") or [answer]
            check(findings and (findings[0].get("message") or findings[0].get("error")),
                  f"{name}: no text: {str(answer)[:300]}")
            check("errors" not in answer or "line" in findings[0], f"{name}: no line: {str(answer)[:300]}")
            check(t.lab.get("/status")["policy"]["generation_in_force"] == before,
                  f"{name}: another generation is in force")
        with t.lab.connect(t.family, t.port) as s:
            s.sendall(b"still armed")
            check(receive_exactly(s, 11) == b"still armed", "another echo")
        # A restart of the daemon finds the broken file and goes on with the last good policy.
        t.lab.write_policy("broken {")
        entry = t.lab.process("control")
        os.kill(entry["pid"], signal.SIGTERM)
        wait_for(lambda: not sw_process.alive(entry), 10, "end of the daemon")
        t.lab.start_control()
        status = t.lab.get("/status")["policy"]
        check(status["is_last_good"] is True, f"status does not say so: {status}")
        with t.lab.connect(t.family, t.port) as s:
            s.sendall(b"still armed")
            check(receive_exactly(s, 11) == b"still armed", "another echo")
    finally:
        t.lab.reload(t.lab.policy)


# ---- the dataplane's socket ------------------------------------------------------------------------------------------

class Dataplane:
    """A connection to dataplane.sock."""

    def __init__(self, t):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.socket.connect(str(t.lab.runtime / "dataplane.sock"))

    def ask(self, data, fd=None):
        """(status, generation, text), or None when the connection was closed."""
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        try:
            self.socket.sendmsg([data], control)
            reply = self.socket.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return None
        if not reply:
            return None
        _, status, generation, _, _, text = REPLY_HEAD.unpack_from(reply)
        return status, generation, text.split(b"\0")[0].decode("utf-8", "replace")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def hello():
    return REQUEST.pack(MESSAGE_VERSION, HELLO, bytes(16), 0xFFFFFFFF, 0)


def publish(t, data, seal=True):
    fd = os.memfd_create("snapshot", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        if seal:
            fcntl.fcntl(fd, 1033, 0x0001 | 0x0002 | 0x0004 | 0x0008)  # F_ADD_SEALS: seal, shrink, grow, write
        with Dataplane(t) as d:
            return d.ask(REQUEST.pack(MESSAGE_VERSION, PUBLISH, bytes(16), 0xFFFFFFFF, 0), fd)
    finally:
        os.close(fd)


def checksum(data):
    """sw_snapshot_checksum(): FNV-1a over 64-bit words, the tail as bytes."""
    total, mask, whole = 0xCBF29CE484222325, (1 << 64) - 1, len(data) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        total = (total ^ word) * 0x100000001B3 & mask
    for byte in data[whole:]:
        total = (total ^ byte) * 0x100000001B3 & mask
    return total


HEADER = struct.Struct("=QIIQQQQ")  # magic version header_bytes total_bytes checksum generation created


def resealed(data):
    """With the checksum that fits, so that the fields themselves are looked at."""
    head = list(HEADER.unpack_from(data))
    behind = data[head[2]:] if 0 < head[2] <= len(data) else data
    head[4] = checksum(behind)
    return HEADER.pack(*head) + data[HEADER.size:]


@case("garbage at dataplane.sock", group="control", seawall=True, families=(4,))
def garbage(t):
    chance = random.Random(5)
    with Dataplane(t) as d:
        generation = d.ask(hello())[1]
    messages = [b"\0", b"x", hello()[:-1], hello() + b"\0", hello() * 100, bytes(32), b"\xff" * 32,
                chance.randbytes(4096),
                REQUEST.pack(99, HELLO, bytes(16), 0, 0), REQUEST.pack(MESSAGE_VERSION, 99, bytes(16), 0, 0),
                REQUEST.pack(MESSAGE_VERSION, PUBLISH, bytes(16), 0, 0)]
    for data in messages + [chance.randbytes(chance.choice((1, 16, 31, 33, 100, 1000))) for _ in range(200)]:
        with Dataplane(t) as d:
            answer = d.ask(data)
            check(answer is None or answer[0] in (BAD_REQUEST, REFUSED), f"{data[:40].hex()}: {answer}")
    for slot in (0, 5, 99999, 0xFFFFFFFE, 0xFFFFFFFF):
        for kind in (UNBLOCK, EXPLAIN):
            with Dataplane(t) as d:
                check(d.ask(REQUEST.pack(MESSAGE_VERSION, kind, chance.randbytes(16), slot, 0)) is not None, "closed")
    many = []
    with contextlib.suppress(BlockingIOError):  # turned away
        for _ in range(100):
            many.append(Dataplane(t))  # that say nothing
    for d in many:
        d.close()

    def answers():
        try:
            with Dataplane(t) as d:
                return d.ask(hello()) == (OK, generation, "")
        except BlockingIOError:
            return False

    wait_for(answers, 10, f"HELLO with generation {generation}")
    works(t)


@case("snapshots that are cut, of another version, unsealed or inconsistent are refused", group="control", seawall=True,
      families=(4,), seconds=150)
def snapshots(t):
    path = t.lab.directory / "test.snapshot"
    command(sw_lab.program("control"), "--config", t.lab.net.config_path, "--compile", path)
    good = path.read_bytes()
    head = list(HEADER.unpack_from(good))
    with Dataplane(t) as d:
        generation = d.ask(hello())[1]

    def refused(data, what, seal=True):
        answer = publish(t, data, seal)
        check(answer is None or answer[0] in (REFUSED, BAD_REQUEST), f"{what}: {answer}")
        if answer and answer[0] == REFUSED:
            check(answer[2], f"{what}: refused without a text")
            check(answer[1] == generation, f"{what}: generation {answer[1]}, was {generation}")

    refused(good, "not sealed", seal=False)
    for size in (0, 1, 7, 8, HEADER.size - 1, HEADER.size, head[2] - 1, head[2], head[2] + 1, len(good) // 2,
                 len(good) - 1):
        refused(good[:size], f"cut to {size}")
    refused(good + b"\0" * 8, "too long")
    for n, name in enumerate(("magic", "version", "header_bytes", "total_bytes", "checksum")):
        for value in (0, head[n] + 1, head[n] ^ 0x80000000, 0xFFFFFFFF):
            changed = list(head)
            changed[n] = value
            if value != head[n]:
                refused(HEADER.pack(*changed) + good[HEADER.size:], f"{name} {value:#x}")
    # The section table: every word of it, with a checksum that fits.
    for at in range(HEADER.size, head[2] - 3, 4):
        for value in (0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF):
            changed = resealed(good[:at] + struct.pack("=I", value) + good[at + 4:])
            if changed != good:
                answer = publish(t, changed)
                check(answer is None or answer[0] in (REFUSED, BAD_REQUEST, OK, NEEDS_RESTART),
                      f"section word {at}: {answer}")
                generation = answer[1] if answer and answer[0] in (OK, NEEDS_RESTART) else generation
    # Single bytes anywhere: refused, or accepted as the policy that it then is, but never an end.
    chance = random.Random(13)
    for _ in range(400):
        changed = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(head[2], len(changed))] = chance.randrange(256)
        answer = publish(t, resealed(bytes(changed)))
        check(answer is not None, "closed instead of answered")
    t.lab.alive()
    t.lab.reload(t.lab.policy)
    policy = t.lab.config(deny=["203.0.113.7"])  # one that differs, so that it is in force again for certain
    policy["control"] = t.lab.policy["control"]
    t.lab.reload(policy)
    works(t)
