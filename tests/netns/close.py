# SPDX-License-Identifier: BSD-3-Clause
"""Ends of connections, what follows them, and servers that are not there."""

import errno
import socket
import struct
import threading
import time

from cases import case
from lab import SERVER
from nets import Failure, check, wait_for
from packets import ACK, FIN, MASK, PSH, RST, SYN
from servers import receive_exactly, receive_to_end, tcp_info

LINGER_RESET = struct.pack("ii", 1, 0)
TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 4, 5, 6


@case("port reuse right after the server closed, 30 times")
def reuse_after_server_close(t):
    def handler(connection):
        data = connection.recv(100)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        receive_to_end(connection)

    t.serve(handler)
    sport = 3000 + t.number  # below the ephemeral ports, so that nobody else gets it
    for n in range(30):
        with t.lab.connect(t.family, t.port, sport=sport) as s:
            s.sendall(f"turn {n:04}".encode())
            check(receive_to_end(s) == f"turn {n:04}".encode(), f"turn {n}: another answer")


@case("port reuse right after a reset, 30 times", also=("two workers",))
def reuse_after_reset(t):
    t.serve()
    sport = 3000 + t.number  # below the ephemeral ports, so that nobody else gets it
    for n in range(30):
        with t.lab.connect(t.family, t.port, sport=sport) as s:
            s.sendall(f"turn {n:04}".encode())
            check(receive_exactly(s, 9) == f"turn {n:04}".encode(), f"turn {n}: another answer")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)


@case("raw client: port reuse while the server still holds the old connection")
def reuse_half_open(t):
    """The client forgot everything (a reboot). Its SYN must lead to a working connection, as RFC 9293, 3.5.1 has it."""
    t.serve()
    old = t.raw()
    old.connect()
    old.exchange(b"before the reboot")
    c = t.raw(sport=old.sport)
    c.address, c.mac = old.address, old.mac
    c.wire.close()
    c.wire = old.wire
    c.isn = c.seq = (old.seq + 0x10000000) & MASK
    c.clock = (old.clock + 100000) & MASK
    end = time.monotonic() + 20
    while True:
        check(time.monotonic() < end, "no new connection\n" + c.history())
        c.syn()
        s = c.receive_or_none(2, lambda s: s.flags & SYN or s.flags & ACK)
        if s is None:
            continue
        if s.flags & SYN and s.ack == (c.isn + 1) & MASK:
            break
        # A challenge ACK for the old connection: its receiver answers with a RST, then tries again.
        c.send_segment(c.segment(RST, seq=s.ack, options=b""))
    c.seq, c.ack, c.use_timestamps = s.ack, (s.seq + 1) & MASK, s.timestamps is not None
    c.echo = s.timestamps[0] if s.timestamps else 0
    c.exchange(b"after the reboot", seconds=20)


@case("half-close by the client: the server sends on")
def half_close_client(t):
    size = 2_000_000

    def handler(connection):
        asked = receive_to_end(connection)
        connection.sendall(asked[:1] * size)

    t.serve(handler)
    s = t.connect()
    s.sendall(b"k" * 1000)
    s.shutdown(socket.SHUT_WR)
    s.settimeout(20)
    got = receive_to_end(s)
    check(got == b"k" * size, f"{len(got)} of {size} bytes after the half-close")


@case("half-close by the server: the client sends on")
def half_close_server(t):
    size, seen = 2_000_000, []

    def handler(connection):
        connection.sendall(b"your turn")
        connection.shutdown(socket.SHUT_WR)
        seen.append(receive_to_end(connection))

    t.serve(handler)
    s = t.connect()
    s.settimeout(20)
    check(receive_to_end(s) == b"your turn", "another text")
    s.sendall(b"u" * size)
    s.shutdown(socket.SHUT_WR)
    wait_for(lambda: seen, 20, "end at the server")
    check(seen[0] == b"u" * size, f"{len(seen[0])} of {size} bytes")


