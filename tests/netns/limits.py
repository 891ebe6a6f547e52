# SPDX-License-Identifier: BSD-3-Clause
"""Budgets, blocks, lists and modes: who is refused, how, and who must not be."""

import json
import random
import socket
import struct

from cases import case, group
from lab import FAMILY, drops
from nets import Failure, Skip, check, wait_for
from packets import ACK, PSH, RST, SYN, Segment, ethernet, ip, join_options, opt_mss, parse, tcp_bytes
from rawclient import Wire
from servers import receive_exactly

LINGER_RESET = struct.pack("ii", 1, 0)
# All addresses of RawClient lie in these.
RAW_PREFIX = {4: "10.20.128.0/17", 6: "fd00:20::1:0/112"}


@group("limits")
def _limits(lab):
    return lab.config()


@group("small")
def _small(lab):
    """Tables so small that a test can fill them, and that empty themselves soon."""
    return lab.config(boot={"flows": 1024, "source_records": 256, "limiter_entries": 1024, "held_packets": 64},
                      **{"global": {"idle_established_s": 20, "idle_embryonic_s": 5}})


def put(t, service=None, **sections):
    """Reloads with settings for the case's own service, and with whole sections."""
    policy = t.lab.config(**sections)
    for one in policy["services"]:
        if one["name"] == t.service:
            one.update(service or {})
    t.lab.reload(policy)


def refusals(grown, *reasons):
    """Refused packets: dropped for one of these reasons, or answered with a RST."""
    return drops(grown, *reasons) + grown["events"].get("sent_rst", 0)


def answers(client, count, first_sport=30000):
    """Sends SYNs from `count` ports; how many SYN-ACKs and RSTs come back. Not in a hurry to give up: the box has said
    something about each packet when its counters say so, and that is what the caller waits for."""
    for n in range(count):
        client.sport = first_sport + n
        client.send_segment(client.segment(SYN, seq=client.isn + n * 1000, options=client.syn_options()))


def heard(client, port, seconds=0.5):
    """Flags of what came back to any of the client's ports."""
    result = []
    while (frame := client.wire.receive(seconds)) is not None:
        segment = parse(frame)
        if segment and segment.sport == port:
            client.note("<", segment)
            result.append(segment.flags)
            seconds = 0.2
    return result


def served(t, seconds=10):
    """A real client connects and is echoed."""
    s = t.connect(seconds=seconds)
    s.settimeout(seconds)
    s.sendall(b"served?")
    check(receive_exactly(s, 7) == b"served?", "another echo")
    return s


def refused_with_reset(t, **options):
    try:
        s = t.connect(**options)
        s.settimeout(10)
        s.sendall(b"served?")
        data = s.recv(10)
    except (ConnectionResetError, ConnectionRefusedError, BrokenPipeError):
        return True
    raise Failure(f"not refused, but {data!r}")


@case("SYN limit of a source", group="limits", seawall=True)
def syn_source(t):
    t.serve()
    put(t, {"limits": {"source": {"syn_per_s": 1, "syn_burst": 5, "conn_per_s": 0}}})
    c, other = t.raw(), t.raw()
    with t.lab.counting(lambda g: g["answered"] + drops(g, "limit_syn_source") == 40, service=t.service) as g:
        answers(c, 40)
    flags = heard(c, t.port)
    check(all(f & SYN for f in flags), f"silence was the refusal wanted, not {flags}")
    check(5 <= g["answered"] <= 20, f"5 at once and 1 a second were allowed; counted {g}")
    check(len(flags) == g["answered"], f"{len(flags)} SYN-ACKs came, counted {g}")
    other.connect()
    other.exchange(b"another source is not touched")


@case("SYN limit of a source, refused with RST", group="limits", seawall=True)
def syn_source_rst(t):
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 1, "syn_burst": 5, "conn_per_s": 0}}})
    c = t.raw()
    with t.lab.counting(lambda g: g["answered"] + drops(g) == 40, service=t.service):
        answers(c, 40)
    flags = heard(c, t.port)
    resets = [f for f in flags if f & RST]
    check(len(resets) >= 20, f"{len(resets)} RSTs and {len(flags) - len(resets)} SYN-ACKs for 40 SYNs")


