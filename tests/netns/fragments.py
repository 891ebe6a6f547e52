# SPDX-License-Identifier: BSD-3-Clause
"""Fragments: honest ones cross, those that hide a TCP header do not."""

import random
import socket
import struct

from cases import case
from lab import FAMILY, drops
from nets import check
from packets import ACK, PSH, SYN, TCP, ipv4, ipv6, tcp_bytes


def fragments(src, dst, protocol, payload, sizes, ident=None):
    """Cuts an IP payload into fragments of `sizes` bytes (multiples of 8), the rest into a last one."""
    ident = random.getrandbits(16) if ident is None else ident
    pieces, at = [], 0
    for size in sizes:
        pieces.append((at, payload[at:at + size]))
        at += size
    pieces.append((at, payload[at:]))
    return [fragment(src, dst, protocol, offset, piece, n < len(pieces) - 1, ident)
            for n, (offset, piece) in enumerate(pieces)]


def fragment(src, dst, protocol, offset, piece, more, ident):
    if ":" in src:
        return ipv6(src, dst, protocol, piece, extensions=((44, struct.pack("!BHI", 0, offset | more, ident)),))
    return ipv4(src, dst, protocol, piece, fragment=(offset, more), ident=ident)


def cut(c, flags, payload, sizes, **keywords):
    """A segment of `c` as fragments; its sequence number moves on."""
    segment = c.segment(flags, payload, **keywords)
    c.note(">", f"in fragments: {segment}")
    if "seq" not in keywords:
        c.seq = segment.next_seq
    return fragments(segment.src, segment.dst, TCP, tcp_bytes(segment), sizes)


@case("raw client: data segments in fragments", also=("two workers",),
      parameters={"in order": False, "last one first": True})
def data(t):
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"whole")
    for n in range(3):
        payload = bytes([65 + n]) * 1200
        packets = cut(c, ACK | PSH, payload, (400, 400))
        for packet in reversed(packets) if t.parameter else packets:
            c.send_ip(packet)
        check(c.read(1200) == payload, "another echo")
    c.finish()


@case("raw client: a SYN in fragments is not answered", seawall=True)
def syn(t):
    server = t.serve()
    c = t.raw()
    with t.lab.counting(lambda g: drops(g, "syn_fragmented", "fragment_bad")):
        for packet in cut(c, SYN, b"x" * 40, (40,), options=c.syn_options()):
            c.send_ip(packet)
        check(c.receive_or_none(1.0) is None, "a SYN in fragments was answered")
    check(not server.accepted, "a SYN in fragments reached the server")


@case("raw client: tiny and overlapping fragments are dropped", seawall=True)
def tiny(t):
    """RFC 1858 and RFC 3128: a first fragment that ends inside the TCP header, one that begins inside it."""
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"before")
    whole = tcp_bytes(c.segment(ACK | PSH, b"evil" * 50))
    with t.lab.counting(lambda g: drops(g, "fragment_bad") >= 4):
        for n, (offset, size, more) in enumerate([(0, 8, True), (0, 16, True), (8, 64, True), (8, 64, False)]):
            c.send_ip(fragment(c.address, c.server, TCP, offset, whole[offset:offset + size], more, 1000 + n))
    c.exchange(b"after")
    c.finish()


@case("raw client: a fragment that reaches past 65,535 bytes is dropped", seawall=True)
def ping_of_death(t):
    c = t.raw()
    with t.lab.counting(lambda g: drops(g, "fragment_bad")):
        c.send_ip(fragment(c.address, c.server, TCP, 65528, b"d" * 800, False, 77))


@case("UDP datagrams of 8,000 bytes, both ways")
def udp(t):
    """Not TCP: fragments and all, none of the box's business."""
    server = t.enter(t.lab.inside.socket(FAMILY[t.family], socket.SOCK_DGRAM))
    server.bind((t.lab.server(t.family), t.port))
    client = t.enter(t.lab.outside.socket(FAMILY[t.family], socket.SOCK_DGRAM))
    client.bind((t.lab.client(t.family), 0))
    for s in (server, client):
        s.settimeout(5)
    for n in range(20):
        text = random.randbytes(8000)
        client.sendto(text, (t.lab.server(t.family), t.port))
        data_, peer = server.recvfrom(9000)
        check(data_ == text, f"datagram {n} differs")
        server.sendto(text[::-1], peer)
        check(client.recv(9000) == text[::-1], f"answer {n} differs")


@case("fragments towards a protected address are dropped when the policy says so", group="strict", seawall=True)
def refused(t):
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"whole segments pass")
    with t.lab.counting(lambda g: drops(g, "fragment_refused") >= 2):
        for packet in cut(c, ACK | PSH, b"z" * 1200, (400, 400), seq=c.seq):
            c.send_ip(packet)
    c.exchange(b"z" * 1200)
