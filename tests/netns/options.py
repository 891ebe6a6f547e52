# SPDX-License-Identifier: BSD-3-Clause
"""Stacks that lack something, on either side: the connection must carry data, and both ends must believe the same."""

import random
import socket
import threading

from cases import case
from nets import check, wait_for
from servers import Pattern, echo, has_option, receive_digest, receive_exactly, receive_to_end, tcp_info

TCP_MAXSEG = 2
NOTHING = {"ipv4/tcp_timestamps": 0, "ipv4/tcp_sack": 0, "ipv4/tcp_window_scaling": 0}
SETTINGS = {"timestamps": "ipv4/tcp_timestamps", "SACK": "ipv4/tcp_sack", "window scaling": "ipv4/tcp_window_scaling"}
NAMES = ("timestamps", "sack", "wscale")


def trade(t, size=300_000, times=3, look=None, client_options=None, **server_options):
    """Several connections: with the first the box does not know yet what this server offers, with the last it does."""
    seen = []

    def handler(connection):
        seen.append({name: has_option(connection, name) for name in NAMES} | {"info": tcp_info(connection)})
        echo(connection)

    server = t.serve(handler, **server_options)
    data = random.Random(t.number).randbytes(size)
    for n in range(times):
        s = t.connect(set=client_options)
        s.settimeout(25)
        sender = threading.Thread(target=lambda s=s: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        back = receive_to_end(s)
        sender.join()
        check(back == data, f"connection {n}: {len(back)} of {len(data)} bytes, or others")
        check(len(seen) == n + 1, f"connection {n}: the server counts {len(seen)}")
        check(not server.errors, f"connection {n}: server: {server.errors}")
        mine = {name: has_option(s, name) for name in NAMES}
        if n == times - 1:
            theirs = {name: seen[-1][name] for name in NAMES}
            check(mine == theirs, f"the client believes {mine}, the server {theirs}")
            if look:
                look(tcp_info(s), seen[-1]["info"], mine)
        s.close()
        if t.seawall:
            wait_for(lambda: t.lab.service(t.service)[f"profile_ipv{t.family}"], 5, "profile learned")


def _matrix():
    result = {}
    for what, key in SETTINGS.items():
        result[f"no {what} at the client"] = ({key: 0}, {})
        result[f"no {what} at the server"] = ({}, {key: 0})
        result[f"no {what} at either end"] = ({key: 0}, {key: 0})
    result["no option at the client"] = (NOTHING, {})
    result["no option at the server"] = ({}, NOTHING)
    result["no option at either end"] = (NOTHING, NOTHING)
    return result


@case("stacks:", parameters=_matrix())
def without(t):
    outside, inside = t.parameter
    t.enter(t.lab.outside.sysctl(outside))
    t.enter(t.lab.inside.sysctl(inside))
    off = outside | inside

    def look(_, __, mine):
        for name, key in zip(NAMES, SETTINGS.values()):
            check(mine[name] == (key not in off), f"{name} is {mine[name]} in the end, with {off}")

    trade(t, look=look)


@case("backend MSS 536")
def mss_536(t):
    def look(mine, _, __):
        check(mine["snd_mss"] <= 536, f"the client sends segments of {mine['snd_mss']}, the server takes 536")

    trade(t, look=look, set={(socket.IPPROTO_TCP, TCP_MAXSEG): 536})


@case("client MSS 536")
def client_mss_536(t):
    def look(_, theirs, __):
        check(theirs["snd_mss"] <= 536, f"the server sends segments of {theirs['snd_mss']}, the client takes 536")

    trade(t, look=look, client_options={(socket.IPPROTO_TCP, TCP_MAXSEG): 536})


@case("window scale 0 at the backend")
def scale_0(t):
    trade(t, size=2_000_000, set={(socket.SOL_SOCKET, socket.SO_RCVBUF): 16384})


@case("window scale 14 at the backend")
def scale_14(t):
    t.enter(t.lab.inside.sysctl({"ipv4/tcp_rmem": f"4096 131072 {1 << 30}"}))

    def look(mine, theirs, _):
        check(theirs["rcv_wscale"] == 14, f"the case is void: the server's scale is {theirs['rcv_wscale']}")

    trade(t, size=2_000_000, look=look)


@case("window scale 0 at the client")
def client_scale_0(t):
    trade(t, size=2_000_000, client_options={(socket.SOL_SOCKET, socket.SO_RCVBUF): 16384})


@case("window scale 14 at the client")
def client_scale_14(t):
    t.enter(t.lab.outside.sysctl({"ipv4/tcp_rmem": f"4096 131072 {1 << 30}"}))
    trade(t, size=2_000_000)


@case("a server that does not read: zero window, probes, and on")
def zero_window(t):
    """The window the client sees must reach 0 when the server's does, and open again."""
    read, result = threading.Event(), []

    def handler(connection):
        connection.sendall(b"first")
        read.wait(30)
        result.append(receive_digest(connection))

    t.serve(handler, set={(socket.SOL_SOCKET, socket.SO_RCVBUF): 65536})
    pattern = Pattern("zero", 8 << 20)
    s = t.connect()
    s.settimeout(60)
    check(receive_exactly(s, 5) == b"first", "another greeting")
    done = threading.Event()

    def send():
        pattern.send(s)
        s.shutdown(socket.SHUT_WR)
        done.set()

    threading.Thread(target=send, daemon=True).start()
    # Both buffers are full when the kernel has unsent data and nothing in flight can be taken: ss shows a probe timer.
    wait_for(lambda: "persist" in t.lab.outside.run("ss", "-Htno", f"( dport = :{t.port} )"), 20, "zero-window probe")
    check(not done.is_set(), "8 MiB went into a server that does not read")
    read.set()
    wait_for(lambda: result, 40, "end at the server")
    check(result[0] == (pattern.digest(), pattern.total), f"{result[0][1]} of {pattern.total} bytes, or others")
