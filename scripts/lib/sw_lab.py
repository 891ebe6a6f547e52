# SPDX-License-Identifier: BSD-3-Clause
"""One lab: its network, its services, its Seawall. State lies in /run/seawall-lab/NAME, so that each call of
scripts/lab finds what the last one left."""
import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import sw_net
import sw_process
import sw_services
from sw_net import LabError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SEAWALL_BUILD", os.path.join(ROOT, "build"))
WALLS = ("none", "nftables", "seawall")
PROGRAMS = {"dataplane": "dataplane/seawall-dataplane", "control": "control/seawalld", "ctl": "control/seawallctl"}


def program(name):
    """A built program, wherever meson puts it."""
    base = os.path.basename(PROGRAMS[name])
    for path in (os.path.join(BUILD, PROGRAMS[name]), os.path.join(BUILD, base), os.path.join(BUILD, "control/cli", base)):
        if os.access(path, os.X_OK):
            return path
    raise LabError("%s is not built in %s: run scripts/setup" % (base, BUILD))


class UnixHTTP(http.client.HTTPConnection):
    """HTTP over a Unix socket, for the control daemon."""

    def __init__(self, path, timeout=2):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lab:
    def __init__(self, name=None):
        self.name = name or os.environ.get("SEAWALL_LAB", "sw")
        if not self.name.replace("-", "").isalnum() or len(self.name) > 32:
            raise LabError("a lab's name has letters, digits and '-' only, 32 at most: %r" % self.name)
        self.run_dir = "/run/seawall-lab/" + self.name
        self.log_dir = self.run_dir + "/log"
        self.runtime_dir = self.run_dir + "/seawall"  # --runtime-dir: sockets and counters of Seawall
        self.state_dir = self.run_dir + "/state"      # --state-dir: last good policy and secret
        self.config_path = self.run_dir + "/seawall.json"
        self.state_path = self.run_dir + "/lab.json"

    # ---- state ----

    @contextlib.contextmanager
    def locked(self):
        """One change at a time, from however many terminals."""
        os.makedirs("/run/seawall-lab", exist_ok=True)
        with open("/run/seawall-lab/.%s.lock" % self.name, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def state(self):
        try:
            with open(self.state_path) as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return {"wall": None, "processes": {}}

    def save(self, state):
        os.makedirs(self.run_dir, exist_ok=True)
        with open(self.state_path + ".new", "w") as file:
            json.dump(state, file, indent=2)
        os.replace(self.state_path + ".new", self.state_path)

    def netns(self, host):
        if host not in sw_net.HOSTS:
            raise LabError("no host %r here; there are %s" % (host, ", ".join(sw_net.HOSTS)))
        return "%s-%s" % (self.name, host)

    def within(self, host, *args):
        return list(sw_net.within(self.netns(host), *args))

    def tool(self, name):
        """A load generator of tests/tools."""
        return os.path.join(BUILD, "tests/tools", name)

    def output(self, host, *args):
        return sw_net.call(*self.within(host, *args))

    def need_up(self):
        if not self.state()["wall"]:
            raise LabError("the lab %r is not up: scripts/lab up" % self.name)

    # ---- up and down ----

    def up(self, wall="none", host="modern", queues=1, torrents=(), config=None):
        with self.locked():
            self._down()
            try:
                self._up(wall, host, queues, torrents)
                if wall == "seawall":
                    self._start(config)
            except BaseException:
                self._down(keep_logs=True)
                raise

    def _up(self, wall, host, queues, torrents):
        if os.geteuid() != 0:
            raise LabError("network namespaces need root")
        os.makedirs(self.log_dir)
        os.chmod("/run/seawall-lab", 0o755)
        self.save({"wall": wall, "host": host, "queues": queues, "processes": {}})
        sw_net.create(self.name, queues)
        if wall == "nftables":
            sw_net.synproxy_router(self.name)
        else:
            sw_net.bridge(self.name)
        if host == "2008":
            sw_net.sysctl(self.netns("inside"), sw_net.HOST_2008)
        sw_services.prepare(self.run_dir, self.log_dir, torrents)
        for service, (command, _) in sw_services.commands(self.run_dir).items():
            self._spawn(service, "inside", command)
        processes = self.state()["processes"]
        for service, (_, sockets) in sw_services.commands(self.run_dir).items():
            sw_process.expect(service, processes[service], lambda: self._listening(sockets))

    def _spawn(self, name, host, command):
        state = self.state()
        entry = sw_process.spawn(self.within(host, *command), "%s/%s.log" % (self.log_dir, name))
        state["processes"][name] = entry
        self.save(state)
        return entry

    def _listening(self, sockets):
        rows = self.output("inside", "ss", "-Hltn").splitlines()
        heard = {row.split()[3].replace("[", "").replace("]", "") for row in rows if row.strip()}
        return all("%s:%d" % each in heard for each in sockets)

    def down(self):
        with self.locked():
            self._down()

    def _down(self, keep_logs=False):
        sw_process.end(list(self.state()["processes"].values()))
        # Whatever else runs inside namespaces of our own making: a forgotten `run`, a load generator.
        for host in sw_net.HOSTS:
            if os.path.exists(sw_net.netns_path(self.netns(host))):
                self._end_strays(self.netns(host))
        self._unpin()
        sw_net.remove(self.name)
        if keep_logs:
            self.keep_logs()
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def keep_logs(self):
        """For whoever asks what went wrong: RUN_DIR.failed, until the next failure."""
        if os.path.isdir(self.log_dir):
            shutil.rmtree(self.run_dir + ".failed", ignore_errors=True)
            shutil.copytree(self.log_dir, self.run_dir + ".failed")

    @staticmethod
    def _end_strays(name):
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = [int(pid) for pid in sw_net.call("ip", "netns", "pids", name).split() if int(pid) != os.getpid()]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if not pids or sw_process.wait_until(lambda: not any(sw_process.birth(pid) for pid in pids), 3):
                return

    def _unpin(self):
        """The XDP program outlives its process on purpose; with the interfaces gone, its pins are litter."""
        shutil.rmtree("/sys/fs/bpf/seawall/" + self.name, ignore_errors=True)

    # ---- Seawall ----

    def start(self, config=None):
        with self.locked():
            self.need_up()
            self._start(config)

    def _start(self, config):
        state = self.state()
        if state["wall"] != "seawall":
            raise LabError("the wall of this lab is %r: scripts/lab up --wall seawall" % state["wall"])
        if any(name in state["processes"] and sw_process.alive(state["processes"][name]) for name in ("dataplane", "control")):
            raise LabError("Seawall runs already: scripts/lab stop")
        self._write_config(config or os.path.join(ROOT, "scripts/lab.d/seawall.json"), state["queues"])
        for path in (self.runtime_dir, self.state_dir):
            os.makedirs(path, mode=0o700, exist_ok=True)
        if not os.path.ismount("/sys/fs/bpf"):
            sw_net.call("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
        snapshot = self.state_dir + "/policy.snapshot"
        control = [program("control"), "--config", self.config_path]
        sw_net.call(*self.within("box", *control, "--compile", snapshot))
        dirs = ["--runtime-dir", self.runtime_dir, "--state-dir", self.state_dir]
        try:
            self.start_dataplane(snapshot)
            entry = self._spawn("control", "box", control + dirs)
            sw_process.expect("seawalld", entry, self._control_answers)
        except BaseException:
            self._stop()
            raise

    def start_dataplane(self, snapshot=None):
        """The dataplane alone, as after a crash."""
        snapshot = snapshot or self.state_dir + "/policy.snapshot"
        # Ahead of what else the machine does: a worker that gets no CPU for half a second counts as hung.
        entry = self._spawn("dataplane", "box", ["nice", "-n", "-10", program("dataplane"), "--snapshot", snapshot,
                                                 "--runtime-dir", self.runtime_dir, "--state-dir", self.state_dir])
        sw_process.expect("seawall-dataplane", entry, self._dataplane_answers, seconds=30)

    def _write_config(self, source, queues):
        """A copy in the run directory, under the lab's own instance name and with a worker for each queue."""
        with open(source) as file:
            text = file.read()
        try:
            config = json.loads(text)
            boot = config.setdefault("boot", {})
            boot.setdefault("instance", self.name)
            boot.setdefault("workers", queues)
            text = json.dumps(config, indent=2) + "\n"
        except (ValueError, AttributeError):
            pass  # broken on purpose: seawalld is to say so
        sw_services.write(self.config_path, text)

    def _dataplane_answers(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(self.runtime_dir + "/dataplane.sock")
                return True
            except OSError:
                return False

    def _control_answers(self):
        try:
            self.get("/status")
            return True
        except (OSError, http.client.HTTPException, LabError):
            return False

    def get(self, path):
        """GET from the control daemon; parsed JSON."""
        connection = UnixHTTP(self.runtime_dir + "/seawalld.sock")
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        if reply.status not in (200, 503):
            raise LabError("GET %s: %d %s" % (path, reply.status, body[:200].decode(errors="replace")))
        return json.loads(body)

    def settled_stats(self, seconds=5):
        """/stats once two samples in a row show the same packets, so nothing is under way; the last one after the
        deadline."""
        deadline, last = time.monotonic() + seconds, None
        while True:
            stats = self.get("/stats")
            key = stats.get("time"), stats["accounting"]["rx"]
            if last and key[0] != last[0]:
                if key[1] == last[1] or time.monotonic() > deadline:
                    return stats
            if not last or key[0] != last[0]:
                last = key
            time.sleep(0.05)

    def stop(self):
        with self.locked():
            self._stop()

    def _stop(self):
        state = self.state()
        entries = [state["processes"].pop(name) for name in ("control", "dataplane") if name in state["processes"]]
        sw_process.end(entries, grace=10)
        if os.path.isdir(self.run_dir):
            self.save(state)

    # ---- looking ----

    def status(self):
        state = self.state()
        report = {"lab": self.name, "wall": state["wall"], "host": state.get("host"), "queues": state.get("queues"),
                  "run_dir": self.run_dir, "config": self.config_path, "web_root": self.run_dir + "/www",
                  "runtime_dir": self.runtime_dir, "state_dir": self.state_dir,
                  "hosts": {host: {"netns": self.netns(host), "up": os.path.exists(sw_net.netns_path(self.netns(host)))}
                            for host in sw_net.HOSTS},
                  "processes": {name: {"pid": entry["pid"], "alive": sw_process.alive(entry), "log": entry["log"]}
                                for name, entry in state["processes"].items()}}
        if "control" in state["processes"]:
            try:
                report["accounting"] = self.get("/stats").get("accounting")
            except (OSError, http.client.HTTPException, LabError, ValueError) as error:
                report["accounting_error"] = str(error)
        return report

    def run(self, host, command):
        """Runs a command in the foreground with our own terminal; its exit status."""
        self.need_up()
        return subprocess.run(self.within(host, *command), env=self.environment()).returncode

    def environment(self):
        """What commands inside the lab see besides."""
        return dict(os.environ, SEAWALL_LAB=self.name, SEAWALL_RUNTIME_DIR=self.runtime_dir,
                    PATH=":".join([os.path.join(BUILD, "control"), os.path.join(BUILD, "tests/tools"), os.environ["PATH"]]))