@case("connection limit of a source", group="limits", seawall=True)
def conn_source(t):
    server = t.serve()
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 0, "conn_per_s": 1, "conn_burst": 3}}})
    good = bad = 0
    with t.lab.counting(lambda g: refusals(g, "limit_conn_source") >= 1, service=t.service) as g:
        for _ in range(12):
            try:
                with t.lab.connect(t.family, t.port) as s:
                    s.sendall(b"in?")
                    good += receive_exactly(s, 3) == b"in?"
            except (ConnectionResetError, BrokenPipeError):
                bad += 1
    check(good >= 3 and bad >= 3, f"{good} served, {bad} refused of 12; counted {g}")
    check(len(server.accepted) == good, f"{len(server.accepted)} reached the server, {good} were served")
    c = t.raw()
    c.connect()
    c.exchange(b"another source is not touched")


@case("a refused connection with silence is served when its turn comes", group="limits", seawall=True)
def conn_silent(t):
    t.serve()
    put(t, {"limits": {"source": {"syn_per_s": 0, "conn_per_s": 2, "conn_burst": 2}}})
    with t.lab.counting(lambda g: drops(g, "limit_conn_source"), service=t.service):
        sockets = [t.connect() for _ in range(6)]
        for n, s in enumerate(sockets):
            s.sendall(b"turn %d" % n)
        for n, s in enumerate(sockets):
            s.settimeout(30)
            check(receive_exactly(s, 6) == b"turn %d" % n, "another echo")


@case("concurrent connections of a source", group="limits", seawall=True)
def concurrent(t):
    t.serve()
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 0, "conn_per_s": 0, "concurrent": 3}}})
    three = [served(t) for _ in range(3)]
    with t.lab.counting(lambda g: refusals(g, "limit_concurrent_source"), service=t.service):
        refused_with_reset(t)
    for s in three:
        s.sendall(b"still here")
        check(receive_exactly(s, 10) == b"still here", "another echo")
    three[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    three.pop(0).close()
    three[0].close()

    def again():
        try:
            return served(t)
        except (ConnectionResetError, BrokenPipeError):
            return None

    wait_for(again, 10, "place for a new connection after two were closed")


@case("raw client: RSTs beside the mark do not free a place under the cap", group="limits", seawall=True)
def evasion(t):
    """In the window but not exact: the server goes on (RFC 5961, 3.2), so the connection must go on counting."""
    t.serve()
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 0, "conn_per_s": 0, "concurrent": 2}}})
    c = t.raw(number=5500 + t.number)
    with t.lab.counting(lambda g: refusals(g, "limit_concurrent_source"), service=t.service) as g:
        for n in range(5):
            c.sport, c.isn = 41000 + n, random.getrandbits(32)
            c.seq, c.newest = c.isn, None
            c.syn()
            c.take_syn_ack()
            c.send(ACK)
            if c.receive_or_none(0.3, lambda s: s.flags & RST):
                break
            c.send_segment(c.segment(RST, seq=c.seq + 1, options=b""))
    check(n == 2, f"refused with connection {n + 1}, the cap is 2: {g}")


@case("connection limit of a prefix holds many sources together", group="limits", seawall=True)
def conn_prefix(t):
    t.serve()
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 0, "conn_per_s": 0},
                                        "prefixes": [{"conn_per_s": 1, "conn_burst": 4}]}})
    clients = [t.raw() for _ in range(16)]
    with t.lab.counting(lambda g: refusals(g, "limit_conn_prefix") >= 4, service=t.service) as g:
        for c in clients:
            c.connect()
    check(g["events"].get("flow_proxied", 0) >= 4, f"counted {g}")


