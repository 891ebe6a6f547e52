# SPDX-License-Identifier: BSD-3-Clause
"""Frames that lie, are cut off, or are noise: each is dropped and counted or crosses, and the box works on.

What they must not do is crash anything, stop anything, or leave a packet uncounted; the runner looks for the first and
the last after every case, and each case here ends with a connection that works.
"""

import random
import struct

from cases import case
from lab import drops
from nets import check
from packets import (ACK, ICMP, ICMPV6, PSH, RST, SYN, TCP, Segment, ethernet, ip, ipv4, ipv6, join_options, opt_mss,
                     opt_sack, opt_timestamps, tcp_bytes)
from rawclient import Wire
from servers import receive_exactly



def both_groups(name, **options):
    """The same case with the XDP program sorting first, and with every frame in the dataplane."""
    def register(function):
        case(name, seawall=True, **options)(function)
        case(name + ", every frame through the dataplane", seawall=True, group="steer all", **options)(function)
        return function
    return register


def works(t):
    t.serve()
    s = t.connect()
    s.settimeout(10)
    s.sendall(b"all is well")
    check(receive_exactly(s, 11) == b"all is well", "another echo")


class Shooter:
    """Sends frames from either side; the kernel refuses what is shorter than an Ethernet header."""

    def __init__(self, t):
        self.t = t
        self.wires = [t.enter(Wire(t.lab.outside, t.lab.outside_if, "02:88:00:00:00:03")),
                      t.enter(Wire(t.lab.inside, t.lab.inside_if, "02:88:00:00:00:03"))]
        self.macs = [(t.lab.inside_mac, "02:88:00:00:00:01"), (t.lab.outside_mac, "02:88:00:00:00:02")]
        self.count = 0

    def frame(self, frame, side=0):
        if 14 <= len(frame) <= 1514:
            self.wires[side].send(frame)
            self.count += 1

    def seen(self, grown):
        """Every frame was received, or lost in a ring that was full, and counted there."""
        return grown["rx"] + grown["losses"].get("missed", 0) >= self.count

    def packet(self, packet, side=0, ethertype=None, tags=()):
        self.frame(ethernet(*self.macs[side], packet, tags, ethertype), side)


def templates(t):
    """Packets of every kind that the parser knows, towards the protected service: [(name, IP packet)]."""
    src, dst = ("10.20.220.1", t.lab.server(4)) if t.family == 4 else ("fd00:20::4:1", t.lab.server(6))
    options = join_options(opt_mss(1460), b"\x04\x02", opt_timestamps(1, 2), b"\x03\x03\x07")
    stamps, blocks = opt_timestamps(1, 2), opt_sack([(5, 9), (20, 30)])
    segment = {
        "SYN": Segment(src, dst, 4000, t.port, SYN, 1, 0, b"", options),
        "data": Segment(src, dst, 4000, t.port, ACK | PSH, 1, 2, b"d" * 40, join_options(stamps)),
        "SACK": Segment(src, dst, 4000, t.port, ACK, 1, 2, b"", join_options(stamps, blocks)),
        "RST": Segment(src, dst, 4000, t.port, RST, 1, 0),
    }
    result = [(name, ip(src, dst, TCP, tcp_bytes(s))) for name, s in segment.items()]
    inner = ip(dst, src, TCP, tcp_bytes(Segment(dst, src, t.port, 4000, ACK, 1, 1, b"i" * 20)))
    if t.family == 4:
        result.append(("ICMP error", ipv4(src, dst, ICMP, struct.pack("!BBHHH", 3, 4, 0, 0, 1000) + inner)))
        result.append(("IPv4 options", ipv4(src, dst, TCP, tcp_bytes(segment["SYN"]), options=b"\x94\x04\0\0\1\1\1\0")))
        result.append(("fragment", ipv4(src, dst, TCP, tcp_bytes(segment["data"]), fragment=(0, True))))
        result.append(("late fragment", ipv4(src, dst, TCP, b"f" * 64, fragment=(64, False))))
    else:
        result.append(("ICMP error", ipv6(src, dst, ICMPV6, struct.pack("!BBHI", 2, 0, 0, 1280) + inner)))
        chain = ((0, bytes([0, 1, 4, 0, 0, 0, 0])), (43, bytes(7)), (60, bytes([0, 1, 4, 0, 0, 0, 0])))
        result.append(("extension headers", ipv6(src, dst, TCP, tcp_bytes(segment["SYN"]), extensions=chain)))
        first, later = (((44, struct.pack("!BHI", 0, word, 9)),) for word in (1, 64))
        result.append(("fragment", ipv6(src, dst, TCP, tcp_bytes(segment["data"]), extensions=first)))
        result.append(("late fragment", ipv6(src, dst, TCP, b"f" * 64, extensions=later)))
        authentication = ((51, bytes([4]) + bytes(22)),)
        result.append(("AH", ipv6(src, dst, TCP, tcp_bytes(segment["SYN"]), extensions=authentication)))
    return result


