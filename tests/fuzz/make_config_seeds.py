#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the seeds of the configuration's fuzz target: make_config_seeds.py [DIRECTORY]"""
import json
import pathlib
import sys

root = pathlib.Path(__file__).resolve().parents[2]
out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "tests/fuzz/corpus/config"
out.mkdir(parents=True, exist_ok=True)

boot = '"boot": {"links": [{"outside": "a", "inside": "b"}]}'
good = '{%s, "services": [{"name": "t", "targets": ["10.0.0.1:80", "[fd00::1]:80-90"]%s}]%s}'

seeds = {
    "empty": b"",
    "minimal": (good % (boot, "", "")).encode(),
    "every-limit": (good % (boot, ', "limits": {"source": {"syn_per_s": 5, "syn_burst": 6, "conn_per_s": 3, "conn_burst": 4, '
        '"concurrent": 2}, "prefixes": [{"syn_per_s": 9}, {}], "total": {"concurrent": 10}}, "block": {"after": 3, "seconds": 9}', "")).encode(),
    "backend": (good % (boot, ', "mode": "always", "refuse": "rst", "tcp_auth": "pass", "backend": {"mss_ipv4": 536, "window_scale": "none", '
        '"sack": "no", "ecn": "learn", "timestamps": "yes"}', "")).encode(),
    "lists": (good % (boot, "", ', "allow": ["10.0.0.0/8", "fd00::/8"], "deny": ["10.0.0.0/8", "0.0.0.0/0"], '
        '"groups": [{"name": "g", "prefixes": ["198.51.100.0/24", "::/0"], "limits": {"syn_per_s": 1}}]')).encode(),
    "defaults": (good % (boot, "", ', "service_defaults": {"mode": "off", "limits": {"prefixes": [{"syn_per_s": 5}]}}')).encode(),
    "global": (good % (boot, "", ', "global": {"prefix_levels": [{"ipv4": 20, "ipv6": 56}], "answers_per_source_per_s": 0, '
        '"held_packets_per_flow": 0, "held_bytes_per_flow": 0}')).encode(),
    "control": (good % (boot, "", ', "control": {"listen": ["127.0.0.1:1", "[::1]:2"], "socket_mode": "0600", "socket_group": "x"}')).encode(),
    "devices": b'{"boot": {"links": [{"outside": {"pci": "0000:3b:00.0,a=1"}, "inside": {"vdev": "net_pcap0,rx_pcap=x"}}, '
        b'{"outside": {"interface": "c", "comment": "x"}, "inside": "d"}], "workers": 2, "cores": [0, 1], "mbufs": "auto", "housekeeping_core": 5}}',
    "sizes": b'{"boot": {"links": [{"outside": "a", "inside": "b"}], "flows": 1024, "entries": 16, "services": 1, "groups": 1, "rx_descriptors": 64, '
        b'"tx_descriptors": 64, "held_packets": 64, "mbufs": 1024, "limiter_entries": 1024, "source_records": 256}}',
    "duplicate": ('{%s, %s}' % (boot, boot)).encode(),
    "unknown": ('{%s, "sevices": [], "a\\u001b\\ud83d\\ude00": 1}' % boot).encode(),
    "comma": b'{"boot": {"links": [],}}',
    "slashes": b'{ // x\n"boot": 1}',
    "nul": b'{"boot": "a\\u0000"}',
    "raw-nul": b'{"bo\x00ot": 1}',
    "utf8": b'{"\xff\xfe": 1}',
    "deep": b"[" * 64,
    "number": b'{"boot": 99999999999999999999999}',
    "real": b'{"boot": {"workers": 1e999}}',
    "file": ('{%s, "deny": [{"file": "x\\u001b[2J"}]}' % boot).encode(),
    "targets": ('{%s, "services": [{"name": "t", "targets": ["10.0.0.1:0", "fd00::1:80", "[10.0.0.1]:1", "1.2.3.4:9-8", "::ffff:1.2.3.4:1"]}]}' % boot).encode(),
    "overlap": ('{%s, "services": [{"name": "t", "targets": ["10.0.0.0/8:1-9", "10.0.0.0/8:9-17"]}, {"name": "t", "targets": ["1.1.1.1:1"]}]}' % boot).encode(),
}
for name in ("minimal", "tracker", "monitor", "hosting"):
    text = json.loads((root / "docs/examples" / (name + ".json")).read_text())
    text.pop("deny", None)
    seeds["example-" + name] = json.dumps(text).encode()
for name, data in seeds.items():
    (out / name).write_bytes(data)
