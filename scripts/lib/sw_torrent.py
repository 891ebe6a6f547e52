# SPDX-License-Identifier: BSD-3-Clause
"""A real BitTorrent client for the demo: a torrent made for it, a seeder and a leecher (aria2), and what their logs
say. The leecher finds the seeder through the tracker or not at all: no DHT, no local discovery, no peer exchange."""
import hashlib
import os
import re
import shutil

FILM_BYTES, PIECE_BYTES = 4 << 20, 1 << 16
SEEDER, LEECHER = "10.20.64.250", "10.20.64.251"

ARIA2 = ["aria2c", "--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
         "--enable-peer-exchange=false", "--disable-ipv6", "--allow-overwrite=true", "--file-allocation=none",
         "--bt-tracker-interval=2", "--bt-tracker-timeout=1", "--bt-tracker-connect-timeout=1",
         "--console-log-level=info", "--summary-interval=0", "--download-result=hide"]


def bencode(value):
    """BEP 3."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


class Torrent:
    def __init__(self, directory, tracker):
        self.directory = directory
        self.path = directory + "/film.torrent"
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory + "/seed")
        data = os.urandom(FILM_BYTES)
        with open(directory + "/seed/film.bin", "wb") as file:
            file.write(data)
        pieces = b"".join(hashlib.sha1(data[at:at + PIECE_BYTES]).digest() for at in range(0, len(data), PIECE_BYTES))
        info = {"name": "film.bin", "length": len(data), "piece length": PIECE_BYTES, "pieces": pieces}
        self.info_hash = hashlib.sha1(bencode(info)).hexdigest()
        self.sum = hashlib.sha256(data).digest()
        with open(self.path, "wb") as file:
            file.write(bencode({"announce": tracker, "info": info}))

    def seed_command(self):
        return ARIA2 + ["--dir", self.directory + "/seed", "--seed-ratio=0.0", "--check-integrity=true",
                        "--listen-port=6881", "--interface", SEEDER, self.path]

    def leech_command(self):
        shutil.rmtree(self.directory + "/leech", ignore_errors=True)
        return ARIA2 + ["--dir", self.directory + "/leech", "--seed-time=0", "--listen-port=6891",
                        "--interface", LEECHER, self.path]

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def downloaded(self):
        """Whether the leecher has the film, whole and right."""
        try:
            with open(self.directory + "/leech/film.bin", "rb") as file:
                return hashlib.sha256(file.read()).digest() == self.sum
        except FileNotFoundError:
            return False


def announces(log):
    """(begun, answered with 200) as a client's log tells. Requests are matched to replies by aria2's command number:
    it talks HTTP to the tracker alone."""
    try:
        with open(log, errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return 0, 0
    begun = text.count("Creating tracker request group")
    answered = len(re.findall(r"CUID#\d+ - Response received:\s+HTTP/1\.[01] 200", text))
    return begun, min(answered, begun)
