# SPDX-License-Identifier: BSD-3-Clause
"""Bulk: bytes go in at one end and come out the same at the other, with the programs that people use."""

import contextlib
import hashlib
import http.server
import os
import selectors
import smtplib
import socket
import threading

from cases import case
from lab import FAMILY, SERVER
from nets import Failure, check, terminate, wait_for
from relay import Far
from servers import Pattern, in_threads, receive_digest, receive_exactly, speaks_first

MIB = 1 << 20
SIZE = 64 * MIB


def url_host(family):
    return SERVER[family] if family == 4 else f"[{SERVER[family]}]"


def big_file(t):
    path = t.lab.directory / "big"
    if not path.exists():
        with open(path, "wb") as f:
            for chunk in Pattern("big", SIZE).chunks():
                f.write(chunk)
    return path, Pattern("big", SIZE).digest()


@contextlib.contextmanager
def nginx(t):
    """nginx on the inside host, serving the lab's directory on the case's port."""
    directory = t.lab.directory / f"nginx-{t.port}-{t.family}"
    directory.mkdir(exist_ok=True)
    config = directory / "nginx.conf"
    config.write_text(f"""
daemon off; master_process off; pid {directory}/pid; error_log stderr; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
 fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
 sendfile on; keepalive_requests 100000;
 server {{ listen {url_host(t.family)}:{t.port}; root {t.lab.directory}; }} }}
""", encoding="ascii")
    with open(directory / "output", "wb") as output:
        process = t.lab.inside.start("nginx", "-c", config, "-e", "stderr", stdout=output, stderr=output)
    try:
        def listening():
            if process.poll() is not None:
                raise Failure("nginx ended: " + (directory / "output").read_text())
            return f":{t.port} " in t.lab.inside.run("ss", "-Hltn")
        wait_for(listening, 10, "nginx")
        yield f"http://{url_host(t.family)}:{t.port}"
    finally:
        terminate(process)


class _Upload(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        h, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, MIB))
            if not data:
                return
            h.update(data)
            left -= len(data)
        body = h.hexdigest().encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def upload_server(t):
    class _Server(http.server.ThreadingHTTPServer):
        address_family = FAMILY[t.family]
        allow_reuse_address = True
        daemon_threads = True

    with t.lab.inside:
        server = _Server((SERVER[t.family], t.port), _Upload)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{url_host(t.family)}:{t.port}/upload"
    finally:
        server.shutdown()
        server.server_close()


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@case("curl downloads 64 MiB from nginx", also=("two workers",))
def download(t):
    _, digest = big_file(t)
    target = t.lab.directory / "download"
    url = t.enter(nginx(t))
    t.lab.outside.run("curl", "-sS", "--fail", "--max-time", 60, "-o", target, f"{url}/big")
    check(sha256(target) == digest, "checksum differs")
    os.unlink(target)


@case("curl uploads 64 MiB", also=("two workers",))
def upload(t):
    path, digest = big_file(t)
    url = t.enter(upload_server(t))
    answer = t.lab.outside.run("curl", "-sS", "--fail", "--max-time", 60, "-H", "Expect:", "-T", path, url)
    check(answer.strip() == digest, f"checksum differs: {answer[:100]!r}")


def both_ways(t, total, namespace=None, connections=1, seconds=80):
    """`total` bytes each way at the same time, spread over connections; every checksum compared."""
    size = total // connections

    def handler(connection):
        which = int.from_bytes(receive_exactly(connection, 1), "big")
        sender = threading.Thread(target=Pattern(f"down{which}", size).send, args=(connection,), daemon=True)
        sender.start()
        digest, count = receive_digest(connection, size)
        sender.join()
        connection.sendall(f"{digest} {count:12}".encode())

    server = t.serve(handler)
    done = []

    def client(which):
        with t.lab.connect(t.family, t.port, namespace=namespace, seconds=30) as s:
            s.settimeout(seconds)
            s.sendall(bytes([which]))
            up, down = Pattern(f"up{which}", size), Pattern(f"down{which}", size)
            sender = threading.Thread(target=up.send, args=(s,), daemon=True)
            sender.start()
            digest, count = receive_digest(s, size)
            check((digest, count) == (down.digest(), size),
                  f"down {which}: {count} of {size} bytes, or another checksum")
            sender.join()
            seen = receive_exactly(s, 77).decode().split()
            check(seen == [up.digest(), str(size)], f"up {which}: the server saw {seen[1]} bytes, or another checksum")
            done.append(which)

    try:
        in_threads(*[lambda n=n: client(n) for n in range(connections)], seconds=seconds)
    except Exception as error:
        raise type(error)(f"{error}; server: {server.errors}") from error
    check(len(done) == connections, f"{len(done)} of {connections} connections done")


@case("64 MiB each way at once in one connection", also=("two workers",))
def duplex(t):
    both_ways(t, SIZE)


@case("64 MiB each way with 1 % loss, reordering and delay both ways", seconds=170)
def impaired(t):
    addresses = {4: "10.20.0.3", 6: "fd00:20::3"}
    far = t.enter(Far(t.lab, "outside", addresses, loss=0.01, delay_ms=1, late=0.01, late_ms=2))
    both_ways(t, SIZE, namespace=far.namespace, connections=8, seconds=150)


@case("iperf3 both ways")
def iperf(t):
    words = ("iperf3", "-s", "-1", "-p", t.port, "-B", SERVER[t.family])
    server = t.lab.inside.start(*words, stdout=-3, stderr=-3)
    try:
        for reverse in ((), ("-R",)):
            if server.poll() is not None:
                server = t.lab.inside.start(*words, stdout=-3, stderr=-3)
            wait_for(lambda: f":{t.port} " in t.lab.inside.run("ss", "-Hltn"), 5, "iperf3 server")
            t.lab.outside.run("iperf3", "-c", SERVER[t.family], "-p", t.port, "-n", "64M", "-P", 2, "-J", *reverse)
            server.wait(10)
    finally:
        terminate(server)


