# SPDX-License-Identifier: BSD-3-Clause
"""What is translated inside an established connection, number by number; and losses between box and server."""

import random
import socket
import threading
import time

from cases import case
from nets import check, wait_for
from packets import ACK, FIN, MASK, PSH, join_options, opt_sack, opt_timestamps
from servers import echo, receive_exactly, receive_to_end, speaks_first, tcp_info


def sends(size):
    """A server that waits for a word and then sends a lot."""
    def handler(connection):
        connection.recv(10)
        connection.sendall(random.Random(size).randbytes(size))
        connection.recv(10)
    return handler


def burst(c, count, seconds=5):
    """The first `count` different data segments, none of them acknowledged."""
    seen = {}
    end = time.monotonic() + seconds
    while len(seen) < count:
        s = c.receive(max(0.01, end - time.monotonic()), lambda s: s.payload,
                      f"{count} data segments, {len(seen)} came;")
        seen.setdefault(s.seq, s)
    return [seen[k] for k in sorted(seen, key=lambda q: (q - c.ack) & MASK)]


@case("raw client: SACK blocks of the client are understood by the server")
def sack_of_client(t):
    """One hole, three segments SACKed behind it: the server counts three, and sends the hole again."""
    server = t.serve(sends(60_000))
    c = t.raw()
    c.connect()
    c.send(ACK | PSH, b"go")
    segments = burst(c, 6)
    c.accept_data(segments[0])
    hole = segments[1]
    options = join_options(opt_timestamps(c.clock, c.echo), opt_sack([(segments[5].seq, segments[5].next_seq),
                                                                     (segments[2].seq, segments[3].next_seq)]))
    for _ in range(4):
        c.send_segment(c.segment(ACK, ack=hole.seq, options=options))
    wait_for(lambda: tcp_info(server.open[0])["sacked"] == 3, 5,
             lambda: f"three SACKed at the server, but {tcp_info(server.open[0])['sacked']}; seen:\n{c.history()}")
    c.receive(5, lambda s: s.payload and s.seq == hole.seq, "second copy of the hole")


@case("raw client: SACK blocks of the server are right for the client")
def sack_of_server(t):
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"begin")
    start = c.seq
    c.send_segment(c.segment(ACK | PSH, b"3" * 100, seq=start + 200))
    s = c.receive(5, lambda s: 5 in s.opts, "ACK with SACK")
    block = s.opts[5]
    left, right = int.from_bytes(block[:4], "big"), int.from_bytes(block[4:8], "big")
    check((left, right) == ((start + 200) & MASK, (start + 300) & MASK),
          f"SACK {left}-{right}, not {start + 200}-{start + 300}")
    check(s.ack == start & MASK, f"ACK {s.ack}, not {start}")
    c.send_segment(c.segment(ACK | PSH, b"12" * 100, seq=start))
    c.seq = (start + 300) & MASK
    check(c.read(300) == b"12" * 100 + b"3" * 100, "another echo")


@case("raw client: TSecr names what was sent, at either end")
def echo_of_timestamps(t):
    server = t.serve()
    c = t.raw()
    c.connect()
    for n in range(10):
        c.clock = (c.clock + 1000) & MASK
        c.send(ACK | PSH, b"t" * 50)
        s = c.receive(5, lambda s: s.payload, "echo")
        check(s.timestamps and s.timestamps[1] == c.clock, f"turn {n}: TSecr {s.timestamps}, our TSval {c.clock}")
        c.accept_data(s)
        c.send(ACK)
    # A TSecr that is off gives the server a round trip that is off.
    wait_for(lambda: 0 < tcp_info(server.open[0])["rtt"] < 2_000_000, 5,
             lambda: f"sane RTT at the server; {tcp_info(server.open[0])}")


@case("real client: round trips are sane at both ends")
def round_trips(t):
    server = t.serve()
    s = t.connect()
    s.settimeout(10)
    for _ in range(20):
        s.sendall(b"r" * 100)
        receive_exactly(s, 100)
    for name, one in (("client", s), ("server", server.open[0])):
        check(0 < tcp_info(one)["rtt"] < 1_000_000, f"RTT {tcp_info(one)['rtt']} us at the {name}")


WINDOWS = {"scale 7": (7, 100), "scale 0": (0, 20_000), "no scale": (None, 20_000), "scale 14": (14, 2)}


