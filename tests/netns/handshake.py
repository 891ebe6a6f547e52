# SPDX-License-Identifier: BSD-3-Clause
"""Beginnings of connections: what is lost, early, late, repeated, or carries more than a bare SYN."""

import random
import select
import socket
import struct
import time

from cases import case
from lab import drops
from nets import Skip, check, wait_for
from packets import (ACK, CWR, ECE, FIN, MASK, PSH, RST, SYN, opt_fast_open, opt_mptcp_capable, option)
from servers import echo, has_option, receive_exactly, speaks_first, tcp_info

MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN, TCP_SAVED_SYN = 23, 28
IPPROTO_MPTCP = 262
KNOWN_OPTIONS = {2, 3, 4, 8}


def first_bare_ack_lost(t):
    """On the outside host: the first segment with no data and nothing but ACK set does not leave."""
    return t.lab.outside.nft(f"""chain out {{ type filter hook output priority 0;
        tcp dport {t.port} tcp flags & (fin|syn|rst|psh|ack) == ack meta length <= 100 quota until 100 bytes \
        counter drop
        }}""")


def lost(listing):
    """How many packets the rule dropped."""
    return int(listing.split("packets ")[1].split()[0])


@case("server speaks first, the client's last handshake ACK is lost", also=("two workers",))
def speaks_first_ack_lost(t):
    t.serve(speaks_first(b"220 ready\r\n"))
    show = t.enter(first_bare_ack_lost(t))
    s = t.connect()
    s.settimeout(20)
    check(receive_exactly(s, 11) == b"220 ready\r\n", "another greeting")
    check(lost(show()) == 1, f"the rule should have dropped one ACK: {show()}")
    s.sendall(b"x" * 5000)
    check(receive_exactly(s, 5000) == b"x" * 5000, "another echo")


@case("the last handshake ACK is lost, the client speaks first", also=("two workers",))
def client_first_ack_lost(t):
    t.serve()
    show = t.enter(first_bare_ack_lost(t))
    s = t.connect()
    s.sendall(b"y" * 5000)
    s.settimeout(15)
    check(receive_exactly(s, 5000) == b"y" * 5000, "another echo")
    check(lost(show()) == 1, f"the rule should have dropped one ACK: {show()}")


@case("raw client: data in the first ACK")
def data_in_first_ack(t):
    server = t.serve()
    c = t.raw()
    c.syn()
    c.take_syn_ack()
    c.exchange(b"first words, and no bare ACK before them")
    c.exchange(b"more")
    check(len(server.accepted) == 1, f"{len(server.accepted)} connections at the server")
    c.finish()


@case("raw client: ten segments before the server has answered", also=("two workers",))
def early_data(t):
    """A client may send a window of data straight behind its ACK."""
    t.serve()
    c = t.raw()
    c.syn()
    c.take_syn_ack()
    start, parts = c.seq, [bytes([n]) * 500 for n in range(10)]
    for part in parts:
        c.send(ACK | PSH, part)
    whole, back, end = b"".join(parts), b"", time.monotonic() + 15
    while len(back) < len(whole):
        s = c.receive_or_none(0.5)
        if s is None:
            check(time.monotonic() < end, f"{len(back)} of {len(whole)} echoed\n{c.history()}")
            # What the peer has not acknowledged goes again, as after a retransmission timeout.
            done = (acknowledged - start) & MASK if (acknowledged := getattr(c, "acknowledged", start)) else 0
            c.send_segment(c.segment(ACK | PSH, whole[done:done + 1000], seq=start + done))
            continue
        check(not s.flags & RST, "reset")
        c.acknowledged = s.ack
        if s.payload:
            back += c.accept_data(s)
            c.send(ACK)
    check(back == whole, "the echo differs")
    c.finish()


@case("raw client: greeting arrives without any data from the client")
def greeting_raw(t):
    t.serve(speaks_first(b"hello\r\n"))
    c = t.raw()
    c.connect()
    check(c.read(7) == b"hello\r\n", "another greeting")
    c.finish()


