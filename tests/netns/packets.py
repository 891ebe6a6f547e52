# SPDX-License-Identifier: BSD-3-Clause
"""Frames built and read by hand, and a TCP client made of them.

A Segment is one TCP segment of either family; build() and parse() are inverse for what the cases need. RawClient owns an
address that no kernel owns, so that nothing but the case itself answers what is sent to it.
"""

import ctypes
import dataclasses
import ipaddress
import itertools
import random
import select
import socket
import struct
import time

from nets import Failure, check

ETH_P_ALL = 3
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))
NAMES = [(SYN, "S"), (ACK, "A"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ECE, "E"), (CWR, "W")]
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
MASK = 0xFFFFFFFF


def flags_text(flags):
    return "".join(letter for bit, letter in NAMES if flags & bit) or "-"


def ones_sum(data):
    """The one's complement sum of 16-bit words (RFC 1071), not yet inverted."""
    if len(data) % 2:
        data += b"\0"
    value = int.from_bytes(data, "big") % 0xFFFF  # 2^16 = 1 modulo 0xffff, so the remainder is the folded sum
    return value or (0xFFFF if any(data) else 0)


def checksum(data):
    return ~ones_sum(data) & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def family_of(address):
    return 6 if ":" in str(address) else 4


def pseudo(src, dst, protocol, length):
    if family_of(src) == 6:
        return packed(src) + packed(dst) + struct.pack("!IHBB", length, 0, 0, protocol)
    return packed(src) + packed(dst) + struct.pack("!BBH", 0, protocol, length)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


# ---- options ---------------------------------------------------------------------------------------------------------

def option(kind, body=b""):
    return bytes([kind, len(body) + 2]) + body


def opt_mss(value):
    return option(2, struct.pack("!H", value))


def opt_wscale(value):
    return option(3, bytes([value]))


OPT_SACK_OK = option(4)


def opt_timestamps(value, echo=0):
    return option(8, struct.pack("!II", value & MASK, echo & MASK))


def opt_fast_open(cookie=b""):
    return option(34, cookie)


def opt_mptcp_capable():
    return option(30, bytes([0x01, 0x81]))  # MP_CAPABLE of version 1 in a SYN (RFC 8684, 3.1)


def opt_sack(blocks):
    return option(5, b"".join(struct.pack("!II", a & MASK, b & MASK) for a, b in blocks))


def join_options(*options):
    """Padded with NOPs in front, as most stacks do, so that the last option ends the header."""
    body = b"".join(options)
    return b"\1" * (-len(body) % 4) + body


def read_options(data):
    """{kind: body}; a list of (kind, body) would tell doubles, which no case needs."""
    found, at = {}, 0
    while at < len(data):
        kind = data[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        if at + 1 >= len(data) or data[at + 1] < 2 or at + data[at + 1] > len(data):
            raise Failure(f"broken TCP options {data.hex()}")
        found[kind] = data[at + 2:at + data[at + 1]]
        at += data[at + 1]
    return found


# ---- segments ----------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Segment:
    src: str
    dst: str
    sport: int
    dport: int
    flags: int
    seq: int = 0
    ack: int = 0
    payload: bytes = b""
    options: bytes = b""
    window: int = 64240
    tags: tuple = ()          # VLAN ids, outermost first
    urgent: int = 0
    ecn: int = 0              # the two ECN bits of the IP header
    raw: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def opts(self):
        return read_options(self.options)

    @property
    def timestamps(self):
        body = self.opts.get(8)
        return struct.unpack("!II", body) if body else None

    @property
    def next_seq(self):
        return (self.seq + len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)) & MASK

    def __str__(self):
        tags = "".join(f"vlan {t} " for t in self.tags)
        return (f"{tags}{self.src}.{self.sport} > {self.dst}.{self.dport} {flags_text(self.flags)} seq {self.seq} "
                f"ack {self.ack} len {len(self.payload)} win {self.window} opts {self.options.hex()}")


