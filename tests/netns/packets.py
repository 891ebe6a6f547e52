# SPDX-License-Identifier: BSD-3-Clause
"""Frames built and read by hand. A Segment is one TCP segment of either family."""

import dataclasses
import ipaddress
import itertools
import struct

from nets import Failure, check

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


# ---- segments --------------------------------------------------------------------------------------------------------

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
    head = struct.pack("!IHBB", 0x60000000 | tos << 20, len(payload), following, hops)
    return head + packed(src) + packed(dst) + payload


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