@case("SYN limit of a group of prefixes", group="limits", seawall=True)
def syn_group(t):
    put(t, groups=[{"name": "suspects", "prefixes": [RAW_PREFIX[t.family]],
                    "limits": {"syn_per_s": 1, "syn_burst": 10}}])
    clients = [t.raw() for _ in range(5)]
    with t.lab.counting(lambda g: drops(g, "limit_syn_group") >= 15):
        for c in clients:
            answers(c, 8)
    t.serve()
    served(t)  # who is not in the group is not touched


@case("limit of a service leaves other services alone", group="limits", seawall=True)
def syn_service(t):
    put(t, {"limits": {"source": {"syn_per_s": 0, "conn_per_s": 0}, "total": {"syn_per_s": 1, "syn_burst": 10}}})
    c = t.raw()
    with t.lab.counting(lambda g: drops(g, "limit_syn_service") >= 10, service=t.service):
        answers(c, 40)
    with t.lab.connect(t.family, 80) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        check(s.recv(4) == b"HTTP", "the web server does not answer")


@case("a source refused again and again is blocked, seen, and freed by the operator", group="limits", seawall=True)
def automatic_block(t):
    t.serve()
    put(t, {"refuse": "rst", "limits": {"source": {"syn_per_s": 0, "conn_per_s": 1, "conn_burst": 1}},
            "block": {"after": 5, "seconds": 3600}})
    c = t.raw(number=5000 + t.number)
    with t.lab.counting(lambda g: g["events"].get("sources_blocked"), service=t.service):
        for n in range(12):
            c.sport, c.isn = 40000 + n, random.getrandbits(32)
            c.seq = c.isn
            c.syn()
            answer = c.receive_or_none(0.5, lambda s: s.flags & SYN)
            if answer is None:
                break
            c.seq, c.ack, c.echo = answer.ack, (answer.seq + 1) & 0xFFFFFFFF, answer.timestamps[0]
            c.send(ACK)
    with t.lab.counting(lambda g: drops(g, "blocked", "wire_blocked", "wire_dropped_blocked") >= 3):
        c.sport = 50001
        for _ in range(3):
            c.syn()
    why = t.lab.get(f"/why/{c.address}")
    check("block" in json.dumps(why).lower(), f"/why says nothing of a block: {json.dumps(why)[:600]}")
    t.raw().connect()  # others are served
    status, body = t.lab.http("DELETE", f"/blocks/{c.address}")
    check(status in (200, 204), f"DELETE /blocks: {status} {body}")
    c.sport, c.isn = 50002, random.getrandbits(32)

    def free():
        c.seq = c.isn
        c.syn()
        return c.receive_or_none(0.5, lambda s: s.flags & SYN)

    wait_for(free, 5, "SYN-ACK after the block was lifted")


@case("an operator's block: dropped, listed, lifted; and one that ends by itself", group="limits", seawall=True)
def operator_block(t):
    t.serve()
    put(t)
    c = t.raw()
    c.connect()
    c.exchange(b"before")
    for body, lift in (({"address": c.address, "seconds": 3600, "reason": "test"}, True),
                       ({"address": c.address, "seconds": 2}, False)):
        status, answer = t.lab.http("POST", "/blocks", body, {"Content-Type": "application/json"})
        check(status in (200, 201), f"POST /blocks: {status} {answer}")
        check(c.address in json.dumps(t.lab.get("/blocks")), "the block is not listed")
        if lift:
            with t.lab.counting(lambda g: drops(g, "blocked", "wire_blocked", "wire_dropped_blocked") >= 2):
                c.send_segment(c.segment(ACK | PSH, b"anybody?"))
                c.send_segment(c.segment(ACK | PSH, b"anybody?"))
            status, answer = t.lab.http("DELETE", f"/blocks/{c.address}")
            check(status in (200, 204), f"DELETE /blocks: {status} {answer}")

        def open_again():
            one = t.raw()
            one.address, one.mac = c.address, c.mac
            one.wire.close()
            one.wire = Wire(t.lab.outside, t.lab.outside_if, c.mac)
            one.syn()
            got = one.receive_or_none(0.5, lambda s: s.flags & SYN)
            one.close()
            return got

        wait_for(open_again, 10, "SYN-ACK after the block ended")