@both_groups("frames cut off after every byte")
def cut_off(t):
    shoot = Shooter(t)
    with t.lab.counting(shoot.seen):
        for _, packet in templates(t):
            for side in (0, 1):
                for tags in ((), (5,), (100, 7)):
                    whole = ethernet(*shoot.macs[side], packet, tags)
                    for length in range(14, len(whole)):
                        shoot.frame(whole[:length], side)
    works(t)


@both_groups("lengths and offsets that lie")
def lying(t):
    """Every value of each length field, and 0, 1, the limits and noise for the 16-bit ones."""
    shoot = Shooter(t)
    l4 = 20 if t.family == 4 else 40
    words = [0, 1, 7, 8, 19, 20, 21, 39, 40, 41, 59, 60, 1499, 1500, 1501, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF]
    with t.lab.counting(shoot.seen):
        for name, packet in templates(t):
            variants = []
            if t.family == 4:
                variants += [(0, bytes([v])) for v in range(256)]                      # version and header length
                variants += [(2, struct.pack("!H", w)) for w in words]                 # total length
                variants += [(6, struct.pack("!H", w)) for w in words + [0x2000, 0x2001, 0x3FFF, 0x1FFF]]  # fragment
                variants += [(9, bytes([v])) for v in range(256)]                      # protocol
            else:
                variants += [(0, bytes([v])) for v in range(256)]
                variants += [(4, struct.pack("!H", w)) for w in words]                 # payload length
                variants += [(6, bytes([v])) for v in range(256)]                      # next header
                variants += [(40, bytes([v])) for v in range(256)]                     # next header behind
                variants += [(41, bytes([v])) for v in range(256)]                     # extension length
            if l4 + 13 < len(packet):
                variants += [(l4 + 12, bytes([v])) for v in range(0, 256, 16)]         # data offset
                variants += [(l4 + 13, bytes([v])) for v in range(256)]                # flags
            if name in ("SYN", "SACK"):
                for at in range(l4 + 20, len(packet)):                                 # each option byte
                    variants += [(at, bytes([v])) for v in (0, 1, 2, 3, 4, 5, 8, 10, 19, 29, 30, 34, 40, 255)]
            for at, value in variants:
                shoot.packet(packet[:at] + value + packet[at + len(value):], 0, 0x0800 if t.family == 4 else 0x86DD)
    works(t)