@case("raw client: SYN with data")
def syn_with_data(t):
    """The data is neither acknowledged nor reflected; the client sends it again (RFC 9293, 3.10.7.4)."""
    t.serve()
    c = t.raw()
    c.syn(payload=b"too early")
    answer = c.receive(5, lambda s: s.flags & SYN, "SYN-ACK")
    check(answer.payload == b"", f"the SYN-ACK carries data {answer.payload!r}")
    check(answer.ack in ((c.isn + 1) & MASK, (c.isn + 10) & MASK), f"acknowledges {answer.ack}")
    if t.seawall:
        check(answer.ack == (c.isn + 1) & MASK, "acknowledges data that nobody has")
    c.seq, c.ack = (c.isn + 1) & MASK, (answer.seq + 1) & MASK
    c.echo = answer.timestamps[0]
    c.exchange(b"too early")
    c.finish()


@case("TCP Fast Open asked for, with data")
def fast_open(t):
    t.enter(t.lab.inside.sysctl({"ipv4/tcp_fastopen": 3}))
    t.enter(t.lab.outside.sysctl({"ipv4/tcp_fastopen": 1}))
    t.serve(set={(socket.IPPROTO_TCP, TCP_FASTOPEN): 16})
    for n in range(3):
        s = t.enter(t.lab.outside.socket(socket.AF_INET if t.family == 4 else socket.AF_INET6, socket.SOCK_STREAM))
        s.settimeout(15)
        data = f"fast open {n}".encode() * 20
        try:
            s.sendto(data, MSG_FASTOPEN, (t.lab.server(t.family), t.port))
        except BlockingIOError:  # no Fast Open cookie yet: an ordinary handshake is under way, the data is still ours
            select.select([], [s], [], 10)
            s.sendall(data)
        check(receive_exactly(s, len(data)) == data, "another echo")
        s.sendall(b"and on")
        check(receive_exactly(s, 6) == b"and on", "another echo")


@case("raw client: SYN with a Fast Open cookie and data: no such option in the answer")
def fast_open_raw(t):
    t.serve()
    c = t.raw()
    c.syn(more_options=[opt_fast_open(bytes(range(8)))], payload=b"data")
    answer = c.receive(5, lambda s: s.flags & SYN, "SYN-ACK")
    check(set(answer.opts) <= KNOWN_OPTIONS, f"options {sorted(answer.opts)} in the SYN-ACK")
    check(answer.payload == b"", "the SYN-ACK carries data")
    c.seq, c.ack, c.echo = (c.isn + 1) & MASK, (answer.seq + 1) & MASK, answer.timestamps[0]
    c.exchange(b"data")


@case("MPTCP asked for: falls back and carries data", also=("two workers",))
def mptcp(t):
    try:
        t.lab.outside.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError as error:
        raise Skip(f"no MPTCP in this kernel: {error}") from error
    t.serve(protocol=IPPROTO_MPTCP)
    s = t.connect(protocol=IPPROTO_MPTCP)
    data = random.randbytes(200_000)
    t.enter(_sending(s, data))
    s.settimeout(15)
    check(receive_exactly(s, len(data)) == data, "another echo")


def _sending(sock, data):
    import contextlib
    import threading

    @contextlib.contextmanager
    def running():
        thread = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
        thread.start()
        yield
        thread.join(10)
    return running()


@case("raw client: MPTCP and unknown options are not reflected")
def unknown_options(t):
    t.serve()
    for more in ([opt_mptcp_capable()], [option(253, b"\xf9\x89ab")], [option(76, bytes(6))], [option(14, b"\x01")]):
        c = t.raw()
        c.syn(more_options=more)
        answer = c.take_syn_ack()
        check(set(answer.opts) <= KNOWN_OPTIONS, f"options {sorted(answer.opts)} in the SYN-ACK for {more[0].hex()}")
        c.send(ACK)
        c.exchange(b"still a connection")