@case("1,000 concurrent connections", also=("two workers",))
def thousand(t):
    count = 1000
    listener = t.enter(t.lab.listen(t.family, t.port, backlog=4096))
    listener.setblocking(False)
    server_selector, stop = selectors.DefaultSelector(), threading.Event()
    server_selector.register(listener, selectors.EVENT_READ)
    accepted, errors = [], []

    def serve():
        while not stop.is_set():
            for key, _ in server_selector.select(0.1):
                try:
                    if key.fileobj is listener:
                        s = listener.accept()[0]
                        s.setblocking(True)
                        accepted.append(s)
                        server_selector.register(s, selectors.EVENT_READ)
                    else:
                        data = key.fileobj.recv(4096)
                        if data:
                            key.fileobj.sendall(data)
                        else:
                            server_selector.unregister(key.fileobj)
                            key.fileobj.close()
                except OSError as error:
                    errors.append(error)
                    with contextlib.suppress(KeyError, ValueError):
                        server_selector.unregister(key.fileobj)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    clients = []
    try:
        for _ in range(count):
            clients.append(t.lab.connect(t.family, t.port))
        # All are open before the first speaks, and all speak twice.
        for turn in range(2):
            for n, s in enumerate(clients):
                s.sendall(f"{turn}:{n:08}".encode())
            for n, s in enumerate(clients):
                check(receive_exactly(s, 10) == f"{turn}:{n:08}".encode(), f"connection {n} heard another's data")
        check(len(accepted) == count, f"{len(accepted)} accepted")
        for s in clients:
            s.shutdown(socket.SHUT_WR)
        for n, s in enumerate(clients):
            check(s.recv(1) == b"", f"connection {n}: data instead of the end")
    finally:
        for s in clients:
            s.close()
        stop.set()
        thread.join()
        for s in accepted:
            s.close()
    check(not errors, f"server: {errors[:3]}")


@case("aria2 downloads over eight connections")
def aria(t):
    _, digest = big_file(t)
    url = t.enter(nginx(t))
    target = t.lab.directory / "aria"
    t.lab.outside.run("aria2c", "--no-conf", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none",
                      "--allow-overwrite=true", "--async-dns=false", "--timeout=20", "-d", t.lab.directory,
                      "-o", "aria", f"{url}/big")
    check(sha256(target) == digest, "checksum differs")
    os.unlink(target)


class _Mail:
    """Enough of a mail server (RFC 5321) to take a message; it speaks first, which is what matters here."""

    def __init__(self):
        self.messages = []

    def __call__(self, connection):
        connection.sendall(b"220 inside ESMTP\r\n")
        lines, in_data, message = connection.makefile("rb"), False, []
        for line in lines:
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    self.messages.append(b"".join(message))
                    connection.sendall(b"250 taken\r\n")
                else:
                    message.append(line)
                continue
            verb = line[:4].upper()
            if verb == b"DATA":
                in_data = True
                connection.sendall(b"354 go on\r\n")
            elif verb == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 fine\r\n")


@case("SMTP: a message of 300 kB, server speaks first", also=("two workers",))
def smtp(t):
    mail = _Mail()
    t.serve(mail)
    text = "Subject: test\r\n\r\n" + "".join(f"line {n:06} {'x' * 50}\r\n" for n in range(5000))
    with t.lab.outside:
        client = smtplib.SMTP(SERVER[t.family], t.port, local_hostname="outside", timeout=20)
    with client:
        client.sendmail("a@seawall.test", ["b@seawall.test"], text)
    check(len(mail.messages) == 1 and mail.messages[0] == text.encode(), "the message differs")
    # And with a program.
    t.lab.outside.run("curl", "-sS", "--max-time", 20, f"smtp://{url_host(t.family)}:{t.port}",
                      "--mail-from", "c@seawall.test", "--mail-rcpt", "d@seawall.test", "-T", "/etc/hostname")
    check(len(mail.messages) == 2, "curl's message did not come")


@case("200 short connections, one after another", also=("two workers",))
def short(t):
    """Each greets, asks and is answered: nothing of one may be seen by the next."""
    server = t.serve(speaks_first(b"hello\n"))
    for n in range(200):
        with t.lab.connect(t.family, t.port) as s:
            check(receive_exactly(s, 6) == b"hello\n", "another greeting")
            s.sendall(f"{n:06}".encode())
            check(receive_exactly(s, 6) == f"{n:06}".encode(), "another echo")
    wait_for(lambda: len(server.accepted) == 200, 5, lambda: f"200 connections at the server, {len(server.accepted)}")
    check(not server.errors, f"server: {server.errors[:3]}")




@case("the lab's tracker, web and mail servers answer")
def real_services(t):
    host = url_host(t.family)
    curl = ("curl", "-sS", "--fail", "--max-time", 20)
    announce = "&".join(("info_hash=" + "".join(f"%{n:02x}" for n in range(1, 21)), "peer_id=-SW0001-000000000001",
                         "port=6881", "uploaded=0", "downloaded=0", "left=1", "compact=1"))
    for _ in range(3):
        answer = t.lab.outside.run(*curl, f"http://{host}:20000/announce?{announce}")
        check(answer.startswith("d"), f"the tracker answers {answer[:80]!r}")
        check(t.lab.outside.run(*curl, f"http://{host}/"), "the web server answers nothing")
        with t.lab.outside:
            client = smtplib.SMTP(SERVER[t.family], 25, local_hostname="outside", timeout=20)
        with client:
            check(client.noop()[0] == 250, "the mail server does not answer NOOP")
