# SPDX-License-Identifier: BSD-3-Clause
"""The policy changes while traffic flows, and nothing established notices."""

import os
import signal
import threading

import sw_process
from arming import Talk
from cases import case
from nets import check, wait_for
from servers import receive_exactly
from transfer import both_ways


def generation(t):
    return t.lab.get("/status")["policy"]["generation_in_force"]


def mode(t, service):
    return next((one["mode"] for one in t.lab.get("/services")["services"] if one["name"] == service), None)


def change(t, n):
    """A policy that differs from the one before: another limit somewhere else, other lists, a service more or less."""
    group = {"name": f"group-{n % 3}", "prefixes": ["192.0.2.0/24"], "limits": {"syn_per_s": 10 + n}}
    policy = t.lab.config(deny=[f"203.0.113.{n % 256}/32", f"2001:db8:{n:x}::/48"],
                          allow=["198.18.0.0/15"] if n % 2 else [], groups=[group])
    policy["services"][-1]["limits"] = {"source": {"syn_per_s": 100 + n, "conn_per_s": 50}}
    if n % 2:
        policy["services"].insert(0, {"name": "extra", "targets": ["10.20.0.10:9000-9100", "[fd00:20::10]:9000"]})
    return policy


@case("reload during transfers, by API and by SIGHUP: none of them breaks", seawall=True, seconds=120)
def during_transfers(t):
    done, result, reloads = threading.Event(), [], 0

    def transfer():
        try:
            both_ways(t, 64 << 20, connections=4)
            result.append(None)
        except Exception as error:  # shown by the case
            result.append(error)
        done.set()

    thread = threading.Thread(target=transfer, daemon=True)
    talk_server = t.serve(port=t.port + 1)
    talk = t.enter(Talk([t.connect(port=t.port + 1) for _ in range(20)]))
    thread.start()
    first = generation(t)
    while not done.is_set() or reloads < 6:
        reloads += 1
        before = generation(t)
        if reloads % 3:
            t.lab.reload(change(t, reloads))
        else:
            t.lab.write_policy(change(t, reloads))
            t.lab.sighup()
        wait_for(lambda: generation(t) > before, 10, f"generation behind {before}")
    thread.join()
    talk.go_on()
    t.lab.reload(t.lab.config())
    check(result == [None], f"a transfer broke during {reloads} reloads: {result}")
    check(generation(t) >= first + reloads, f"generation {generation(t)} after {reloads} reloads from {first}")
    check(not talk_server.errors, f"server: {talk_server.errors}")


@case("a reload that removes a service, changes its mode, brings it back: its connections go on", seawall=True)
def service_goes(t):
    t.serve()
    talk = t.enter(Talk([t.connect() for _ in range(30)]))
    talk.go_on()
    for turn in ("gone", "back", "off", "always", "auto", "back"):
        policy = t.lab.config()
        for one in list(policy["services"]):
            if one["name"] == t.service:
                if turn == "gone":
                    policy["services"].remove(one)
                elif turn != "back":
                    one["mode"] = turn
        t.lab.reload(policy)
        if turn == "gone":
            wait_for(lambda: mode(t, t.service) == "retired", 5, "retired service")
        talk.go_on(5)
    s = t.connect()
    s.settimeout(10)
    s.sendall(b"new")
    check(receive_exactly(s, 3) == b"new", "another echo")


@case("a reload that takes a target from a service: its connections go on, new ones pass", seawall=True)
def target_goes(t):
    t.serve()
    talk = t.enter(Talk([t.connect() for _ in range(10)]))
    talk.go_on()
    policy = t.lab.config()
    for one in policy["services"]:
        if one["name"] == t.service:
            one["targets"] = [target for target in one["targets"] if target.startswith("[") == (t.family == 4)]
    t.lab.reload(policy)
    wait_for(lambda: mode(t, f"{t.service}~removed") == "retired", 5, "retired target")
    talk.go_on(5)
    talk = t.enter(Talk([t.connect() for _ in range(10)]))
    t.lab.reload(t.lab.config())
    wait_for(lambda: mode(t, f"{t.service}~removed") is None, 5, "end of the retired target")
    talk.go_on(5)


@case("a reload with the same file changes nothing", seawall=True, families=(4,))
def same(t):
    t.serve()
    talk = t.enter(Talk([t.connect() for _ in range(10)]))
    for _ in range(3):
        t.lab.reload()
    talk.go_on()


@case("a change of the boot section: in force as far as it can be, and the daemon says what needs a restart",
      seawall=True, families=(4,))
def needs_restart(t):
    t.serve()
    policy = t.lab.config(boot={"flows": 131072}, deny=["203.0.113.99"])
    t.lab.reload(policy)
    status = t.lab.get("/status")["policy"]
    check(status["needs_restart"] is True and "flows" in status["restart_field"], f"status: {status}")
    t.lab.reload(t.lab.config())
    wait_for(lambda: not t.lab.get("/status")["policy"]["needs_restart"], 5, "end of needs_restart")


@case("the control daemon is killed and comes back: traffic flows all the time", seawall=True, families=(4,))
def daemon_dies(t):
    t.serve()
    talk = t.enter(Talk([t.connect() for _ in range(20)]))
    entry = t.lab.process("control")
    before = t.lab.counters()
    os.kill(entry["pid"], signal.SIGKILL)
    wait_for(lambda: not sw_process.alive(entry), 5, "end of the daemon")
    talk.go_on(20)
    for _ in range(20):
        with t.lab.connect(t.family, t.port) as s:
            s.sendall(b"alone")
            check(receive_exactly(s, 5) == b"alone", "another echo")
    t.lab.start_control()
    talk.go_on(20)
    after = t.lab.counters()
    check(after["rx"] > before["rx"], "counters went back")