def tcp_bytes(s, good_checksum=True):
    check(len(s.options) % 4 == 0, "a case built options that are no multiple of 4")
    head = struct.pack("!HHIIBBHHH", s.sport, s.dport, s.seq & MASK, s.ack & MASK, (5 + len(s.options) // 4) << 4,
                       s.flags, s.window, 0, s.urgent) + s.options + s.payload
    total = checksum(pseudo(s.src, s.dst, TCP, len(head)) + head)
    if not good_checksum:
        total ^= 0x5555
    return head[:16] + struct.pack("!H", total) + head[18:]


_ident = itertools.count(1)


def ipv4(src, dst, protocol, payload, ttl=64, df=True, options=b"", fragment=None, ident=None, tos=0):
    """`fragment`: (offset in bytes, more fragments)."""
    offset, more = fragment or (0, False)
    word = (0x4000 if df and fragment is None else 0) | (0x2000 if more else 0) | offset // 8
    head = struct.pack("!BBHHHBBH", 0x40 | 5 + len(options) // 4, tos, 20 + len(options) + len(payload),
                       (next(_ident) if ident is None else ident) & 0xFFFF, word, ttl, protocol, 0)
    head += packed(src) + packed(dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, protocol, payload, hops=64, extensions=(), tos=0):
    """`extensions`: (number, body) outermost first; the body begins behind the Next Header byte."""
    following = protocol
    for number, body in reversed(extensions):
        payload = bytes([following]) + body + payload
        following = number
    return struct.pack("!IHBB", 0x60000000 | tos << 20, len(payload), following, hops) + packed(src) + packed(dst) + payload


def ip(src, dst, protocol, payload, **keywords):
    return (ipv6 if family_of(src) == 6 else ipv4)(src, dst, protocol, payload, **keywords)


def ethernet(to, sender, body, tags=(), ethertype=None):
    """`tags`: with two, the outer one is 802.1ad, as QinQ wants it."""
    if ethertype is None:
        ethertype = 0x86DD if body[0] >> 4 == 6 else 0x0800
    head = mac(to) + mac(sender)
    for n, tag in enumerate(tags):
        head += struct.pack("!HH", 0x88A8 if len(tags) > 1 and n == 0 else 0x8100, tag)
    return head + struct.pack("!H", ethertype) + body


def parse(frame):
    """The Segment in an Ethernet frame, or None when it holds no whole TCP header. Checksums are verified."""
    at, tags = 12, []
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        tags.append(struct.unpack_from("!H", frame, at + 2)[0] & 0xFFF)
        at += 4
    kind = struct.unpack_from("!H", frame, at)[0]
    at += 2
    if kind == 0x0800:
        if len(frame) < at + 20:
            return None
        length = struct.unpack_from("!H", frame, at + 2)[0]
        ihl = (frame[at] & 15) * 4
        if frame[at + 9] != TCP or struct.unpack_from("!H", frame, at + 6)[0] & 0x1FFF:
            return None
        check(checksum(frame[at:at + ihl]) == 0, f"wrong IPv4 checksum in {frame.hex()}")
        src, dst = (str(ipaddress.ip_address(frame[at + o:at + o + 4])) for o in (12, 16))
        body, ecn = frame[at + ihl:at + length], frame[at + 1] & 3
    elif kind == 0x86DD:
        if len(frame) < at + 40:
            return None
        length, following = struct.unpack_from("!HB", frame, at + 4)
        src, dst = (str(ipaddress.ip_address(frame[at + o:at + o + 16])) for o in (8, 24))
        ecn = frame[at + 1] >> 4 & 3
        body = frame[at + 40:at + 40 + length]
        while following in (0, 43, 60) and len(body) >= 8:
            following, body = body[0], body[body[1] * 8 + 8:]
        if following != TCP:
            return None
    else:
        return None
    if len(body) < 20:
        return None
    check(ones_sum(pseudo(src, dst, TCP, len(body)) + body) == 0xFFFF, f"wrong TCP checksum in {frame.hex()}")
    sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack_from("!HHIIBBHHH", body)
    head = (offset >> 4) * 4
    return Segment(src, dst, sport, dport, flags, seq, ack, body[head:], body[20:head], window, tuple(tags), urgent,
                   ecn, frame)


# ---- sockets -------------------------------------------------------------------------------------------------------------

SO_ATTACH_FILTER, PACKET_AUXDATA, SOL_PACKET = 26, 8, 263
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
PACKET_OUTGOING = 4


class _Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32)]