@both_groups("random bytes as fast as they can be sent", seconds=120)
def noise(t):
    shoot, chance = Shooter(t), random.Random(20080524)
    pool = chance.randbytes(1 << 20)
    sources = [packet for _, packet in templates(t)]
    with t.lab.counting(shoot.seen, seconds=20):
        for n in range(30_000):
            at, size = chance.randrange(1 << 19), chance.choice((0, 1, 10, 20, 40, 46, 60, 100, 600, 1480))
            junk = pool[at:at + size]
            kind = n % 5
            if kind == 0:    # behind an Ethernet header
                shoot.packet(junk, n // 5 % 2, chance.choice((0x0800, 0x86DD, 0x8100, 0x88A8, 0x9100, 0x0806, 0x88CC)))
            elif kind == 1:  # behind an IP header towards the service
                packet = sources[0]
                shoot.packet(packet[:20 if t.family == 4 else 40] + junk, 0)
            elif kind == 2:  # behind a TCP header
                packet = chance.choice(sources)
                shoot.packet(packet[:(40 if t.family == 4 else 60)] + junk[:1400], n // 5 % 2)
            else:            # single bytes of a good packet turned
                packet = bytearray(chance.choice(sources))
                for _ in range(chance.randrange(1, 4)):
                    packet[chance.randrange(len(packet))] = chance.randrange(256)
                shoot.packet(bytes(packet), n // 5 % 2, 0x0800 if t.family == 4 else 0x86DD)
    works(t)


@both_groups("noise towards a connection that runs: it goes on")
def noise_in_flow(t):
    """Same addresses and ports, other numbers and lengths: the connection's own checks must hold."""
    chance = random.Random(7)
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"before")
    kinds = (ACK, ACK | PSH, SYN, RST, SYN | ACK, ACK | PSH | RST)
    for n in range(2000):
        segment = c.segment(chance.choice(kinds), bytes(chance.randrange(60)), ack=chance.getrandbits(32),
                            seq=c.seq + (1 << 30) + chance.getrandbits(30))
        frame = bytearray(ethernet(t.lab.inside_mac, c.mac, ip(c.address, c.server, TCP, tcp_bytes(segment))))
        if n % 2:  # also with a header that lies, behind addresses and ports that are right
            frame[chance.randrange(14 + (20 if t.family == 4 else 40) + 8, len(frame))] ^= 1 << chance.randrange(8)
        c.wire.send(bytes(frame))
    c.exchange(b"after", seconds=15)
    c.finish()


REASONS = {
    "ipv4_header_bad": (4, lambda p: b"\x44" + p[1:]),
    "ipv6_header_bad": (6, lambda p: p[:4] + struct.pack("!H", 1400) + p[6:]),
    "tcp_header_bad": (0, lambda p, l4: p[:l4 + 12] + b"\x40" + p[l4 + 13:]),
    "tcp_options_bad": (0, lambda p, l4: p[:l4 + 20] + b"\x02\x01" + p[l4 + 22:]),
    "tcp_flags_bad": (0, lambda p, l4: p[:l4 + 13] + b"\x00" + p[l4 + 14:]),
    "tcp_port_zero": (0, lambda p, l4: p[:l4] + b"\0\0" + p[l4 + 2:]),
}


@both_groups("each kind of malformed packet has its own counter")
def named(t):
    shoot, l4 = Shooter(t), 20 if t.family == 4 else 40
    syn = templates(t)[0][1]
    kind = 0x0800 if t.family == 4 else 0x86DD
    for reason, (family, spoil) in REASONS.items():
        if family not in (0, t.family):
            continue
        packet = spoil(syn) if family else spoil(syn, l4)
        with t.lab.counting(lambda g, r=reason: drops(g, r) >= 5):
            for _ in range(5):
                shoot.packet(packet, 0, kind)
    server = t.lab.server(t.family)
    impossible = (server, "127.0.0.1", "224.0.0.5", "255.255.255.255", "0.0.0.0")
    if t.family == 6:
        impossible = (server, "::1", "ff02::5", "::")
    options = join_options(opt_mss(1460))
    with t.lab.counting(lambda g: drops(g, "source_impossible") >= len(impossible)):
        for src in impossible:
            shoot.packet(ip(src, server, TCP, tcp_bytes(Segment(src, server, t.port, t.port, SYN, 1, 0, b"", options))))
    works(t)


@both_groups("wrong checksums are not repaired")
def wrong_checksum(t):
    """The box need not verify, but what it sends on must not have become right by passing it."""
    server = t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"good")
    c.send_segment(c.segment(ACK | PSH, b"EVIL"), good_checksum=False)
    c.exchange(b"fine")
    check(not server.errors, f"server: {server.errors}")
