#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seed inputs of fuzz_frame and fuzz_tcp_options: one well-formed example of each thing that the parser
knows, and one of each thing that it must refuse. Run it again after adding to it: make_seeds.py [CORPUS_DIRECTORY].
Inputs that a fuzzer found are kept beside these, under names that begin with "found-"."""

import os
import struct
import sys

CLIENT4, SERVER4 = bytes([198, 51, 100, 7]), bytes([10, 20, 0, 10])
CLIENT6 = bytes.fromhex("20010db8000000000000000000000007")
SERVER6 = bytes.fromhex("fd000020000000000000000000000010")
MACS = bytes.fromhex("020000000010020000000002")
TIMESTAMPS = bytes.fromhex("0101080a0102030405060708")
SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8
OUTSIDE, INSIDE = 0, 1


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(flags, options=b"", payload=b"", src=CLIENT4, dst=SERVER4, ports=(40000, 20000), seq=1000, ack=0, offset=None):
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if offset is None else offset
    header = struct.pack("!HHIIBBHHH", *ports, seq, ack, words << 4 & 0xFF, flags, 65535, 0, 0) + options
    length = len(header) + len(payload)
    if len(src) == 4:
        pseudo = src + dst + struct.pack("!HH", 6, length)
    else:
        pseudo = src + dst + struct.pack("!II", length, 6)
    value = checksum(pseudo + header + payload)
    return header[:16] + struct.pack("!H", value) + header[18:] + payload


def ipv4(payload, protocol=6, src=CLIENT4, dst=SERVER4, options=b"", fragment=0x4000, total=None, first=None):
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", first if first is not None else 0x40 | words, 0,
                         20 + len(options) + len(payload) if total is None else total, 1, fragment, 64, protocol, 0)
    header += src + dst + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(payload, following=6, src=CLIENT6, dst=SERVER6, length=None):
    return struct.pack("!IHBB", 0x60000000, len(payload) if length is None else length, following, 64) + src + dst + payload


def extension(following, payload, words=0, kind=None):
    """Hop-by-hop, destination options or routing header of 8 * (words + 1) bytes, filled with padding."""
    if kind == 43:
        return bytes([following, words, 4, 0]) + b"\0" * (4 + 8 * words) + payload
    return bytes([following, words, 1, 4 + 8 * words]) + b"\0" * (4 + 8 * words) + payload


def fragment6(following, offset, more, payload):
    return struct.pack("!BBHI", following, 0, offset | more, 77) + payload


def ethernet(payload, kind=0x0800, tags=(), macs=MACS):
    return macs + b"".join(struct.pack("!HH", *tag) for tag in tags) + struct.pack("!H", kind) + payload


def icmp(kind, code, inner, rest=0):
    message = struct.pack("!BBHI", kind, code, 0, rest) + inner
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmp6(kind, inner, rest=0, src=CLIENT6, dst=SERVER6):
    message = struct.pack("!BBHI", kind, 0, 0, rest) + inner
    value = checksum(src + dst + struct.pack("!II", len(message), 58) + message)
    return message[:2] + struct.pack("!H", value) + message[4:]


SYN_OPTIONS = bytes.fromhex("020405b4" "0402" "080a0000000100000000" "01" "030307")
SACK_OPTIONS = TIMESTAMPS + bytes.fromhex("0101050a0000100000002000")
tcp6 = lambda flags, options=b"", payload=b"": tcp(flags, options, payload, CLIENT6, SERVER6)


def frames():
    yield "syn4", OUTSIDE, ethernet(ipv4(tcp(SYN, SYN_OPTIONS)))
    yield "syn6", OUTSIDE, ethernet(ipv6(tcp6(SYN, SYN_OPTIONS)), 0x86DD)
    yield "syn4-bare", OUTSIDE, ethernet(ipv4(tcp(SYN)))
    yield "syn4-ecn", OUTSIDE, ethernet(ipv4(tcp(SYN | 0xC0, SYN_OPTIONS)))
    yield "syn4-tfo-data", OUTSIDE, ethernet(ipv4(tcp(SYN, bytes.fromhex("020405b4220a0102030405060708"), b"GET /")))
    yield "syn4-mptcp", OUTSIDE, ethernet(ipv4(tcp(SYN, bytes.fromhex("020405b41e0c00810102030405060708"))))
    yield "syn4-md5", OUTSIDE, ethernet(ipv4(tcp(SYN, bytes([19, 18]) + bytes(16))))
    yield "syn4-ao", OUTSIDE, ethernet(ipv4(tcp(SYN, bytes([29, 16]) + bytes(14))))
    yield "synack4", INSIDE, ethernet(ipv4(tcp(SYN | ACK, SYN_OPTIONS, b"", SERVER4, CLIENT4, (20000, 40000)), 6, SERVER4, CLIENT4))
    yield "ack4", OUTSIDE, ethernet(ipv4(tcp(ACK, TIMESTAMPS)))
    yield "data4", OUTSIDE, ethernet(ipv4(tcp(ACK | PSH, TIMESTAMPS, b"GET /announce HTTP/1.0\r\n\r\n")))
    yield "data6", OUTSIDE, ethernet(ipv6(tcp6(ACK | PSH, TIMESTAMPS, b"GET /announce HTTP/1.0\r\n\r\n")), 0x86DD)
    yield "sack4", OUTSIDE, ethernet(ipv4(tcp(ACK, SACK_OPTIONS)))
    yield "sack4-odd", OUTSIDE, ethernet(ipv4(tcp(ACK, bytes.fromhex("01080a0102030405060708" "050a0000100000002000" "00"))))
    yield "fin4", OUTSIDE, ethernet(ipv4(tcp(FIN | ACK)))
    yield "rst4", OUTSIDE, ethernet(ipv4(tcp(RST)))
    yield "padded4", OUTSIDE, ethernet(ipv4(tcp(ACK)) + bytes(6))
    yield "ip-options4", OUTSIDE, ethernet(ipv4(tcp(SYN), options=bytes.fromhex("94040000")))
    yield "vlan4", OUTSIDE, ethernet(ipv4(tcp(SYN)), tags=[(0x8100, 42)])
    yield "qinq4", OUTSIDE, ethernet(ipv4(tcp(SYN)), tags=[(0x88A8, 100), (0x8100, 42)])
    yield "qinq6", OUTSIDE, ethernet(ipv6(tcp6(SYN)), 0x86DD, [(0x9100, 100), (0x8100, 42)])
    yield "three-tags", OUTSIDE, ethernet(ipv4(tcp(SYN)), tags=[(0x8100, 1), (0x8100, 2), (0x8100, 3)])
    yield "tag-cut", OUTSIDE, ethernet(b"", 0x8100)
    yield "first-fragment4", OUTSIDE, ethernet(ipv4(tcp(ACK, b"", bytes(44)), fragment=0x2000))
    yield "later-fragment4", OUTSIDE, ethernet(ipv4(bytes(64), fragment=0x0010))
    yield "tiny-fragment4", OUTSIDE, ethernet(ipv4(tcp(SYN)[:16], fragment=0x2000))
    yield "overlapping-fragment4", OUTSIDE, ethernet(ipv4(bytes(16), fragment=0x0001))
    yield "fragment-too-far4", OUTSIDE, ethernet(ipv4(bytes(64), fragment=0x1FFF))
    yield "hop-by-hop6", OUTSIDE, ethernet(ipv6(extension(6, tcp6(SYN)), 0), 0x86DD)
    yield "destination-options6", OUTSIDE, ethernet(ipv6(extension(6, tcp6(SYN), 2), 60), 0x86DD)
    yield "routing6", OUTSIDE, ethernet(ipv6(extension(6, tcp6(SYN), 2, 43), 43), 0x86DD)
    yield "ah6", OUTSIDE, ethernet(ipv6(bytes([6, 4]) + bytes(22) + tcp6(SYN), 51), 0x86DD)
    yield "many-extensions6", OUTSIDE, ethernet(ipv6(extension(60, extension(43, extension(60, extension(6, tcp6(SYN)), 0, 43))), 0), 0x86DD)
    yield "atomic-fragment6", OUTSIDE, ethernet(ipv6(fragment6(6, 0, 0, tcp6(SYN)), 44), 0x86DD)
    yield "first-fragment6", OUTSIDE, ethernet(ipv6(fragment6(6, 0, 1, tcp6(ACK, b"", bytes(44))), 44), 0x86DD)
    yield "later-fragment6", OUTSIDE, ethernet(ipv6(fragment6(6, 1232, 0, bytes(50)), 44), 0x86DD)
    yield "tiny-fragment6", OUTSIDE, ethernet(ipv6(fragment6(6, 0, 1, bytes(8)), 44), 0x86DD)
    yield "chain-in-later-fragment6", OUTSIDE, ethernet(ipv6(fragment6(60, 0, 1, bytes([6, 5, 1, 4, 0, 0, 0, 0])), 44), 0x86DD)
    yield "esp6", OUTSIDE, ethernet(ipv6(bytes(32), 50), 0x86DD)
    yield "no-next6", OUTSIDE, ethernet(ipv6(b"", 59), 0x86DD)
    yield "mapped6", OUTSIDE, ethernet(ipv6(tcp6(SYN), src=bytes(10) + b"\xff\xff" + CLIENT4), 0x86DD)
    inner4 = ipv4(tcp(ACK, b"", b"x" * 20, SERVER4, CLIENT4, (20000, 40000)), 6, SERVER4, CLIENT4)
    inner6 = ipv6(tcp(ACK, b"", b"x" * 20, SERVER6, CLIENT6, (20000, 40000)), 6, SERVER6, CLIENT6)
    yield "frag-needed4", OUTSIDE, ethernet(ipv4(icmp(3, 4, inner4, 1400), 1))
    yield "unreachable4-least", OUTSIDE, ethernet(ipv4(icmp(3, 1, inner4[:28]), 1))
    yield "unreachable4-cut", OUTSIDE, ethernet(ipv4(icmp(3, 1, inner4[:27]), 1))
    yield "unreachable4-inside", INSIDE, ethernet(ipv4(icmp(3, 3, ipv4(tcp(ACK))), 1, SERVER4, CLIENT4))
    yield "echo4", OUTSIDE, ethernet(ipv4(icmp(8, 0, bytes(40)), 1))
    yield "too-big6", OUTSIDE, ethernet(ipv6(icmp6(2, inner6, 1280), 58), 0x86DD)
    yield "too-big6-extension", OUTSIDE, ethernet(ipv6(icmp6(2, ipv6(extension(6, tcp6(ACK)), 60, SERVER6, CLIENT6), 1280), 58), 0x86DD)
    yield "neighbour6", OUTSIDE, ethernet(ipv6(icmp6(135, SERVER6), 58), 0x86DD)
    yield "udp4", OUTSIDE, ethernet(ipv4(bytes(20), 17))
    yield "arp", OUTSIDE, ethernet(bytes(28), 0x0806)
    yield "lldp", OUTSIDE, ethernet(bytes(46), 0x88CC, macs=bytes.fromhex("0180c200000e020000000002"))
    yield "land4", OUTSIDE, ethernet(ipv4(tcp(SYN), src=SERVER4))
    yield "xmas4", OUTSIDE, ethernet(ipv4(tcp(0xFF)))
    yield "port-zero4", OUTSIDE, ethernet(ipv4(tcp(SYN, ports=(0, 20000))))
    yield "offset-15-4", OUTSIDE, ethernet(ipv4(tcp(SYN, offset=15)))
    yield "offset-4-4", OUTSIDE, ethernet(ipv4(tcp(SYN, offset=4)))
    yield "total-too-long4", OUTSIDE, ethernet(ipv4(tcp(SYN), total=100))
    yield "ihl-4-4", OUTSIDE, ethernet(ipv4(tcp(SYN), first=0x44))
    yield "ihl-15-4", OUTSIDE, ethernet(ipv4(tcp(SYN), first=0x4F))
    yield "length-too-long6", OUTSIDE, ethernet(ipv6(tcp6(SYN), length=100), 0x86DD)
    yield "empty", OUTSIDE, b""


def options():
    yield "timestamps", TIMESTAMPS
    yield "syn-linux", SYN_OPTIONS
    yield "syn-windows", bytes.fromhex("020405b4" "01030308" "01010402")
    yield "syn-macos", bytes.fromhex("020405b4" "01030306" "0101080a1122334400000000" "0402" "0000")
    yield "sack-1", SACK_OPTIONS
    yield "sack-3", TIMESTAMPS + bytes([1, 1, 5, 26]) + bytes(range(24))
    yield "sack-4", bytes([5, 34]) + bytes(range(32))
    yield "sack-5", bytes([5, 42]) + bytes(range(40))
    yield "sack-0", bytes([5, 2])
    yield "odd", bytes.fromhex("01080a0102030405060708")
    yield "md5", bytes([1, 1, 19, 18]) + bytes(16)
    yield "ao", bytes([29, 16]) + bytes(14)
    yield "tfo", bytes([34, 10]) + bytes(8)
    yield "tfo-experimental", bytes.fromhex("fe0cf9890102030405060708")
    yield "mptcp", bytes([30, 12]) + bytes(10)
    yield "unknown", bytes([77, 4, 1, 2])
    yield "end-then-anything", bytes([0, 8, 10, 1, 255])
    yield "kind-without-length", bytes([1, 1, 1, 2])
    yield "length-0", bytes([2, 0, 5, 180])
    yield "length-1", bytes([2, 1, 5, 180])
    yield "length-too-long", bytes([1, 2, 4, 5])
    yield "mss-length-5", bytes([2, 5, 5, 180, 0])
    yield "scale-15", bytes([3, 3, 15])
    yield "timestamps-twice", TIMESTAMPS + TIMESTAMPS
    yield "timestamps-length-9", bytes([8, 9]) + bytes(7)
    yield "nops", b"\1" * 40
    yield "41-bytes", b"\1" * 41
    yield "empty", b""


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
    inputs = [("frame", name, bytes([side]) + frame) for name, side, frame in frames()]
    inputs += [("tcp_options", name, data) for name, data in options()]
    for target, name, data in inputs:
        os.makedirs(os.path.join(directory, target), exist_ok=True)
        with open(os.path.join(directory, target, name), "wb") as file:
            file.write(data)
    print("%d inputs" % len(inputs))


if __name__ == "__main__":
    main()
