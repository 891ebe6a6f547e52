# SPDX-License-Identifier: BSD-3-Clause
"""What is none of the box's business crosses it byte for byte, in both directions."""

import random
import struct

from cases import case, group
from nets import check
from packets import ACK, ICMP, ICMPV6, PSH, SYN, UDP, Segment, checksum, ethernet, ip, ipv4, ipv6, pseudo, tcp_bytes
from rawclient import Wire

TO = "02:99:00:00:00:%02x"
STRANGER = {4: ("10.20.210.1", "10.20.210.2"), 6: ("fd00:20::3:1", "fd00:20::3:2")}


@group("steer all")
def _all(lab):
    return lab.config(boot={"steer": "all"})


@group("strict")
def _strict(lab):
    return lab.config(**{"global": {"fragments": "drop"}})


def udp(src, dst, sport, dport, payload):
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    total = checksum(pseudo(src, dst, UDP, len(head) + len(payload)) + head + payload)
    return head[:6] + struct.pack("!H", total or 0xFFFF) + payload


def bodies(t, server_first):
    """{name: (EtherType or None for IP, bytes)} of all that the box must not touch, towards or from the server."""
    src, dst = STRANGER[t.family]
    one, two = (t.lab.server(t.family), src) if server_first else (src, t.lab.server(t.family))

    def tcp(port, flags=SYN, options=b"", payload=b""):
        ports = (port, 5555) if server_first else (5555, port)
        return tcp_bytes(Segment(one, two, *ports, flags, 1, 2, payload, options))

    result = {
        "TCP SYN, port of nobody": (None, ip(one, two, 6, tcp(9998))),
        "TCP data, port of nobody": (None, ip(one, two, 6, tcp(9998, ACK | PSH, b"", b"d" * 900))),
        "TCP with broken options, port of nobody": (None, ip(one, two, 6, tcp(9998, SYN, b"\x02\x01\x00\x00"))),
        "TCP between others, a protected port": (None, ip(src, dst, 6, tcp_bytes(
            Segment(src, dst, 5555, t.port, SYN)))),
        "UDP to a protected port": (None, ip(one, two, UDP, udp(one, two, 53, t.port, b"u" * 300))),
        "SCTP": (None, ip(one, two, 132, random.randbytes(40))),
        "GRE": (None, ip(one, two, 47, random.randbytes(60))),
        "protocol 253": (None, ip(one, two, 253, b"experiment")),
        "unknown EtherType": (0x88B5, random.randbytes(100)),
        "MPLS": (0x8847, random.randbytes(100)),
        "three VLAN tags": (0x8100, bytes.fromhex("0005 8100 0006 8100 0007 0800") + ip(
            "10.20.0.2", "10.20.0.10", 6, tcp_bytes(Segment("10.20.0.2", "10.20.0.10", 1, t.port, SYN)))),
        "a VLAN with UDP": (0x8100, struct.pack("!HH", 0xE005, 0x0800) + ipv4("10.20.0.2", "10.20.0.10", UDP, udp(
            "10.20.0.2", "10.20.0.10", 1, 2, b"v" * 50))),
        "trailing bytes behind the packet": (None, ip(one, two, UDP, udp(one, two, 7, 7, b"x")) + b"\xaa" * 31),
        "no payload at all": (0x88B5, bytes(46)),
    }
    if t.family == 4:
        plain = ipv4(one, two, UDP, b"12345678")
        echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"e" * 56
        result |= {
            "ICMP echo": (None, ipv4(one, two, ICMP, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])),
            "ARP request for nobody": (0x0806, bytes.fromhex(
                "0001080006040001 026600000009 0a14d201 000000000000 0a14d203")),
            "IPv4, header checksum wrong": (None, plain[:10] + b"\0\0" + plain[12:]),
            "IGMP": (None, ipv4(one, "224.0.0.251", 2, bytes.fromhex("160009 04e00000fb"), ttl=1)),
        }
    else:
        echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1) + b"e" * 56
        total = checksum(pseudo(one, two, ICMPV6, len(echo)) + echo)
        result |= {
            "ICMPv6 echo": (None, ipv6(one, two, ICMPV6, echo[:2] + struct.pack("!H", total) + echo[4:])),
            "neighbour solicitation for nobody": (None, ipv6(src, "ff02::1:ff03:9999", ICMPV6, bytes.fromhex(
                "87000000 00000000 fd000020000000000000000000039999"), hops=255)),
            "no next header": (None, ipv6(one, two, 59, b"whatever")),
            "ESP": (None, ipv6(one, two, 50, random.randbytes(80))),
        }
    return result


def cross(t, frames_of):
    for number, (sender, receiver, server_first) in enumerate((
            ((t.lab.outside, t.lab.outside_if), (t.lab.inside, t.lab.inside_if), False),
            ((t.lab.inside, t.lab.inside_if), (t.lab.outside, t.lab.outside_if), True))):
        to = TO % (number + 1)
        out, there = t.enter(Wire(*sender)), t.enter(Wire(*receiver, to_mac=to))
        for name, (ethertype, body) in frames_of(t, server_first).items():
            frame = ethernet(to, TO % (0x10 + number), body, ethertype=ethertype)
            if len(frame) < 60:
                frame += bytes(60 - len(frame))
            out.send(frame)
            got = there.receive(3)
            what = f"{name}, {'from' if server_first else 'towards'} the server"
            check(got is not None, f"{what}: did not arrive")
            check(got == frame, f"{what}: changed\n  sent {frame.hex()}\n  got  {got.hex()}")
        check(there.receive(0.2) is None, "something came twice")


@case("frames of other protocols cross untouched")
def untouched(t):
    cross(t, bodies)


@case("frames of other protocols cross untouched, every frame through the dataplane", group="steer all", seawall=True)
def untouched_all(t):
    with t.lab.counting(lambda g: g["forwarded"] >= 30) as grown:
        cross(t, bodies)
    check(not grown["dropped"], f"dropped: {grown['dropped']}")


@case("LLDP crosses when every frame goes through the dataplane", group="steer all", seawall=True, families=(4,))
def lldp(t):
    """01:80:c2:00:00:0e: a bridge keeps it to itself, a wire does not."""
    there = t.enter(Wire(t.lab.inside, t.lab.inside_if))
    out = t.enter(Wire(t.lab.outside, t.lab.outside_if))
    body = bytes.fromhex("0207 04 026600000000 0404 05 657468 0602 0078 0000") + bytes(40)
    frame = ethernet("01:80:c2:00:00:0e", "02:66:00:00:00:0a", body, ethertype=0x88CC)
    out.send(frame)
    while (got := there.receive(3)) is not None:
        if got[12:14] == b"\x88\xcc":
            check(got == frame, f"changed: {got.hex()}")
            return
    check(False, "LLDP did not arrive")


@case("frames that are not ours are in the sums", group="steer all", seawall=True)
def not_ours_counts(t):
    src, dst = STRANGER[t.family]
    out = t.enter(Wire(t.lab.outside, t.lab.outside_if))
    frame = ethernet(TO % 0x55, TO % 0x56, ip(src, dst, UDP, udp(src, dst, 1, 2, b"count me")))
    with t.lab.counting(lambda g: g["rx"] >= 500 and g["forwarded"] >= 500):
        for _ in range(500):
            out.send(frame)
