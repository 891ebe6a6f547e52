# SPDX-License-Identifier: BSD-3-Clause
"""Servers for the inside host, data whose order shows, and what the kernel tells of a connection."""

import contextlib
import hashlib
import socket
import struct
import threading
import time

from nets import Failure, check

TCP_INFO = 11
TCPI_OPT = {"timestamps": 1, "sack": 2, "wscale": 4, "ecn": 8, "ecn_seen": 16, "syn_data": 32}


def tcp_info(sock):
    """The fields the cases look at, by the kernel's names (include/uapi/linux/tcp.h)."""
    data = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)
    head = struct.unpack_from("8B24I", data)
    words = head[8:]
    return {"state": head[0], "options": head[5], "snd_wscale": head[6] & 15, "rcv_wscale": head[6] >> 4,
            "snd_mss": words[2], "rcv_mss": words[3], "sacked": words[5], "pmtu": words[13], "rtt": words[15],
            "advmss": words[18]}


def has_option(sock, name):
    return bool(tcp_info(sock)["options"] & TCPI_OPT[name])


class Server:
    """Accepts in a thread, serves each connection in a thread; errors of handlers are kept for the case to see."""

    def __init__(self, lab, family, port, handler, **options):
        self.listener = lab.listen(family, port, **options)
        self.handler = handler
        self.errors, self.accepted, self.open = [], [], []
        self.ended = threading.Event()
        self.threads = []
        self.accepter = threading.Thread(target=self._accept, daemon=True)
        self.accepter.start()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            connection.settimeout(120)
            self.accepted.append(peer)
            self.open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            self.handler(connection)
        except Exception as error:  # kept, not lost: a handler's thread has nobody above it
            self.errors.append(error)
        finally:
            with contextlib.suppress(ValueError):
                self.open.remove(connection)
            connection.close()

    def close(self):
        # shutdown wakes accept(), close() alone does not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def speaks_first(text=b"220 seawall.test ESMTP\r\n"):
    def handler(connection):
        connection.sendall(text)
        echo(connection)
    return handler


def receive_exactly(sock, count):
    parts, left = [], count
    while left:
        data = sock.recv(min(left, 1 << 20))
        if not data:
            raise Failure(f"end of stream after {count - left} of {count} bytes")
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def receive_to_end(sock):
    parts = []
    while True:
        data = sock.recv(1 << 20)
        if not data:
            return b"".join(parts)
        parts.append(data)


class Pattern:
    """Bytes that differ everywhere, so that a lost, doubled or misplaced piece shows; made without keeping them."""

    def __init__(self, seed, total):
        self.block = hashlib.shake_128(str(seed).encode()).digest(1 << 20)
        self.total = total

    def chunks(self):
        left, n = self.total, 0
        while left:
            take = min(left, len(self.block) - 8)
            yield struct.pack("!Q", n) + self.block[8:8 + take - 8] if take >= 8 else self.block[:take]
            left -= take
            n += 1

    def digest(self):
        h = hashlib.sha256()
        for chunk in self.chunks():
            h.update(chunk)
        return h.hexdigest()

    def send(self, sock):
        for chunk in self.chunks():
            sock.sendall(chunk)


def receive_digest(sock, total=None):
    """SHA-256 of what comes, until the end of the stream or `total` bytes; and how much it was."""
    h, count, buffer = hashlib.sha256(), 0, bytearray(1 << 20)
    view = memoryview(buffer)
    while total is None or count < total:
        n = sock.recv_into(buffer, 0 if total is None else min(len(buffer), total - count))
        if not n:
            break
        h.update(view[:n])
        count += n
    return h.hexdigest(), count


def in_threads(*functions, seconds=120):
    """Runs all at once; the first exception of any is raised here."""
    errors, threads = [], []

    def guard(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    for function in functions:
        thread = threading.Thread(target=guard, args=(function,), daemon=True)
        thread.start()
        threads.append(thread)
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if errors:
        raise errors[0]
    check(not any(t.is_alive() for t in threads), f"not done within {seconds} s")

