# SPDX-License-Identifier: BSD-3-Clause
"""802.1Q, QinQ, IPv6 extension headers and IPv4 options: none of these may hide a packet from the box, or break it."""

import socket

from cases import case
from lab import CLIENT, SERVER, drops
from nets import check
from packets import ACK, parse
from rawclient import Wire
from relay import Far
from servers import echo, receive_exactly
from transfer import both_ways

TAGS = {"802.1Q": (5,), "QinQ": (100, 7)}
IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 57, 59


@case("8 MiB each way through", also=("two workers",), parameters=TAGS)
def tagged(t):
    """Both hosts behind wires that tag, so that real stacks talk over a tagged segment with addresses of its own."""
    client = t.enter(Far(t.lab, "outside", {t.family: CLIENT[t.family]}, tags=t.parameter, mtu=1400))
    server = t.enter(Far(t.lab, "inside", {t.family: SERVER[t.family]}, tags=t.parameter, mtu=1400))
    real = t.lab.inside
    t.lab.inside = server.namespace
    try:
        both_ways(t, 8 << 20, namespace=client.namespace)
    finally:
        t.lab.inside = real


@case("raw client: priority tags of VLAN 0, answered without tags by the server")
def priority_tag(t):
    t.serve()
    c = t.raw(tags=(0xA000,))
    c.from_mac = t.lab.inside_mac
    c.connect()
    c.exchange(b"important" * 20)
    c.finish()


@case("tagged SYNs are challenged under their own tags", parameters=TAGS, seawall=True)
def tagged_syn(t):
    wire = t.enter(Wire(t.lab.inside, t.lab.inside_if))
    with t.lab.counting(lambda g: g["answered"] >= 2):
        for tags in (t.parameter, tuple(tag | 0xA000 for tag in t.parameter)):  # also with a priority
            c = t.raw(tags=tags)
            c.syn()
            c.take_syn_ack()
    while frame := wire.receive(0):
        segment = parse(frame)
        check(not segment or segment.dport != t.port, f"a SYN went through: {segment}")


@case("a cookie of one VLAN is none in another", parameters=TAGS, seawall=True)
def other_vlan(t):
    one = t.raw(tags=t.parameter)
    one.syn()
    one.take_syn_ack()
    for tags in ((), (6,), (100, 8), (101, 7)):
        thief = t.raw(tags=tags, sport=one.sport)
        thief.address, thief.mac = one.address, one.mac
        thief.seq, thief.ack, thief.echo = one.seq, one.ack, one.echo
        with t.lab.counting(drops):
            thief.send_segment(thief.segment(ACK, b"another VLAN"))


def padding(words):
    """The body of an options header of 8 * (words + 1) bytes, behind Next Header: its length and one option, a PadN, or
    the experimental 0x1e that whoever does not know it skips (RFC 8200, 4.2; Linux takes no padding beyond 7 bytes)."""
    return bytes([words, 0x1E if words else 1, 4 + 8 * words]) + bytes(4 + 8 * words)


ROUTING = bytes([0, 0, 0]) + bytes(4)  # of type 0 with no segment left: to be ignored (RFC 8200, 4.4)
HEADERS = {
    "destination options": ((60, padding(0)),),
    "hop-by-hop options": ((0, padding(0)),),
    "both, and long": ((0, padding(3)), (60, padding(5))),
    "routing header of no segments": ((43, ROUTING),),
}


@case("raw client: IPv6 extension headers,", parameters=HEADERS, families=(6,))
def extension_headers(t):
    server = t.serve()
    c = t.raw()
    c.extensions = t.parameter
    c.connect()
    c.exchange(b"behind headers" * 20)
    c.exchange(b"and again" * 20)
    c.finish()
    check(len(server.accepted) == 1, f"{len(server.accepted)} connections at the server")


@case("real client and server with extension headers on every segment", families=(6,))
def extension_headers_real(t):
    option = (socket.IPPROTO_IPV6, IPV6_DSTOPTS)
    header = bytes([0]) + padding(1)
    t.serve(set={option: header})
    s = t.connect(set={option: header})
    s.settimeout(20)
    for n in range(50):
        data = bytes([n]) * 5000
        s.sendall(data)
        check(receive_exactly(s, len(data)) == data, f"turn {n}: another echo")


@case("real client and server with IPv4 options on every segment", families=(4,))
def ipv4_options(t):
    option = (socket.IPPROTO_IP, socket.IP_OPTIONS)
    nops = bytes([1] * 8)

    def handler(connection):
        connection.setsockopt(*option, nops)
        echo(connection)

    t.serve(handler)
    s = t.connect(set={option: nops})
    s.settimeout(20)
    for n in range(50):
        data = bytes([n]) * 5000
        s.sendall(data)
        check(receive_exactly(s, len(data)) == data, f"turn {n}: another echo")
