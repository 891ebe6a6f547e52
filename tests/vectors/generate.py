#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Known-answer vectors of Seawall's SYN cookies, made from docs/cookie.md alone: this file shares no code with the
dataplane. SipHash-2-4 is written out below and checked against the values in the paper; BLAKE2b is hashlib's.

    generate.py                write siphash.json, keys.json and cookies.json beside this file
    generate.py --check        compare them instead; exit status 1 when they differ

README.md beside it says what the fields are."""

import hashlib
import ipaddress
import json
import os
import random
import struct
import sys

MASK = (1 << 64) - 1
MSS = [536, 1220, 1300, 1360, 1400, 1440, 1460, 8940]
SCALE = [None, 0, 2, 5, 6, 7, 8, 10]
MASTER = bytes(range(0x40, 0x60))


def rotate(x, bits):
    return (x << bits | x >> (64 - bits)) & MASK


def siphash24(key, message):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def derive(master, number, context):
    """libsodium's crypto_kdf: BLAKE2b of nothing, keyed, the number as salt, the context as personalisation."""
    return hashlib.blake2b(b"", digest_size=16, key=master, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def last_at_or_below(table, value):
    return max(i for i, entry in enumerate(table) if i == 0 or entry <= value)


def tag(vlan_id):
    return 0 if vlan_id is None else 0x8000 | vlan_id


def cookie(client, server, client_port, server_port, client_isn, outer, inner, mss, scale, sack, timestamps, ecn, epoch):
    option = last_at_or_below(MSS, mss) << 5 | (0 if scale is None else last_at_or_below(SCALE[1:], scale) + 1) << 2 | sack << 1
    stamp = timestamps * (0x80 | (15 if scale is None else scale) << 2 | ecn << 1)
    source, target = ipaddress.ip_address(client), ipaddress.ip_address(server)
    message = source.packed + target.packed
    message += struct.pack("<HHI", client_port, server_port, client_isn)
    message += struct.pack("<HHBBBB", tag(outer), tag(inner), option, stamp, source.version, 0)
    mac = siphash24(derive(MASTER, epoch, b"SeaCooki"), message)
    isn = (mac & 0xFFFFFF) << 8 | option | epoch & 1
    tsval = ((mac >> 24) & 0x3FFFFFF) << 6 | stamp & 0x3F if timestamps else 0
    return {
        "epoch": epoch, "client": client, "server": server, "client_port": client_port, "server_port": server_port,
        "client_isn": client_isn, "vlan_outer": outer, "vlan_inner": inner, "mss": mss, "window_scale": scale,
        "sack": bool(sack), "timestamps": bool(timestamps), "ecn": bool(ecn), "message": message.hex(),
        "mac": "%016x" % mac, "isn": isn, "tsval": tsval, "decoded_mss": MSS[option >> 5],
        "decoded_window_scale": scale if timestamps else SCALE[option >> 2 & 7], "decoded_ecn": bool(timestamps and ecn),
    }


def siphash_vectors():
    key = bytes(range(16))
    # Appendix A of the paper: the 15 bytes 00 to 0e.
    assert siphash24(key, bytes(range(15))) == 0xA129CA6149BE45E5
    return {"key": key.hex(), "message": "the bytes 00, 01, 02 and so on, as many as the index",
            "macs": ["%016x" % siphash24(key, bytes(range(n))) for n in range(64)]}


def key_vectors():
    numbers = [0, 1, 2, 55_000_000, 0xFFFFFFFF]
    return {"master": MASTER.hex(),
            "cookie_keys": [{"epoch": n, "key": derive(MASTER, n, b"SeaCooki").hex()} for n in numbers],
            "table_keys": [{"label": n, "key": derive(MASTER, n, b"SeaTable").hex()} for n in numbers]}


def cookie_vectors():
    rng = random.Random("seawall cookies")
    networks = [("198.51.100.0/24", "10.20.0.0/24"), ("2001:db8::/32", "fd00:20::/64")]
    vectors = []
    for number in range(96):
        clients, servers = (ipaddress.ip_network(n) for n in networks[number & 1])
        timestamps = number >> 1 & 1
        # Every MSS around every entry of the table, every scale, every kind of tag comes up.
        mss = max(1, MSS[number % 8] + rng.choice([-1, 0, 1]))
        scale = [None, *range(15)][number // 2 % 16]
        outer = rng.randrange(4096) if number % 3 else None
        inner = rng.randrange(4096) if number % 3 == 2 else None
        vectors.append(cookie(
            str(clients[rng.randrange(clients.num_addresses)]), str(servers[rng.randrange(servers.num_addresses)]),
            rng.randrange(1, 65536), rng.choice([80, 25, 20000]), rng.randrange(1 << 32), outer, inner, mss, scale,
            number >> 2 & 1, timestamps, number >> 3 & 1, 55_000_000 + rng.randrange(4)))
    return {"master": MASTER.hex(), "cookies": vectors}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    different = 0
    for name, make in (("siphash.json", siphash_vectors), ("keys.json", key_vectors), ("cookies.json", cookie_vectors)):
        path, text = os.path.join(here, name), json.dumps(make(), indent=1) + "\n"
        if "--check" in sys.argv[1:]:
            with open(path, encoding="ascii") as file:
                if file.read() != text:
                    print("%s differs" % name)
                    different = 1
        else:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
    return different


if __name__ == "__main__":
    sys.exit(main())