@case("simultaneous close")
def simultaneous(t):
    """Both FINs are on the way at once: ours leaves before we have seen the server's."""
    closing = threading.Event()

    def handler(connection):
        connection.recv(10)
        connection.shutdown(socket.SHUT_WR)
        closing.set()
        receive_to_end(connection)

    t.serve(handler)
    c = t.raw()
    c.connect()
    c.send(ACK | PSH, b"go")
    check(closing.wait(10), "the server did not close")
    fin = c.receive(5, lambda s: s.flags & FIN, "FIN of the server")
    # As if it had not come yet: our FIN does not acknowledge it.
    c.send(ACK | FIN)
    c.accept_data(fin)
    c.send(ACK)
    c.receive(5, lambda s: s.ack == c.seq and s.flags & ACK, "ACK of our FIN")


@case("RST from the client")
def reset_by_client(t):
    seen = []

    def handler(connection):
        try:
            connection.sendall(connection.recv(100))
            connection.recv(100)
        except OSError as error:
            seen.append(error.errno)

    t.serve(handler)
    s = t.connect()
    s.sendall(b"hello")
    receive_exactly(s, 5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    s.close()
    wait_for(lambda: seen, 10, "reset at the server")
    check(seen == [errno.ECONNRESET], f"the server saw {seen}")


@case("RST from the client right after the handshake", also=("two workers",))
def reset_at_once(t):
    """The accepted connection must not stay at the server."""
    def established():
        return t.lab.inside.run("ss", "-Htn", "state", "established", f"( sport = :{t.port} )").strip()

    t.serve(lambda connection: connection.recv(1))
    for _ in range(20):
        s = t.lab.connect(t.family, t.port)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        s.close()
    wait_for(lambda: not established(), 15, lambda: f"end of all connections at the server; there is\n{established()}")


@case("RST from the server")
def reset_by_server(t):
    def handler(connection):
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        connection.close()

    t.serve(handler)
    s = t.connect()
    s.sendall(b"hello")
    s.settimeout(10)
    try:
        data = s.recv(10)
        raise Failure(f"no reset, but {data!r}")
    except ConnectionResetError:
        pass


@case("raw client: a blind RST does not end a connection", seawall=True)
def blind_reset(t):
    t.serve()
    c = t.raw()
    c.connect()
    c.exchange(b"one")
    for offset in (-1_000_000_000, 70_000_000, 1_500_000_000):
        c.send_segment(c.segment(RST, seq=c.seq + offset, options=b""))
    c.exchange(b"two")
    # In the window but not exact: at most a challenge ACK (RFC 5961, 3.2).
    c.send_segment(c.segment(RST, seq=c.seq + 10, options=b""))
    c.exchange(b"three")
    c.finish()


@case("raw client: a forged ACK far ahead does not hide the server's RST", seawall=True)
def forged_ack(t):
    """Whoever guesses the ports must not spoil what the box knows of a connection."""
    def handler(connection):
        connection.sendall(connection.recv(100))
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)

    t.serve(handler)
    c = t.raw()
    c.connect()
    c.exchange(b"one")
    for ahead in (1 << 30, 70_000, (1 << 31) - 1):
        c.send_segment(c.segment(ACK, ack=c.ack + ahead))
        c.send_segment(c.segment(ACK | PSH, b"forged", seq=c.seq + ahead))
    c.send(ACK | PSH, b"end it")
    c.receive(5, lambda s: s.flags & RST, "RST of the server")


@case("keep-alive and life across key rotation", background=True, seconds=200)
def keep_alive(t):
    """Idle for more than two epochs, but for keep-alives; some connections without these. Then all go on."""
    t.serve()
    sockets = [t.connect() for _ in range(6)]
    for n, s in enumerate(sockets):
        s.sendall(b"before")
        check(receive_exactly(s, 6) == b"before", "another echo")
        if n % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in ((TCP_KEEPIDLE, 5), (TCP_KEEPINTVL, 2), (TCP_KEEPCNT, 3)):
                s.setsockopt(socket.IPPROTO_TCP, name, value)
    begin = time.time() // 32
    while time.time() // 32 < begin + 3:
        for s in sockets:
            check(tcp_info(s)["state"] == 1, "a connection ended while idle")
        time.sleep(0.5)
    for s in sockets:
        s.settimeout(20)
        s.sendall(b"after" * 1000)
        check(receive_exactly(s, 5000) == b"after" * 1000, "another echo")