@case("deny and allow lists: the longest prefix decides", group="limits", seawall=True)
def lists(t):
    t.serve()
    denied, allowed = t.raw(), t.raw()
    put(t, deny=[RAW_PREFIX[t.family]], allow=[allowed.address])
    with t.lab.counting(lambda g: drops(g, "denied", "wire_denied", "wire_dropped_denied") >= 2):
        denied.syn()
        denied.syn()
    check(denied.receive_or_none(0.5) is None, "a denied source was answered")
    with t.lab.counting(lambda g: g["events"].get("allowed")) as g:
        allowed.connect()
        allowed.exchange(b"passes as if unprotected")
        allowed.finish()
    check(not g["answered"], f"an allow-listed SYN was challenged: {g}")
    put(t)
    denied.isn = denied.seq = random.getrandbits(32)
    denied.connect()
    denied.exchange(b"no longer denied")


@case("reflection cap: one claimed source gets so many answers and no more", group="limits", seawall=True)
def reflection(t):
    put(t, **{"global": {"answers_per_source_per_s": 5, "answers_per_source_burst": 10, "answers_per_prefix_per_s": 0}})
    c = t.raw()
    with t.lab.counting(lambda g: g["answered"] + drops(g, "answer_cap") >= 100, service=t.service) as g:
        answers(c, 100)
    check(drops(g, "answer_cap") >= 50, f"counted {g}")
    check(len(heard(c, t.port)) <= 60, "more answers than the cap allows")


@case("a spoofed flood does not block its victim", group="limits", seawall=True)
def victim(t):
    t.serve()
    put(t, {"limits": {"source": {"syn_per_s": 20, "syn_burst": 20, "conn_per_s": 5, "concurrent": 5}},
            "block": {"after": 5, "seconds": 3600}})
    c = t.raw(number=6000 + t.number)
    with t.lab.counting(lambda g: drops(g) >= 200, service=t.service) as g:
        answers(c, 400)
        for n in range(100):  # and ACKs with wrong cookies in its name
            c.send_segment(c.segment(ACK, seq=n, ack=n))
    heard(c, t.port)
    check(not g["events"].get("sources_blocked"), f"blocked: {g}")
    c.sport, c.isn = 61000, random.getrandbits(32)

    def connects():
        c.seq = c.isn
        c.syn()
        return c.receive_or_none(0.5, lambda s: s.flags & SYN and s.dport == 61000)

    answer = wait_for(connects, 10, "SYN-ACK for the victim after the flood")
    c.seq, c.ack, c.echo = answer.ack, (answer.seq + 1) & 0xFFFFFFFF, answer.timestamps[0]
    c.exchange(b"the victim is served")


@case("mode off and monitor pass natively,", group="limits", seawall=True,
      parameters={"off": "off", "monitor": "monitor"})
def passive(t):
    t.serve()
    tight = {"source": {"syn_per_s": 1, "syn_burst": 1, "conn_per_s": 0}}
    put(t, {"mode": t.parameter, "limits": tight})
    with t.lab.counting(lambda g: g["forwarded"] >= 10, service=t.service) as g:
        for _ in range(6):
            served(t)
    check(not g["answered"] and not drops(g), f"mode {t.parameter} interfered: {g}")
    if t.parameter == "monitor":
        check(g["events"].get("would_drop", 0) >= 1, f"nothing of what would have been dropped was counted: {g}")


def first_ones(t):
    """Twenty connections, as soon as there is room for them after the case before."""
    def all_of_them():
        try:
            return [served(t, seconds=3) for _ in range(20)]
        except TimeoutError:
            return None

    return wait_for(all_of_them, 60, "room for twenty connections")


def still(kept):
    for n, s in enumerate(kept):
        s.sendall(b"still mine")
        check(receive_exactly(s, 10) == b"still mine", f"connection {n}: another echo")


@case("full tables: established connections stay, new ones are refused and counted, and room comes back", group="small",
      seawall=True, seconds=200)
