# SPDX-License-Identifier: BSD-3-Clause
"""Path MTU discovery: an ICMP error names a segment as it was seen on its side of the box, and must be understood on
the other side, where the same segment has other numbers."""

import random
import struct
import threading

from cases import case
from nets import check, wait_for
from packets import ACK, ICMP, ICMPV6, PSH, checksum, ethernet, ip, parse, pseudo
from rawclient import Wire
from servers import receive_exactly, tcp_info

MTU = {4: 1000, 6: 1280}


def too_big(family, router, to, inner, mtu):
    """RFC 1191 and RFC 8201: the packet that did not fit, cut off, and the MTU it should have had."""
    if family == 4:
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + inner
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        return ip(router, to, ICMP, body)
    body = struct.pack("!BBHI", 2, 0, 0, mtu) + inner
    total = checksum(pseudo(router, to, ICMPV6, len(body)) + body)
    return ip(router, to, ICMPV6, body[:2] + struct.pack("!H", total) + body[4:])


def inner_of(frame, family, length):
    """The IP packet of an untagged frame: its header and `length` bytes behind it."""
    return frame[14:14 + (20 if family == 4 else 40) + length]


@case("ICMP error from outside about the server's segment", also=("two workers",), parameters={
    "with 8 bytes of TCP": 8, "with the whole TCP header": 32, "with 500 bytes": 500})
def outside(t):
    sent = threading.Event()

    def handler(connection):
        connection.recv(10)
        connection.sendall(random.randbytes(30_000))
        sent.set()
        connection.recv(10)

    server = t.serve(handler)
    c = t.raw()
    c.connect()
    c.send(ACK | PSH, b"go")
    big = c.receive(5, lambda s: len(s.payload) > MTU[t.family], "large segment")
    # As a narrow link would: nothing of it arrives, and a router says so. The server then cuts smaller, from there on.
    before = tcp_info(server.open[0])["pmtu"]
    router, hardware = t.lab.raw_address(t.family)
    error = too_big(t.family, router, t.lab.server(t.family), inner_of(big.raw, t.family, t.parameter), MTU[t.family])
    c.note(">", f"ICMP too big, MTU {MTU[t.family]}, about seq {big.seq}")
    c.wire.send(ethernet(t.lab.inside_mac, hardware, error))
    wait_for(lambda: tcp_info(server.open[0])["pmtu"] == MTU[t.family], 5,
             lambda: f"path MTU {MTU[t.family]} at the server; it is {tcp_info(server.open[0])['pmtu']}, was {before}")
    room = MTU[t.family] - (40 if t.family == 4 else 60)
    c.receive(5, lambda s: s.seq == big.seq and 0 < len(s.payload) <= room, "the same bytes in a smaller segment")


@case("ICMP error from inside about the client's segment", also=("two workers",))
def inside(t):
    """A narrow link before the server: large segments are lost there, and the router in front of it says so."""
    t.serve()
    limit = MTU[t.family]
    t.enter(t.lab.inside.nft(f"""chain in {{ type filter hook input priority 0;
        tcp dport {t.port} meta length > {limit} drop
        }}"""))
    wire = t.enter(Wire(t.lab.inside, t.lab.inside_if))
    s = t.connect()
    data = random.randbytes(100_000)
    threading.Thread(target=s.sendall, args=(data,), daemon=True).start()

    def lost():
        frame = wire.receive(0.5)
        if frame and frame[12:14] in (b"\x08\x00", b"\x86\xdd") and len(frame) > limit + 14:
            segment = parse(frame)
            return frame if segment and segment.dport == t.port and segment.payload else None
        return None

    frame = wait_for(lost, 10, "large segment at the server's wire")
    router = "10.20.200.1" if t.family == 4 else "fd00:20::2:1"
    error = too_big(t.family, router, t.lab.client(t.family), inner_of(frame, t.family, 200), limit)
    wire.send(ethernet(t.lab.outside_mac, t.lab.inside_mac, error))
    s.settimeout(20)
    try:
        check(receive_exactly(s, len(data)) == data, "another echo")
        check(tcp_info(s)["pmtu"] == limit, f"path MTU {tcp_info(s)['pmtu']} at the client")
    finally:
        # The kernel remembers the path's MTU for the address: the next case is to find it as it was.
        t.lab.outside.run("ip", "-4" if t.family == 4 else "-6", "route", "flush", "cache")


@case("ICMP error with numbers that are not in flight changes nothing")
def nonsense(t):
    sent = threading.Event()

    def handler(connection):
        connection.recv(10)
        connection.sendall(random.randbytes(20_000))
        sent.set()
        connection.recv(10)

    server = t.serve(handler)
    c = t.raw()
    c.connect()
    c.send(ACK | PSH, b"go")
    big = c.receive(5, lambda s: len(s.payload) > 1000, "large segment")
    before = tcp_info(server.open[0])["pmtu"]
    at = 14 + (20 if t.family == 4 else 40) + 4
    router, hardware = t.lab.raw_address(t.family)
    for offset in (1_000_000_000, 2_000_000_000):
        forged = bytearray(big.raw)
        struct.pack_into("!I", forged, at, (big.seq + offset) & 0xFFFFFFFF)
        error = too_big(t.family, router, t.lab.server(t.family), inner_of(bytes(forged), t.family, 8), MTU[t.family])
        c.wire.send(ethernet(t.lab.inside_mac, hardware, error))
    # The connection lives, and the server's idea of the path is what it was.
    got = c.accept_data(big)
    c.send(ACK)
    c.read(20_000 - len(got))
    check(tcp_info(server.open[0])["pmtu"] == before, f"path MTU {tcp_info(server.open[0])['pmtu']}, was {before}")


@case("ICMP unreachable while the connection begins is no end of it", seawall=True)
def unreachable(t):
    """A forged "port unreachable" about the SYN-ACK, from outside: it concerns nothing that anybody holds."""
    t.serve()
    c = t.raw()
    c.syn()
    answer = c.take_syn_ack()
    router, hardware = t.lab.raw_address(t.family)
    inner = inner_of(answer.raw, t.family, 8)
    if t.family == 4:
        body = struct.pack("!BBHI", 3, 3, 0, 0) + inner
        packet = ip(router, t.lab.server(4), ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])
    else:
        body = struct.pack("!BBHI", 1, 4, 0, 0) + inner
        total = checksum(pseudo(router, t.lab.server(6), ICMPV6, len(body)) + body)
        packet = ip(router, t.lab.server(6), ICMPV6, body[:2] + struct.pack("!H", total) + body[4:])
    c.wire.send(ethernet(t.lab.inside_mac, hardware, packet))
    c.exchange(b"all is well")
