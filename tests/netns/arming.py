# SPDX-License-Identifier: BSD-3-Clause
"""Mode auto: it arms by itself, disarms by itself, and no connection notices."""

import contextlib
import random
import selectors
import socket
import threading

from cases import case, group
from lab import NO_LIMITS, drops
from limits import forged_syn
from nets import Failure, check, wait_for
from rawclient import Wire
from servers import receive_exactly

CONNECTIONS = 200


@group("auto")
def _auto(lab):
    return lab.config(service_defaults={"mode": "auto", "start_syn_per_s": 500, "stop_syn_per_s": 200, "hold_s": 2,
                                        "limits": NO_LIMITS})


class Talk:
    """Connections that never rest: each sends a line, waits for its echo, and sends the next."""

    def __init__(self, sockets):
        self.selector = selectors.DefaultSelector()
        self.turns = [0] * len(sockets)
        self.broken = []
        self.stop = threading.Event()
        for n, s in enumerate(sockets):
            s.settimeout(30)
            self.selector.register(s, selectors.EVENT_READ, n)
            s.sendall(self.line(n))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def line(self, n):
        return f"{n:05}:{self.turns[n]:09};".encode()

    def _run(self):
        while not self.stop.is_set():
            for key, _ in self.selector.select(0.2):
                n, s = key.data, key.fileobj
                try:
                    if receive_exactly(s, 16) != self.line(n):
                        raise Failure("another echo")
                    self.turns[n] += 1
                    s.sendall(self.line(n))
                except (OSError, Failure) as error:
                    self.broken.append((n, error))
                    self.selector.unregister(s)

    def go_on(self, turns=3, seconds=20):
        """Waits until every connection has made so many turns more."""
        before = list(self.turns)
        check(not self.broken, f"{len(self.broken)} broken, first {self.broken[:3]}")

        def stuck():
            return [n for n, (now, then) in enumerate(zip(self.turns, before)) if now < then + turns]

        wait_for(lambda: self.broken or not stuck(), seconds, lambda: f"progress of all; stuck: {stuck()[:20]}")
        check(not self.broken, f"{len(self.broken)} broken, first {self.broken[:3]}")

    def close(self):
        self.stop.set()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def flood(t, port, per_tick=20, tick=0.01):
    """Forged SYNs, about 2,000 a second, for the length of a `with`."""
    stop, sources = threading.Event(), random.Random(t.number)
    frames = [forged_syn(t.lab, t.family, port, sources) for _ in range(2000)]
    wire = Wire(t.lab.outside, t.lab.outside_if, "02:88:00:00:00:02")

    def run():
        n = 0
        while not stop.wait(tick):
            for _ in range(per_tick):
                with contextlib.suppress(OSError):
                    wire.send(frames[n % len(frames)])
                n += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        wire.close()


def armed(t):
    return t.lab.service(t.service)["armed"] is True


@case("arming while 200 connections run, and disarming: none of them breaks", group="auto", seawall=True, seconds=120)
def arms(t):
    t.serve()
    talk = t.enter(Talk([t.connect() for _ in range(CONNECTIONS)]))
    wait_for(lambda: not armed(t), 20, "quiet: so many connections at once may have armed it")
    talk.go_on()
    check(not armed(t), "armed with no flood")
    with flood(t, t.port):
        wait_for(lambda: armed(t), 5, "arming")
        talk.go_on(10)
        newer = []
        for _ in range(20):  # new clients are served under the flood
            s = t.connect()
            s.settimeout(15)
            s.sendall(b"new")
            check(receive_exactly(s, 3) == b"new", "another echo")
            newer.append(s)
        with t.lab.counting(lambda g: g["answered"] >= 500, service=t.service):
            pass
        talk.go_on(5)
        check(armed(t), "disarmed under the flood")
    wait_for(lambda: not armed(t), 20, "disarming after the flood")
    talk.go_on(5)
    for s in newer:  # connections that were proxied while armed go on
        s.sendall(b"still here")
        check(receive_exactly(s, 10) == b"still here", "another echo")


@case("a flood on one service does not arm or touch another", group="auto", seawall=True)
def neighbours(t):
    t.serve()
    with flood(t, 20000):
        wait_for(lambda: t.lab.service("tracker")["armed"] is True, 5, "arming of the tracker")
        check(not armed(t), "a quiet service was armed")
        for _ in range(50):
            with t.lab.connect(t.family, t.port) as s:
                s.sendall(b"calm")
                check(receive_exactly(s, 4) == b"calm", "another echo")
    wait_for(lambda: not t.lab.service("tracker")["armed"], 20, "disarming of the tracker")


@case("connections that stand idle while it arms, go on", group="auto", seawall=True)
def idle(t):
    t.serve()
    sockets = [t.connect() for _ in range(50)]
    for s in sockets:
        s.settimeout(15)
        s.sendall(b"one")
        check(receive_exactly(s, 3) == b"one", "another echo")
    with flood(t, t.port):
        wait_for(lambda: armed(t), 5, "arming")
        for n, s in enumerate(sockets):
            if n % 3 == 0:
                s.sendall(b"two")
                check(receive_exactly(s, 3) == b"two", "another echo")
            elif n % 3 == 1:
                s.shutdown(socket.SHUT_WR)
                check(s.recv(10) == b"", "data instead of the end")
    wait_for(lambda: not armed(t), 20, "disarming")
    for n, s in enumerate(sockets):
        if n % 3 == 2:
            s.sendall(b"late")
            check(receive_exactly(s, 4) == b"late", "another echo")


@case("connections older than the box survive its start", group="auto", seawall=True, seconds=120)
def older(t):
    t.serve()
    t.lab.net.stop()
    try:
        talk = t.enter(Talk([t.connect() for _ in range(50)]))
        talk.go_on()
    finally:
        t.lab.net.start(str(t.lab.write_policy(t.lab.policy)))
    wait_for(t.lab.accounting_or_none, 10, "accounting")
    talk.go_on(10)
    with flood(t, t.port):
        wait_for(lambda: armed(t), 5, "arming")
        talk.go_on(10)
    wait_for(lambda: not armed(t), 20, "disarming")


@case("always armed from the start: connections older than the box survive", group="adopt", seawall=True, seconds=120)
def older_always(t):
    t.serve()
    t.lab.net.stop()
    try:
        talk = t.enter(Talk([t.connect() for _ in range(50)]))
        talk.go_on()
    finally:
        t.lab.net.start(str(t.lab.write_policy(t.lab.policy)))
    wait_for(t.lab.accounting_or_none, 10, "accounting")
    with t.lab.counting(lambda g: not drops(g, "rst_without_flow")):
        talk.go_on(10)


@group("adopt")
def _adopt(lab):
    return lab.config(**{"global": {"adopt_s": 30}})
