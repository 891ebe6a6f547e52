# SPDX-License-Identifier: BSD-3-Clause
"""Background processes that outlive the script: started with a log, remembered by pid and birth, ended by that alone."""
import os
import signal
import subprocess
import time

from sw_net import LabError


def birth(pid):
    """Start time in clock ticks since boot; None when there is no such process or it is a zombie. A pid alone may
    have been given to somebody else by now."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def alive(entry):
    return birth(entry["pid"]) == entry["birth"]


def wait_until(condition, seconds):
    """True as soon as the condition holds; False when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def spawn(command, log, env=None):
    """Starts `command` in a session of its own with its output in `log`; returns what `end` needs."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "ab") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                 start_new_session=True, env=env)
    return {"pid": child.pid, "birth": birth(child.pid) or 0, "log": log, "command": os.path.basename(command[0])}


def log_tail(path, lines=15):
    try:
        with open(path, errors="replace") as file:
            return "".join("    " + line for line in file.readlines()[-lines:])
    except FileNotFoundError:
        return ""


def expect(name, entry, condition, seconds=10):
    """Waits until `condition` holds; a process that ends first, or never gets there, is shown with its log."""
    ready = []

    def settled():
        ready.append(condition())
        return ready[-1] or not alive(entry)

    if wait_until(settled, seconds) and ready[-1]:
        return
    what = "is still not ready after %d s" % seconds if alive(entry) else "ended at once"
    raise LabError("%s %s; the end of %s:\n%s" % (name, what, entry["log"], log_tail(entry["log"])))


def reaped(entry):
    """Nothing is left of it, as far as it is ours to collect: started by this same process."""
    try:
        return os.waitpid(entry["pid"], os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def end(entries, grace=5):
    """Ends these processes together: SIGTERM to their sessions, SIGKILL to what is left after `grace` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        left = [entry for entry in entries if alive(entry)]
        if not left:
            break
        for entry in left:
            try:
                os.killpg(entry["pid"], number)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(alive(entry) for entry in left), seconds)
    # The first thread of a process may be gone while the others still give its memory back.
    wait_until(lambda: all([reaped(entry) for entry in entries]), grace)