def full(t):
    t.serve()
    kept = first_ones(t)
    c = t.raw()
    # Connections that prove themselves and are then abandoned, until there is no room.
    sources = random.Random(t.number)
    taken = 0

    def fill():
        nonlocal taken
        isn = {port: sources.getrandbits(32) for port in sources.sample(range(1024, 65000), 100)}
        for port, number in isn.items():
            c.sport = port
            c.send_segment(c.segment(SYN, seq=number, options=c.syn_options()))
        while (frame := c.wire.receive(0.3)) is not None:
            answer = parse(frame)
            if answer and answer.flags & SYN and isn.pop(answer.dport, None) is not None:
                c.sport, c.echo = answer.dport, answer.timestamps[0]
                c.send_segment(c.segment(ACK, seq=answer.ack, ack=answer.seq + 1))
                taken += 1
        still(kept)
        counters = t.lab.counters(t.service)
        return counters["dropped"].get("flow_table_full") or counters["events"].get("flow_shed")

    wait_for(fill, 60, lambda: f"flow_table_full or flow_shed after {taken} connections in a table of 1,024")
    still(kept)

    def room():
        still(kept)  # the others are forgotten, being idle
        try:
            return served(t, seconds=3)
        except TimeoutError:
            return None

    wait_for(room, 60, "room for a new connection")


@case("full tables: a flood of forged sources leaves established connections and new clients alone", group="small",
      seawall=True, seconds=120)
def full_flood(t):
    t.serve()
    kept = first_ones(t)
    wire = t.enter(Wire(t.lab.outside, t.lab.outside_if))
    sources = random.Random(t.number)
    with t.lab.counting(lambda g: g["answered"] + drops(g) >= 4000, service=t.service):
        for _ in range(5000):
            wire.send(forged_syn(t.lab, t.family, t.port, sources))
    still(kept)
    served(t)


def forged_syn(lab, family, port, chance):
    """A SYN from an address beyond the outside host, where nobody answers."""
    src = f"198.51.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    if family == 6:
        src = f"2001:db8::{chance.getrandbits(16):x}:{chance.randrange(1, 65535):x}"
    segment = Segment(src, lab.server(family), chance.randrange(1024, 65535), port, SYN, chance.getrandbits(32), 0, b"",
                      join_options(opt_mss(1460)))
    return ethernet(lab.inside_mac, "02:88:00:00:00:01", ip(segment.src, segment.dst, 6, tcp_bytes(segment)))


TCP_MD5SIG = 14


def signed(sock, family, peer):
    """Segments to and from `peer` carry a signature (RFC 2385)."""
    if family == 4:
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 0) + socket.inet_pton(socket.AF_INET, peer)
    else:
        address = struct.pack("=H", socket.AF_INET6) + bytes(6) + socket.inet_pton(socket.AF_INET6, peer)
    key = b"the key"
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG,
                    address.ljust(128, b"\0") + struct.pack("=BBHi", 0, 0, len(key), 0) + key.ljust(80, b"\0"))


@case("TCP-MD5: passes natively when the policy says so, else is refused and counted", group="limits")
def md5(t):
    try:
        server = t.serve()
        signed(server.listener, t.family, t.lab.client(t.family))
    except OSError as error:
        raise Skip(f"no TCP-MD5 in this kernel: {error}") from error

    def client():
        s = t.enter(t.lab.outside.socket(FAMILY[t.family], socket.SOCK_STREAM))
        signed(s, t.family, t.lab.server(t.family))
        s.settimeout(3 if t.seawall else 10)
        s.connect((t.lab.server(t.family), t.port))
        s.sendall(b"signed")
        check(receive_exactly(s, 6) == b"signed", "another echo")

    if t.seawall:
        put(t, {"tcp_auth": "pass"})
    client()
    if t.seawall:
        put(t, {"tcp_auth": "refuse"})
        with t.lab.counting(lambda g: drops(g, "tcp_auth_refused")):
            try:
                client()
                raise Failure("a signed connection was proxied")
            except TimeoutError:
                pass