def ecn(t, wanted):
    """Both ends believe the same of ECN; in the end it is as wanted (None: either way)."""
    t.enter(t.lab.inside.sysctl({"ipv4/tcp_ecn": 1}))
    t.enter(t.lab.outside.sysctl({"ipv4/tcp_ecn": 1}))
    server_saw = []

    def handler(connection):
        echo(connection)
        server_saw.append(has_option(connection, "ecn"))

    t.serve(handler)
    granted = None
    for n in range(3):
        s = t.connect()
        s.settimeout(15)
        data = random.randbytes(100_000)
        with _sending(s, data):
            check(receive_exactly(s, len(data)) == data, "another echo")
        granted = has_option(s, "ecn")
        s.shutdown(socket.SHUT_WR)
        wait_for(lambda: len(server_saw) == n + 1, 5, "end of the server's handler")
        check(not granted or server_saw[n], "the client believes in ECN, the server does not")
    check(wanted is None or granted == server_saw[-1] == wanted, f"ECN: client {granted}, server {server_saw[-1]}")


@case("ECN asked for: both ends believe the same")
def ecn_learned(t):
    ecn(t, None)


@case("ECN asked for and granted end to end, since the operator says that the server has it", group="limits")
def ecn_set(t):
    if t.seawall:
        policy = t.lab.config()
        next(one for one in policy["services"] if one["name"] == t.service)["backend"] = {"ecn": "yes"}
        t.lab.reload(policy)
    ecn(t, True)


@case("raw client: ECN SYN towards a server without ECN")
def ecn_refused(t):
    t.enter(t.lab.inside.sysctl({"ipv4/tcp_ecn": 0}))
    t.serve()
    for n in range(2):
        c = t.raw()
        c.syn(flags=SYN | ECE | CWR)
        answer = c.take_syn_ack()
        if n:
            check(not answer.flags & ECE, "ECN granted in the name of a server that has none")
        c.send(ACK)
        c.exchange(b"no ECN, no harm")
        c.finish()


@case("raw client: retransmitted SYN with a new TSval, then the handshake with the second SYN-ACK")
def syn_again(t):
    server = t.serve()
    c = t.raw()
    c.syn()
    c.take_syn_ack()
    c.clock += 1000
    c.syn()
    second = c.receive(5, lambda s: s.flags & SYN, "second SYN-ACK")
    c.seq, c.ack, c.echo = second.ack, (second.seq + 1) & MASK, second.timestamps[0]
    c.send(ACK)
    c.exchange(b"one connection, not two")
    check(len(server.accepted) == 1, f"{len(server.accepted)} connections at the server")
    c.finish()


@case("raw client: retransmitted SYN, then the handshake with the first SYN-ACK")
def syn_again_first_wins(t):
    t.serve()
    c = t.raw()
    c.syn()
    first = c.take_syn_ack()
    c.clock += 1000
    c.syn()
    c.receive(5, lambda s: s.flags & SYN, "second SYN-ACK")
    c.seq, c.ack, c.echo = first.ack, (first.seq + 1) & MASK, first.timestamps[0]
    c.send(ACK)
    c.exchange(b"the first one counts as well")
    c.finish()


@case("raw client: repeated handshake ACKs and SYNs after the handshake", also=("two workers",))
def duplicates(t):
    server = t.serve()
    c = t.raw()
    c.connect()
    for _ in range(3):
        c.send(ACK)
    c.exchange(b"alive")
    # An old SYN of the same connection must not break it (RFC 5961, 4.2: at most a challenge ACK).
    c.syn()
    c.exchange(b"still alive")
    check(len(server.accepted) == 1, f"{len(server.accepted)} connections at the server")
    c.finish()


@case("raw client: TSval about to wrap")
def timestamps_wrap(t):
    t.serve()
    c = t.raw()
    c.clock = 0xFFFFFFFE
    c.connect()
    c.exchange(b"before")
    for n in range(4):
        c.clock = (c.clock + 1) & MASK
        c.exchange(f"step {n}".encode())
    c.finish()


