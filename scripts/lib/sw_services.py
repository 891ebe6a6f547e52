# SPDX-License-Identifier: BSD-3-Clause
"""The protected host's services, as Debian packages them: opentracker, nginx, OpenSMTPD. Each runs in the foreground,
in its own session, with every file below the lab's run directory, and knows nothing of the system's own instance."""
import os

from sw_net import INSIDE4, INSIDE6

TRACKER_PORT, WEB_PORT, SMTP_PORT = 20000, 80, 25

# Debian's opentracker knows torrents from a list, and IPv4 alone. IPv6 clients come in through nginx.
NGINX = """
daemon off;
user www-data;
worker_processes 1;
pid {run}/nginx/nginx.pid;
error_log {log}/nginx.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path {run}/nginx/body;
    proxy_temp_path {run}/nginx/proxy;
    fastcgi_temp_path {run}/nginx/fastcgi;
    uwsgi_temp_path {run}/nginx/uwsgi;
    scgi_temp_path {run}/nginx/scgi;
    server {{
        listen {v4}:{web};
        listen [{v6}]:{web};
        root {run}/www;
        location /upload/ {{
            root {run}/www;
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
    server {{
        listen [{v6}]:{tracker};
        location / {{ proxy_pass http://{v4}:{tracker}; }}
    }}
}}
"""

# A name server that refuses at once: without it every client's reverse look-up would wait for an answer.
SMTPD = """
table domains {{ "lab.example" }}
listen on {v4} port {smtp} hostname mail.lab.example
listen on {v6} port {smtp} hostname mail.lab.example
action "local" mbox
match from any for domain <domains> action "local"
"""

# smtpd has its spool and its socket in fixed places: it gets its own, in a mount namespace. Deliveries are paused.
SMTPD_START = """
mount --make-rprivate /
mount --bind "$1/resolv.conf" /etc/resolv.conf
settings=$(cat "$1/smtpd.conf")
mount -t tmpfs -o mode=755,size=64m none /var/spool
mount -t tmpfs -o mode=755,size=4m none /run
mkdir -m 711 /var/spool/smtpd
printf '%s\\n' "$settings" >/run/smtpd.conf
exec smtpd -d -f /run/smtpd.conf -P mda -P mta
"""

# The torrent that the tracker always knows; `scripts/demo` adds a real one.
INFO_HASH = "5eaa11" + "0" * 30 + "2008"

INDEX = "<!doctype html>\n<title>The web server behind Seawall</title>\n<p>It works.</p>\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def prepare(run, log, torrents=()):
    """Writes the configuration of all three. `torrents`: info-hashes in hex that the tracker accepts besides its own."""
    names = dict(run=run, log=log, v4=INSIDE4, v6=INSIDE6, tracker=TRACKER_PORT, web=WEB_PORT, smtp=SMTP_PORT)
    write(run + "/tracker/whitelist", "".join(line + "\n" for line in (INFO_HASH, *torrents)))
    write(run + "/nginx/nginx.conf", NGINX.format(**names))
    write(run + "/www/index.html", INDEX)
    os.makedirs(run + "/www/upload", exist_ok=True)
    os.chmod(run + "/www/upload", 0o777)
    write(run + "/smtp/smtpd.conf", SMTPD.format(**names))
    os.chmod(run + "/smtp/smtpd.conf", 0o644)
    write(run + "/smtp/resolv.conf", "nameserver 127.0.0.1\n")


def commands(run):
    """name -> (command line, [(address, port) that answer when it is ready])"""
    return {
        "tracker": (
            # It leaves root for nobody and sees the run directory as its root.
            ["opentracker", "-i", INSIDE4, "-p", str(TRACKER_PORT), "-u", "nobody", "-d", run + "/tracker",
             "-w", "/whitelist"],
            [(INSIDE4, TRACKER_PORT)]),
        "web": (
            ["nginx", "-e", run + "/log/nginx.log", "-c", run + "/nginx/nginx.conf"],
            [(INSIDE4, WEB_PORT), (INSIDE6, WEB_PORT), (INSIDE6, TRACKER_PORT)]),
        "mail": (
            ["unshare", "--mount", "sh", "-ec", SMTPD_START, "sh", run + "/smtp"],
            [(INSIDE4, SMTP_PORT), (INSIDE6, SMTP_PORT)]),
    }