def attach_filter(sock, program):
    """`program`: classic BPF as (code, jt, jf, k)."""
    array = (_Filter * len(program))(*program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HL", len(program), ctypes.addressof(array)))


class Wire:
    """A raw socket on one interface. VLAN tags, which the kernel takes out of the frame, are put back."""

    def __init__(self, namespace, interface, to_mac=None, outgoing=False):
        with namespace:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            if to_mac:
                # Frames to this MAC and no others, so that a transfer beside us cannot fill the buffer.
                # ld [0]; jeq #first4; ldh [4]; jeq #last2; ret all; ret none
                m = mac(to_mac)
                attach_filter(self.socket, [(0x20, 0, 0, 0), (0x15, 0, 3, int.from_bytes(m[:4], "big")), (0x28, 0, 0, 4),
                                            (0x15, 0, 1, int.from_bytes(m[4:], "big")), (0x06, 0, 0, 0x40000),
                                            (0x06, 0, 0, 0)])
            self.socket.bind((interface, ETH_P_ALL))
        self.outgoing = outgoing

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, seconds=0.0):
        """The next frame, or None when none came in time."""
        end = time.monotonic() + seconds
        while True:
            ready = select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                return None
            frame, control, _, sender = self.socket.recvmsg(65600, 256)
            if sender[2] == PACKET_OUTGOING and not self.outgoing:
                continue
            for level, kind, data in control:
                if level == SOL_PACKET and kind == PACKET_AUXDATA:
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        if not status & TP_STATUS_VLAN_TPID_VALID:
                            tpid = 0x8100
                        frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
            return frame

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawClient:
    """A TCP client outside, on an address and a MAC of its own, that does exactly what the case says.

    It answers neighbour solicitations for its address by itself never: the lab gives the inside host a permanent entry.
    """

    def __init__(self, lab, family, port, sport=None, tags=(), timestamps=True, wscale=7, sack=True, mss=None, isn=None,
                 number=None):
        self.lab, self.family, self.dport, self.tags = lab, family, port, tuple(tags)
        self.address, self.mac = lab.raw_address(family, number)
        self.server = lab.server(family)
        self.sport = sport or random.randrange(20000, 60000)
        self.isn = random.getrandbits(32) if isn is None else isn
        self.seq, self.ack = self.isn, 0
        self.clock = random.getrandbits(31)      # our TSval
        self.echo = 0                            # the peer's last TSval
        self.use_timestamps = timestamps
        self.wscale, self.sack = wscale, sack
        self.mss = mss or (1460 if family == 4 else 1440)
        self.wire = Wire(lab.outside, lab.outside_if, self.mac)
        self.trace = []
        self.extensions = ()
        self.df, self.padding = True, b""        # IPv4: don't fragment; what fills short frames up to 60 bytes
        self.from_mac = None if tags else lab.inside_mac
        self.newest = None                       # TSval of the newest segment of this connection: must not go back
        self.started = time.monotonic()

    # -- sending

    def syn_options(self, *more):
        options = [opt_mss(self.mss)]
        if self.sack:
            options.append(OPT_SACK_OK)
        if self.use_timestamps:
            options.append(opt_timestamps(self.clock))
        if self.wscale is not None:
            options.append(opt_wscale(self.wscale))
        return join_options(*options, *more)

    def segment(self, flags, payload=b"", seq=None, ack=None, options=None, window=2000, **more):
        if options is None:
            options = join_options(opt_timestamps(self.clock, self.echo)) if self.use_timestamps else b""
        return Segment(self.address, self.server, self.sport, self.dport, flags, self.seq if seq is None else seq & MASK,
                       (self.ack if ack is None else ack & MASK) if flags & ACK else 0, payload, options, window,
                       self.tags, **more)

    def note(self, direction, text):
        self.trace.append(f"{time.monotonic() - self.started:8.3f} {direction} {text}")
        del self.trace[:-200]

    def send_segment(self, segment, good_checksum=True):
        self.note(">", segment)
        keywords = {"tos": segment.ecn}
        if self.extensions:
            keywords["extensions"] = self.extensions
        if not self.df:
            keywords["df"] = False
        self.send_ip(ip(segment.src, segment.dst, TCP, tcp_bytes(segment, good_checksum), **keywords))
        return segment

    def send_ip(self, packet):
        frame = ethernet(self.lab.inside_mac, self.mac, packet, self.tags)
        self.wire.send(frame + (self.padding * 60)[:max(0, 60 - len(frame))])

    def send(self, flags, payload=b"", **keywords):
        """Sends, and moves our sequence number on unless `seq` names one."""
        segment = self.send_segment(self.segment(flags, payload, **keywords))
        if "seq" not in keywords:
            self.seq = segment.next_seq
        return segment

    # -- receiving

    def receive(self, seconds=5.0, want=None, what="segment"):
        """The next segment of our connection for which want(segment) is true; Failure when none comes."""
        segment = self.receive_or_none(seconds, want)
        if segment is None:
            raise Failure(f"no {what} within {seconds} s; seen:\n{self.history()}")
        return segment

    def receive_or_none(self, seconds, want=None):
        end = time.monotonic() + seconds
        while True:
            frame = self.wire.receive(max(0.0, end - time.monotonic()))
            if frame is None:
                return None
            segment = parse(frame)
            if segment is None or (segment.sport, segment.dport) != (self.dport, self.sport):
                continue
            self.note("<", segment)
            if self.from_mac:
                check(frame[6:12] == mac(self.from_mac), f"from another MAC than the server's: {frame[:14].hex()}")
            if segment.timestamps and not segment.flags & (SYN | RST):
                value = segment.timestamps[0]
                check(self.newest is None or (value - self.newest) & MASK < 1 << 31, f"TSval went back: {value} after {self.newest}")
                self.newest = value
            # VLAN 0 is a priority and no network; it may come back or not (IEEE 802.1Q, table 9-2).
            check([t for t in segment.tags if t] == [t & 0xFFF for t in self.tags if t & 0xFFF], f"tags {segment.tags}, not {self.tags}: {segment}")
            if want is None or want(segment):
                return segment

    def history(self):
        return "\n".join("    " + str(line) for line in self.trace[-40:])

    # -- the usual ways

    def syn(self, flags=SYN, more_options=(), payload=b"", **keywords):
        return self.send(flags, payload, seq=self.isn, options=self.syn_options(*more_options), **keywords)

    def take_syn_ack(self, seconds=5.0):
        answer = self.receive(seconds, lambda s: s.flags & SYN, "SYN-ACK")
        check(answer.flags & (SYN | ACK | RST | FIN) == SYN | ACK, f"not a SYN-ACK: {answer}")
        check(answer.ack == (self.isn + 1) & MASK, f"the SYN-ACK acknowledges {answer.ack}, not ISN+1 {(self.isn + 1) & MASK}")
        self.seq, self.ack = answer.ack, (answer.seq + 1) & MASK
        self.use_timestamps = answer.timestamps is not None
        if self.use_timestamps:
            self.echo = self.newest = answer.timestamps[0]
        return answer

    def connect(self, **keywords):
        self.syn(**keywords)
        answer = self.take_syn_ack()
        self.send(ACK)
        return answer

    def accept_data(self, segment):
        """In-order data moves our acknowledgement on; returns what is new."""
        skip = (self.ack - segment.seq) & MASK
        new = segment.payload[skip:] if skip <= len(segment.payload) else b""
        self.ack = (self.ack + len(new)) & MASK
        if segment.flags & FIN and (segment.seq + len(segment.payload)) & MASK == self.ack:
            self.ack = (self.ack + 1) & MASK
        if segment.timestamps:
            self.echo = segment.timestamps[0]
        return new

    def read(self, count, seconds=8.0):
        """Reads and acknowledges until `count` bytes came."""
        data, end = b"", time.monotonic() + seconds
        while len(data) < count:
            segment = self.receive_or_none(max(0.0, end - time.monotonic()))
            if segment is None:
                raise Failure(f"{len(data)} of {count} bytes within {seconds} s; seen:\n{self.history()}")
            if segment.flags & RST:
                raise Failure(f"reset after {len(data)} of {count} bytes; seen:\n{self.history()}")
            if segment.payload:
                data += self.accept_data(segment)
                self.send(ACK)
        return data

    def exchange(self, data, seconds=8.0):
        """Sends data to an echo server and wants it back; sends it again as TCP would."""
        start, back, end = self.seq, b"", time.monotonic() + seconds
        tries = 0
        self.send(ACK | PSH, data)
        while len(back) < len(data):
            segment = self.receive_or_none(min(1.0, max(0.0, end - time.monotonic())))
            if segment is None:
                if time.monotonic() >= end:
                    raise Failure(f"{len(back)} of {len(data)} echoed within {seconds} s; seen:\n{self.history()}")
                tries += 1
                if not back:
                    self.send_segment(self.segment(ACK | PSH, data, seq=start))
                continue
            if segment.flags & RST:
                raise Failure(f"reset; seen:\n{self.history()}")
            if segment.flags & SYN:
                self.send(ACK)
            elif segment.payload:
                back += self.accept_data(segment)
                self.send(ACK)
        check(back == data, f"echo differs: {back[:40].hex()} for {data[:40].hex()}")
        return tries

    def finish(self, seconds=8.0):
        """An orderly close that we begin."""
        self.send(ACK | FIN)
        end = time.monotonic() + seconds
        while True:
            segment = self.receive(max(0.01, end - time.monotonic()), None, "FIN")
            if segment.flags & FIN:
                self.accept_data(segment)
                self.send(ACK)
                return

    def close(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, Failure) and error.args and "seen:" not in error.args[0]:
            error.args = (f"{error.args[0]}; seen:\n{self.history()}",)
        self.close()
