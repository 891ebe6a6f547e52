# SPDX-License-Identifier: BSD-3-Clause
"""A host behind a wire that loses, delays, reorders and tags.

Not every kernel has netem or 802.1Q, so the wire is a process: it copies frames between the end of a veth pair and the
lab's segment, in both directions. Run as a program it is that process; Far is the host at the end of it.
"""

import argparse
import collections
import heapq
import pathlib
import random
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from nets import Namespace, command, terminate  # noqa: E402 (the path comes first)
from packets import mac  # noqa: E402
from rawclient import Wire  # noqa: E402


class Far:
    """A namespace with one interface, behind a relay at `side` (outside or inside) of the lab."""

    def __init__(self, lab, side, addresses, tags=(), loss=0.0, delay_ms=0.0, late=0.0, late_ms=0.0, mtu=1500, seed=1):
        self.lab, self.addresses = lab, addresses
        near = lab.outside if side == "outside" else lab.inside
        interface = lab.outside_if if side == "outside" else lab.inside_if
        self.namespace = Namespace(f"{lab.outside.name.rsplit('-', 1)[0]}-far-{side}")
        self.near, self.near_if = near, "far"
        self.hardware = "02:66:00:00:00:" + ("01" if side == "outside" else "02")
        subprocess.run(["ip", "netns", "delete", self.namespace.name], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(near.words("ip", "link", "delete", self.near_if), stderr=subprocess.DEVNULL, check=False)
        command("ip", "netns", "add", self.namespace.name)
        self.process = None
        try:
            self._set_up(interface, tags, loss, delay_ms, late, late_ms, mtu, seed)
        except BaseException:
            self.close()
            raise

    def _set_up(self, interface, tags, loss, delay_ms, late, late_ms, mtu, seed):
        ns = self.namespace
        self.near.run("ip", "link", "add", self.near_if, "type", "veth", "peer", "name", "lan", "netns", ns.name)
        self.near.write_sysctl(f"ipv6/conf/{self.near_if}/disable_ipv6", 1)
        ns.write_sysctl("ipv6/conf/lan/accept_dad", 0)
        ns.run("ip", "link", "set", "lan", "address", self.hardware, "mtu", mtu)
        ns.run("ethtool", "-K", "lan", "tx", "off", "txvlan", "off")
        ns.run("ip", "link", "set", "lo", "up")
        for family, length in ((4, 16), (6, 64)):
            if family in self.addresses:
                words = ("nodad",) if family == 6 else ()
                ns.run("ip", "address", "add", f"{self.addresses[family]}/{length}", "dev", "lan", *words)
        ns.run("ip", "link", "set", "lan", "up")
        self.near.run("ip", "link", "set", self.near_if, "up")
        self.process = self.near.start(
            sys.executable, __file__, "--near", self.near_if, "--segment", interface, "--mac", self.hardware,
            "--loss", loss, "--delay", delay_ms, "--late", late, "--late-by", late_ms, "--seed", seed,
            *[f"--tag={t}" for t in tags], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise OSError("the relay did not start")

    def close(self):
        if self.process:
            terminate(self.process)
            self.process.stdout.close()
        subprocess.run(["ip", "netns", "delete", self.namespace.name], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(self.near.words("ip", "link", "delete", self.near_if), stderr=subprocess.DEVNULL, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Direction:
    """Frames on their way from one socket to another."""

    def __init__(self, options, target):
        self.options, self.target = options, target
        self.chance = random.Random(options.seed)
        self.line = collections.deque()  # (when, frame); in order, since the delay is the same for all
        self.stragglers = []             # heap of (when, number, frame)
        self.count = 0

    def take(self, frame, now):
        o = self.options
        roll = self.chance.random()
        if roll < o.loss:
            return
        if not o.delay and not o.late:
            self.target.send(frame)
        elif roll > 1 - o.late:
            self.count += 1
            heapq.heappush(self.stragglers, (now + (o.delay + o.late_by) / 1000, self.count, frame))
        else:
            self.line.append((now + o.delay / 1000, frame))

    def release(self, now):
        while self.line and self.line[0][0] <= now:
            self._send(self.line.popleft()[1])
        while self.stragglers and self.stragglers[0][0] <= now:
            self._send(heapq.heappop(self.stragglers)[2])

    def _send(self, frame):
        try:
            self.target.send(frame)
        except OSError:
            pass  # a full queue loses frames, as a wire may

    def next_due(self):
        due = [self.line[0][0]] if self.line else []
        return min(due + ([self.stragglers[0][0]] if self.stragglers else []), default=None)


def tagged(frame, tags):
    head = b""
    for n, tag in enumerate(tags):
        head += (b"\x88\xa8" if len(tags) > 1 and n == 0 else b"\x81\x00") + tag.to_bytes(2, "big")
    return frame[:12] + head + frame[12:]


def untagged(frame, tags):
    """The frame without its tags when these are exactly `tags`, else None."""
    at, found = 12, []
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        found.append(int.from_bytes(frame[at + 2:at + 4], "big") & 0xFFF)
        at += 4
    return frame[:12] + frame[at:] if found == list(tags) else None


def relay(options):
    here = _Here()
    near, segment = Wire(here, options.near), Wire(here, options.segment)
    mine = mac(options.mac)
    out, back = Direction(options, segment), Direction(options, near)
    poll = select.poll()
    for wire in (near, segment):
        poll.register(wire.socket, select.POLLIN)
    print("ready", flush=True)
    while True:
        due = [d for d in (out.next_due(), back.next_due()) if d is not None]
        wait = None if not due else max(0.0, (min(due) - time.monotonic()) * 1000)
        # poll() rounds up to milliseconds; below one, look again at once rather than be late by one.
        poll.poll(None if wait is None else int(wait))
        now = time.monotonic()
        for _ in range(64):
            frame = near.receive(0)
            if frame is None:
                break
            if frame[6:12] == mine:
                out.take(tagged(frame, options.tag), now)
        for _ in range(64):
            frame = segment.receive(0)
            if frame is None:
                break
            frame = untagged(frame, options.tag)
            if frame and (frame[:6] == mine or frame[0] & 1):
                back.take(frame, now)
        now = time.monotonic()
        out.release(now)
        back.release(now)


class _Here:
    """The namespace in which this process already is."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--near", required=True)
    parser.add_argument("--segment", required=True)
    parser.add_argument("--mac", required=True)
    parser.add_argument("--tag", type=int, action="append", default=[])
    for name in ("loss", "delay", "late", "late-by"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    relay(parser.parse_args())


if __name__ == "__main__":
    main()