@case("raw client: sequence numbers about to wrap")
def sequence_wrap(t):
    t.serve()
    c = t.raw(isn=0xFFFFFFF0)
    c.connect()
    c.exchange(b"z" * 1000)
    c.exchange(b"a" * 1000)
    c.finish()


@case("raw client: every shape of option list is answered in kind", parameters={
    "all": {}, "without timestamps": {"timestamps": False}, "without SACK": {"sack": False},
    "without window scale": {"wscale": None}, "bare": {"timestamps": False, "sack": False, "wscale": None},
    "window scale 0": {"wscale": 0}, "window scale 14": {"wscale": 14},
    "window scale 15 (counts as 14)": {"wscale": 15},
    "MSS 536": {"mss": 536}, "MSS 1": {"mss": 1}, "MSS 8960": {"mss": 8960}, "MSS 65535": {"mss": 65535}})
def shapes(t):
    t.serve()
    for _ in range(2):
        c = t.raw(**t.parameter)
        wanted_timestamps = c.use_timestamps
        answer = c.connect()
        offered = answer.opts
        check((8 in offered) == wanted_timestamps, f"timestamps: asked {wanted_timestamps}, got {8 in offered}")
        check(c.sack or 4 not in offered, "SACK granted that nobody asked for")
        check(c.wscale is not None or 3 not in offered, "window scale granted that nobody asked for")
        check(2 in offered and struct.unpack("!H", offered[2])[0] >= 536, "no MSS, or one below 536")
        if wanted_timestamps:
            check(answer.timestamps[1] == c.clock & MASK, "TSecr is not our TSval")
        c.exchange(b"q" * 300)
        c.exchange(b"r" * 300)
        # MSS 1 would make this case the test of a silly window; the echo alone is enough there.
        c.finish()


@case("raw client: a segment larger than its MSS is never sent to a client,",
      parameters={"MSS 536": 536, "MSS 1000": 1000})
def client_mss(t):
    size = 20_000

    def handler(connection):
        connection.sendall(b"m" * size)
        echo(connection)

    t.serve(handler)
    c = t.raw(mss=t.parameter)
    c.connect()
    got, end = 0, time.monotonic() + 15
    while got < size:
        check(time.monotonic() < end, f"{got} of {size} bytes")
        s = c.receive(5, lambda s: s.payload, "data")
        room = t.parameter - len(s.options)
        check(len(s.payload) <= room,
              f"{len(s.payload)} bytes of payload and {len(s.options)} of options, MSS {t.parameter}")
        got += len(c.accept_data(s))
        c.send(ACK)


@case("raw client: impossible and unwanted first packets make no connection", seawall=True)
def not_a_handshake(t):
    server = t.serve()
    packets = {"ACK from nowhere": (ACK, b""), "data from nowhere": (ACK | PSH, b"GET / HTTP/1.0\r\n\r\n"),
               "RST": (RST, b""), "FIN-ACK": (FIN | ACK, b""), "SYN-ACK": (SYN | ACK, b""), "no flags": (0, b""),
               "SYN-FIN": (SYN | FIN, b""), "SYN-RST": (SYN | RST, b""), "Christmas tree": (0x3F, b"")}
    with t.lab.counting(lambda g: drops(g) >= 5 * (len(packets) - 1)):
        for flags, payload in packets.values():
            c = t.raw()
            c.ack = random.getrandbits(32)
            for _ in range(5):
                c.send_segment(c.segment(flags, payload))
    check(not server.accepted, f"{len(server.accepted)} connections at the server")


@case("raw client: a guessed cookie makes no connection", seawall=True)
def guessed(t):
    server = t.serve()
    c = t.raw()
    c.syn()
    answer = c.take_syn_ack()
    right = c.ack
    with t.lab.counting(lambda g: drops(g) >= 8):
        for wrong in [right + 1, right + 0x100] + [right ^ 1 << bit for bit in (1, 2, 3, 4, 5, 31)]:
            c.send_segment(c.segment(ACK | PSH, b"let me in", ack=wrong))
        check(c.receive_or_none(0.3, lambda s: not s.flags & (RST | SYN)) is None, "a guessed cookie was answered")
    check(not server.accepted, "a guessed cookie reached the server")
    # The right one is still good: nothing that a stranger sends may spoil it.
    c.seq, c.ack, c.echo = answer.ack, right, answer.timestamps[0]
    c.exchange(b"the right one")
    c.finish()


