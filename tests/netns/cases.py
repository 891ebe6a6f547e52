# SPDX-License-Identifier: BSD-3-Clause
"""What a case is, and how cases run.

A case is a function of one argument, the Case. It is run once for each family, against the policy of its group, and
with a service (eight ports) of its own, since the box learns per service what a server offers.
"""

import contextlib
import dataclasses
import fnmatch
import signal
import sys
import threading
import time
import traceback

import lab as labs
import servers
from nets import Failure, Skip
from rawclient import RawClient

REGISTRY = []
GROUPS = {}  # name: function(lab) that returns the policy; in the order in which they run


@dataclasses.dataclass
class Definition:
    name: str
    function: object
    group: str = "always"
    families: tuple = (4, 6)
    seawall: bool = False      # needs the box: skipped with --wall none
    background: bool = False   # mostly waits: runs beside the other cases of its group
    seconds: int = 90          # a case that takes longer has failed
    parameter: object = None


def case(name, **options):
    """Registers a function as a case. `parameters`: {suffix: value} makes one case of each. `also`: further groups."""
    parameters = options.pop("parameters", {"": None})
    also = options.pop("also", ())

    def register(function):
        for suffix, value in parameters.items():
            REGISTRY.append(Definition(f"{name} {suffix}".strip(), function, parameter=value, **options))
            for more in also:
                REGISTRY.append(Definition(f"{name} {suffix}".strip() + ", " + more, function, parameter=value,
                                           **{**options, "group": more, "seawall": True}))
        return function
    return register


def group(name):
    def register(function):
        GROUPS[name] = function
        return function
    return register


@group("always")
def _always(lab):
    return lab.config()


@group("two workers")
def _two_workers(lab):
    """A veth pair cannot shard by client address: packets reach workers that do not own them, and are handed over."""
    return lab.config(boot={"workers": 2})


class Case:
    """What a case works with: the lab, its family and ports, and things that are closed when it ends."""

    def __init__(self, lab, definition, family, number):
        self.lab, self.definition, self.family = lab, definition, family
        self.parameter = definition.parameter
        self.number = number
        self.service = f"case-{number}"
        self.port = labs.FIRST_PORT + number * labs.PORTS_PER_CASE
        self.ports = range(self.port, self.port + labs.PORTS_PER_CASE)
        self.stack = contextlib.ExitStack()
        self.seawall = lab.wall == "seawall"

    @property
    def title(self):
        return f"{self.definition.name} (IPv{self.family})"

    def serve(self, handler=servers.echo, port=None, **options):
        return self.stack.enter_context(servers.Server(self.lab, self.family, port or self.port, handler, **options))

    def connect(self, port=None, **options):
        return self.stack.enter_context(self.lab.connect(self.family, port or self.port, **options))

    def raw(self, port=None, **options):
        return self.stack.enter_context(RawClient(self.lab, self.family, port or self.port, **options))

    def enter(self, context):
        return self.stack.enter_context(context)


class _TooLong(Exception):
    pass


class Runner:
    def __init__(self, lab, out=sys.stdout):
        self.lab, self.out = lab, out
        self.passed = self.failed = self.skipped = self.number = 0
        self.lock = threading.Lock()
        self.times = []

    @staticmethod
    def select(patterns, families):
        """[(Definition, family, its service)], the groups in order, background cases of a group first."""
        chosen = []
        for number, (definition, family) in enumerate((d, f) for d in REGISTRY for f in d.families):
            title = f"{definition.name} (IPv{family})".lower()
            if family in families and (not patterns or any(
                    p.lower() in title or fnmatch.fnmatch(title, p.lower()) for p in patterns)):
                chosen.append((definition, family, number % labs.CASES))
        order = list(GROUPS)
        chosen.sort(key=lambda c: (order.index(c[0].group), not c[0].background))
        return chosen

    def run(self, chosen):
        for name in GROUPS:
            members = [c for c in chosen if c[0].group == name]
            if members:
                self._run_group(name, members)
        return self.failed == 0

    def _run_group(self, name, members):
        if self.lab.wall != "seawall":
            for c in [c for c in members if c[0].seawall]:
                self._report(self._case(c), "skip", "needs the box")
            members = [c for c in members if not c[0].seawall]
        if not members:
            return
        policy = GROUPS[name](self.lab)
        try:
            self.lab.start(policy)
        except Exception as error:
            for c in members:
                self._report(self._case(c), "not ok", f"the box did not start: {error}")
            return
        waiting = []
        for c in members:
            if c[0].background:
                thread = threading.Thread(target=self._run_case, args=(c,), daemon=True)
                thread.start()
                waiting.append((thread, c))
        for c in members:
            if not c[0].background:
                if not self._ready(policy):
                    self._report(self._case(c), "not ok", "the box did not start again")
                    continue
                self._run_case(c)
        for thread, c in waiting:
            thread.join(c[0].seconds)
            if thread.is_alive():
                self._report(self._case(c), "not ok", f"still running after {c[0].seconds} s")

    def _ready(self, policy):
        """After a case that killed the box: a new one, so that the next case has its chance."""
        try:
            self.lab.alive()
            return True
        except Failure:
            try:
                self.lab.start(policy)
                return True
            except Exception:
                return False

    def _case(self, c):
        return Case(self.lab, *c)

    def _run_case(self, c):
        this = self._case(c)
        start = time.monotonic()
        verdict, text = "ok", ""
        try:
            with self._deadline(c[0]), this.stack:
                c[0].function(this)
        except Skip as reason:
            verdict, text = "skip", str(reason)
        except KeyboardInterrupt:
            raise
        except (Failure, _TooLong) as error:
            verdict, text = "not ok", f"{error}\n    at {_where(error)}"
        except Exception:
            verdict, text = "not ok", traceback.format_exc()
        problem = self._after()
        if problem:
            verdict, text = "not ok", f"{text}\n{problem}".strip()
        self._report(this, verdict, text, time.monotonic() - start)

    def _after(self):
        """Both processes live, and every packet is accounted for."""
        if self.lab.wall != "seawall":
            return ""
        try:
            self.lab.alive()
            self.lab.sums()
            return ""
        except Exception as error:
            tail = "\n".join(f"  log of {n}:\n{self.lab.log_tail(n)}" for n in ("dataplane", "control"))
            return f"afterwards: {type(error).__name__}: {error}\n{tail}"

    @contextlib.contextmanager
    def _deadline(self, definition):
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def late(*_):
            raise _TooLong(f"not done within {definition.seconds} s")

        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(definition.seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def _report(self, this, verdict, text="", seconds=0.0):
        with self.lock:
            self.number += 1
            self.times.append((seconds, this.title))
            if verdict == "skip":
                self.skipped += 1
                line = f"ok {self.number} - {this.title} # SKIP {text}"
            else:
                if verdict == "ok":
                    self.passed += 1
                else:
                    self.failed += 1
                line = f"{verdict} {self.number} - {this.title}"
            print(line, file=self.out)
            if verdict == "not ok":
                for row in (f"service {this.service}, port {this.port}, {seconds:.1f} s\n" + text).splitlines():
                    print(f"#   {row}", file=self.out)
            self.out.flush()


def _where(error):
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f for f in frames if not f.filename.endswith(("nets.py", "cases.py"))] or frames
    return ", ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in mine[-3:])
