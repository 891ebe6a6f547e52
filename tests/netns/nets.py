# SPDX-License-Identifier: BSD-3-Clause
"""Namespaces, and the few things of Linux that Python's library does not offer: setns, neighbour entries, sysctls.

Everything here works on the calling thread alone: `with namespace:` moves this thread into a network namespace and
back, and a socket stays in the namespace in which it was opened. So one process holds both ends of every connection.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import time

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A case did not see what it must see. The text is the diagnosis."""


class Skip(Exception):
    """A case cannot be run here; the text says why. Never counted as passed."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def wait_for(event, seconds, what, interval=0.02):
    """Calls event() until it returns something true, and returns that. `what` completes "no ... within N s"."""
    end = time.monotonic() + seconds
    while True:
        result = event()
        if result:
            return result
        if time.monotonic() >= end:
            raise Failure(f"no {what() if callable(what) else what} within {seconds} s")
        time.sleep(interval)


def command(*words, **options):
    """Runs a command to its end; its output is part of the exception when it fails."""
    options.setdefault("timeout", 60)
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **options)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


class Namespace:
    """A network namespace by its name under /run/netns."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"

    def __enter__(self):
        # A stack per thread, so that `with` nests and threads do not meet.
        mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        target = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(target, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
        finally:
            os.close(target)
        _stack().append(mine)
        return self

    def __exit__(self, *_):
        mine = _stack().pop()
        if libc.setns(mine, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns back")
        os.close(mine)

    def socket(self, *arguments):
        with self:
            return socket.socket(*arguments)

    def words(self, *words):
        """The command line that runs `words` inside: nsenter, since `ip netns exec` hides /sys."""
        return ["nsenter", f"--net={self.path}", *[str(w) for w in words]]

    def run(self, *words, **options):
        return command(*self.words(*words), **options)

    def start(self, *words, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.words(*words), **options)

    def read_sysctl(self, key):
        with self, open("/proc/sys/net/" + key, encoding="ascii") as f:
            return f.read().strip()

    def write_sysctl(self, key, value):
        with self, open("/proc/sys/net/" + key, "w", encoding="ascii") as f:
            f.write(str(value))

    @contextlib.contextmanager
    def sysctl(self, settings):
        """For the length of a `with`; {"ipv4/tcp_sack": 0, ...}."""
        before = {key: self.read_sysctl(key) for key in settings}
        try:
            for key, value in settings.items():
                self.write_sysctl(key, value)
            yield
        finally:
            for key, value in before.items():
                self.write_sysctl(key, value)

    @contextlib.contextmanager
    def nft(self, rules):
        """A rule set of its own for the length of a `with`; `rules` is the body of a table."""
        table = "case"
        subprocess.run(self.words("nft", "delete", "table", "inet", table), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        done = subprocess.run(self.words("nft", "-f", "-"), input=f"table inet {table} {{\n{rules}\n}}\n",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise Failure(f"nft: {done.stdout}")
        try:
            yield lambda: self.run("nft", "list", "table", "inet", table)
        finally:
            self.run("nft", "delete", "table", "inet", table)


def _stack():
    if not hasattr(_thread, "stack"):
        _thread.stack = []
    return _thread.stack


class _PerThread(__import__("threading").local):
    pass


_thread = _PerThread()


def terminate(process, seconds=5):
    """SIGTERM, and SIGKILL to one that does not hear it. Returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    return process.returncode