@case("raw client: its window is the limit of what it is sent,", parameters=WINDOWS)
def window(t):
    """Also when the server scales otherwise than the box had promised, or not at all."""
    t.serve(sends(300_000))
    t.enter(t.lab.inside.sysctl({"ipv4/tcp_window_scaling": 1}))
    for server_scales in (1, 0):
        t.lab.inside.write_sysctl("ipv4/tcp_window_scaling", server_scales)
        for turn in range(2):
            scale, value = t.parameter
            room = value << (scale or 0)
            c = t.raw(wscale=scale)
            c.syn(window=min(room, 65535))
            if 3 not in c.take_syn_ack().opts:  # then ours is not scaled either (RFC 7323, 2.2)
                value = room = min(room, 65535)
            c.send(ACK | PSH, b"go", window=value)
            start, reach = c.ack, 0
            while (s := c.receive_or_none(1.0, lambda s: s.payload)) is not None and reach <= room:
                reach = max(reach, (s.seq + len(s.payload) - start) & MASK)
            where = f"turn {turn}, server scales {server_scales}"
            check(0 < reach <= room, f"{where}: {reach} bytes sent into a window of {room}")
            # It can all be used, at least up to what the server's congestion window lets it send at once.
            check(reach >= min(room, 10_000) - 1500, f"{where}: only {reach} of {room} used")


@case("urgent data keeps its place", also=("two workers",))
def urgent(t):
    seen = []

    def handler(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        seen.append(receive_to_end(connection))

    t.serve(handler)
    s = t.connect()
    s.sendall(b"before")
    s.send(b"!", socket.MSG_OOB)
    s.sendall(b"after")
    s.shutdown(socket.SHUT_WR)
    wait_for(lambda: seen, 10, "end at the server")
    check(seen[0] == b"before!after", f"{seen[0]}")


@case("raw client: packets without DF, and padding behind short ones")
def no_df(t):
    t.serve()
    c = t.raw()
    c.df, c.padding = t.family == 6, b"\xaa"
    c.use_timestamps = False
    c.connect()
    for n in range(1, 8):
        c.exchange(bytes([n]) * n)
    c.finish()


@case("raw client: data and FIN in the first ACK")
def data_and_fin(t):
    seen = []

    def handler(connection):
        data = receive_to_end(connection)
        seen.append(data)
        connection.sendall(data[::-1])

    t.serve(handler)
    for payload in (b"all I have to say", b""):
        c = t.raw()
        c.syn()
        c.take_syn_ack()
        first = c.segment(ACK | FIN | PSH, payload)
        c.send(ACK | FIN | PSH, payload)
        got, ended, end = b"", False, time.monotonic() + 10
        while not ended:
            s = c.receive_or_none(1.0)
            check(time.monotonic() < end, f"no end; seen:\n{c.history()}")
            if s is None:
                c.send_segment(first)  # as after a retransmission timeout
                continue
            got += c.accept_data(s)
            ended = bool(s.flags & FIN) and c.ack == s.next_seq
            c.send(ACK)
        check(got == payload[::-1], f"{got!r} for {payload!r}")
    check(seen == [b"all I have to say", b""], f"the server saw {seen}")


def lose(t, namespace, hook, direction, flags):
    """The first packet of the case's port with just these flags and no data is lost in that host."""
    return namespace.nft(f"""chain c {{ type filter hook {hook} priority 0;
        tcp {direction} {t.port} tcp flags & (fin|syn|rst|psh|ack) == {flags} meta length <= 100 quota until 100 bytes \
        counter drop
        }}""")


LOSSES = {
    "the SYN-ACK to the client": ("outside", "input", "sport", "(syn|ack)"),
    "the client's SYN": ("outside", "output", "dport", "syn"),
    "the SYN to the server": ("inside", "input", "dport", "syn"),
    "the server's SYN-ACK": ("inside", "output", "sport", "(syn|ack)"),
    "the first ACK to the server": ("inside", "input", "dport", "ack"),
    "the first ACK of the server": ("inside", "output", "sport", "ack"),
}


@case("lost on the way:", also=("two workers",), parameters={
    f"{what}, {first} first": (*how, first) for what, how in LOSSES.items() for first in ("client", "server")})
def losses(t):
    """Each is lost once, in a connection where the client or the server speaks first; each heals as without the box."""
    where, hook, direction, flags, first = t.parameter
    t.serve(speaks_first(b"hello\n") if first == "server" else echo)
    show = t.enter(lose(t, getattr(t.lab, where), hook, direction, flags))
    s = t.connect(seconds=20)
    s.settimeout(20)
    if first == "server":
        check(receive_exactly(s, 6) == b"hello\n", "another greeting")
    s.sendall(b"w" * 3000)
    check(receive_exactly(s, 3000) == b"w" * 3000, "another echo")
    check("packets 1 " in show(), f"the rule should have dropped one packet: {show()}")


@case("bulk in both directions while every 50th packet to and from the server is lost")
def lossy_server_side(t):
    """Losses between box and server, that the box itself does not see."""
    t.enter(t.lab.inside.nft(f"""
        chain i {{ type filter hook input priority 0; tcp dport {t.port} numgen inc mod 50 == 1 drop
        }}
        chain o {{ type filter hook output priority 0; tcp sport {t.port} numgen inc mod 50 == 1 drop
        }}"""))
    t.serve()
    s = t.connect(seconds=20)
    s.settimeout(60)
    data = random.Random(t.number).randbytes(4 << 20)
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    check(receive_to_end(s) == data, "another echo")