@case("raw client: a cookie of another port, address or ISN makes no connection", seawall=True)
def stolen(t):
    server = t.serve()
    one = t.raw()
    one.syn()
    one.take_syn_ack()
    thieves = [t.raw(sport=one.sport ^ 1), t.raw(sport=one.sport, number=4900), t.raw(port=t.port + 1, sport=one.sport)]
    for thief in thieves:
        thief.seq, thief.ack, thief.echo = one.seq, one.ack, one.echo
        thief.send_segment(thief.segment(ACK | PSH, b"not mine"))
    shifted = one.segment(ACK | PSH, b"another ISN", seq=one.seq + 1)
    one.send_segment(shifted)
    one.exchange(b"honest")
    check(len(server.accepted) == 1, f"{len(server.accepted)} connections at the server")


@case("SYN-ACK towards the protected server, and from it to nobody", seawall=True)
def stray_syn_ack(t):
    """A SYN-ACK from outside that nobody asked for is dropped, so the server sends no RST (and reveals nothing)."""
    c = t.raw()
    c.ack = 12345
    with t.lab.counting(drops):
        c.send_segment(c.segment(SYN | ACK))
        check(c.receive_or_none(0.5) is None, "a stray SYN-ACK was answered")


@case("connections that the protected host opens itself")
def outgoing(t):
    """The box guards servers; a server as client goes out as without the box, from a protected port too."""
    listener = t.enter(t.lab.outside.socket(socket.AF_INET if t.family == 4 else socket.AF_INET6, socket.SOCK_STREAM))
    listener.bind((t.lab.client(t.family), 0))
    listener.listen(8)
    listener.settimeout(10)
    for sport in (0, t.port):
        s = t.enter(t.lab.inside.socket(listener.family, socket.SOCK_STREAM))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(10)
        if sport:
            s.bind((t.lab.server(t.family), sport))
        s.connect((t.lab.client(t.family), listener.getsockname()[1]))
        peer = t.enter(listener.accept()[0])
        peer.settimeout(10)
        s.sendall(b"out")
        check(receive_exactly(peer, 3) == b"out", "another text")
        peer.sendall(b"back")
        check(receive_exactly(s, 4) == b"back", "another text")
        check(tcp_info(s)["state"] == 1, "not established")


@case("raw client: the key changes between SYN-ACK and ACK", background=True, seawall=True, seconds=150)
def key_changes(t):
    """Epochs are 32 s of wall time; the ACK comes just after a boundary, with the cookie from before it."""
    t.serve()
    shapes_ = [t.raw(), t.raw(timestamps=False)]
    while time.time() % 32 < 29:
        time.sleep(0.25)
    epoch = int(time.time() // 32)
    for c in shapes_:
        c.syn()
        c.take_syn_ack()
    check(int(time.time() // 32) == epoch, "the machine was too slow for this case")
    while time.time() // 32 == epoch or time.time() % 32 < 1:
        time.sleep(0.1)
    for c in shapes_:
        c.exchange(b"an old key opens for one epoch more")
        c.finish()


@case("raw client: a cookie older than two epochs makes no connection", background=True, seawall=True, seconds=150)
def too_old(t):
    server = t.serve(port=t.port + 1)
    c = t.raw(port=t.port + 1)
    c.syn()
    c.take_syn_ack()
    born = int(time.time() // 32)
    while time.time() // 32 < born + 2 or time.time() % 32 < 1:
        time.sleep(0.25)
    c.send_segment(c.segment(ACK | PSH, b"late"))
    answer = c.receive_or_none(2, lambda s: not s.flags & (RST | SYN))
    check(answer is None, f"answered: {answer}")
    check(not server.accepted, "an expired cookie reached the server")
