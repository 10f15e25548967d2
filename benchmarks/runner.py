"""Runs one command and prints what it used, as JSON: the smallest possible parent for a process to be measured.

A process of its own because Linux seeds a child's ru_maxrss with the peak of the memory it was forked from: measured
from a harness that holds manifests of 100k files, every program would look as large as the harness.  Started as
`python3 -I -S runner.py`, with the request on stdin; imports stay few for the same reason.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h: the command ends with us
PR_SET_CHILD_SUBREAPER = 36  # orphans of the command come to us, so that their time is counted
SIGKILL = 9
TIMED_OUT = 124  # as timeout(1)


def run(request: dict[str, object]) -> dict[str, object]:
    argv, environment = request["argv"], request["env"]
    assert isinstance(argv, list)
    assert isinstance(environment, dict)
    limit = float(str(request["timeout"]))
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.chdir(str(request["cwd"]))
    out = os.open(str(request["stdout"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    err = os.open(str(request["stderr"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)

    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
            for source, target in ((null, 0), (out, 1), (err, 2)):
                os.dup2(source, target)
            os.execvpe(argv[0], argv, environment)
        finally:
            os._exit(127)
    code, wall, user, system, peak_kib, orphans = 0, 0.0, 0.0, 0.0, 0, 0
    killed = False
    while True:
        try:
            reaped, status, usage = wait(max(limit - (time.monotonic() - start), 0.01))
        except ChildProcessError:
            break
        except TimeoutError:
            if killed:
                break
            killed = True
            os.killpg(pid, SIGKILL)  # its own session, made above
            continue
        user, system = user + usage.ru_utime, system + usage.ru_stime
        peak_kib = max(peak_kib, usage.ru_maxrss)
        if reaped == pid:
            wall, code = time.monotonic() - start, os.waitstatus_to_exitcode(status)
        else:
            orphans += 1
    return {
        "code": TIMED_OUT if killed else code,
        "wall": wall,
        "user": user,
        "system": system,
        "peak_kib": peak_kib,
        "orphans": orphans,
    }


def wait(seconds: float) -> tuple[int, int, resource.struct_rusage]:
    """The next child to end, with its resources; TimeoutError after so many seconds. Polling would blur short times."""

    def alarm(_number: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return os.wait3(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