def refused(t, port, seconds=10):
    """True when a RST came, before or after a SYN-ACK; False when nothing came; data is a failure."""
    try:
        with t.lab.connect(t.family, port, seconds=seconds) as s:
            s.settimeout(seconds)
            s.sendall(b"anybody?")
            data = s.recv(100)
            raise Failure(f"a closed port answered {data!r}")
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return True
    except (TimeoutError, OSError):
        return False


@case("closed ports stay closed: RST reaches the client", also=("two workers",))
def closed(t):
    for n in range(5):
        check(refused(t, t.port), f"try {n}: protected port with no listener: no RST within the deadline")
    check(refused(t, 9999), "unprotected closed port: no RST within the deadline")


@case("a server that closes its listener refuses, one that opens it again serves")
def listener_comes_and_goes(t):
    for _ in range(3):
        with t.serve() as server:
            s = t.connect()
            s.sendall(b"open")
            check(receive_exactly(s, 4) == b"open", "another echo")
            s.close()
        del server
        check(refused(t, t.port), "closed listener: no RST within the deadline")


def no_syn_comes_in(t):
    return f"""chain in {{ type filter hook input priority 0;
        tcp dport {t.port} tcp flags & (syn|ack) == syn counter drop
        }}"""


@case("a server that is down: retries end, and it serves when it is back", seconds=120)
def down(t):
    """Its SYNs go nowhere: everything from clients to this port is dropped by the server's own firewall."""
    t.serve()
    rules = no_syn_comes_in(t)
    with t.lab.inside.nft(rules) as show:
        c = t.raw()
        c.syn()
        if t.seawall:
            c.take_syn_ack()
            c.send(ACK | PSH, b"anybody?")
            wait_for(lambda: int(show().split("packets ")[1].split()[0]) >= 2, 10, "second SYN to the server")
        check(c.receive_or_none(1.0, lambda s: s.payload) is None, "data from a server that is down")
    s = t.connect()
    s.settimeout(20)
    s.sendall(b"back again")
    check(receive_exactly(s, 10) == b"back again", "another echo")


@case("a server that comes back while the client waits, loses nothing")
def back_in_time(t):
    t.serve()
    rules = no_syn_comes_in(t)
    with t.lab.inside.nft(rules) as show:
        results = []

        def client():
            s = t.connect(seconds=30)
            s.sendall(b"patience")
            s.settimeout(30)
            results.append(receive_exactly(s, 8))

        thread = threading.Thread(target=client, daemon=True)
        thread.start()
        wait_for(lambda: int(show().split("packets ")[1].split()[0]) >= 1, 10, "SYN to the server")
    thread.join(40)
    check(results == [b"patience"], f"the client got {results}")


@case("the server's host is away: clients hear nothing, and are served when it is back", seconds=120)
def host_away(t):
    """Its address is gone, so even neighbour resolution fails."""
    t.serve()
    ns, interface = t.lab.inside, t.lab.inside_if
    address = f"{SERVER[t.family]}/{16 if t.family == 4 else 64}"
    s = t.connect()
    ns.run("ip", "address", "delete", address, "dev", interface)
    try:
        c = t.raw()
        c.syn()
        first = c.receive_or_none(2, lambda s: s.flags & SYN)
        check(first is not None or not t.seawall, "an armed box answers whether or not the server is there")
        if first is not None:
            c.seq, c.ack = first.ack, (first.seq + 1) & MASK
            c.echo = first.timestamps[0] if first.timestamps else 0
            c.send(ACK | PSH, b"anybody?")
        check(c.receive_or_none(1, lambda s: s.payload) is None, "data from nowhere")
    finally:
        ns.run("ip", "address", "add", address, "dev", interface, *(("nodad",) if t.family == 6 else ()))
        if t.family == 4:
            ns.run("ip", "route", "replace", "default", "via", t.lab.client(4))
        else:
            ns.run("ip", "-6", "route", "replace", "default", "via", t.lab.client(6))
    s.sendall(b"was open all the time")
    s.settimeout(30)
    check(receive_exactly(s, 21) == b"was open all the time", "another echo")
    again = t.connect(seconds=30)
    again.settimeout(30)
    again.sendall(b"new")
    check(receive_exactly(again, 3) == b"new", "another echo")


