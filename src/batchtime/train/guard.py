"""Run a command so that nothing of it is left when whoever asked for it is gone: python guard.py STDOUT STDERR WORDS.

This file is a program of its own, of the standard library alone. While its standard input is open the command runs; at
its end, for whatever reason, the command and all that it started is asked to end, and killed. One line of JSON says
what came of it.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

_GRACE = 5.0  # seconds in which a program may end by itself
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: whose parent died becomes a child of this process


def main(stdout: str, stderr: str, *words: str) -> None:
    """Run the command; say its exit code and CPU seconds, or why it could not start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker ignores it, and the command is to have its own
    with Path(stdout).open("wb") as out, Path(stderr).open("wb") as err:
        try:
            command = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        except OSError as error:
            _say(error=error.strerror)
            return
    threading.Thread(target=_end_when_alone, args=[command], daemon=True).start()
    code = command.wait()
    _kill_what_is_left()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    _say(code=code, cpu_seconds=used.ru_utime + used.ru_stime)


def _end_when_alone(command: "subprocess.Popen[bytes]") -> None:
    """End the command and its group when standard input ends."""
    while os.read(sys.stdin.fileno(), 1):  # a buffered read holds a lock that Python wants when it ends, and aborts
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(command.pid, number)
        except ProcessLookupError:
            return
        for _ in range(round(_GRACE / 0.02)):
            if command.returncode is not None:
                return
            threading.Event().wait(0.02)


def _kill_what_is_left() -> None:
    """Kill what the command started and did not end, one generation after the other."""
    mine = Path(f"/proc/self/task/{os.getpid()}/children")
    while mine.exists() and (left := mine.read_text().split()):
        for child in left:
            os.kill(int(child), signal.SIGKILL)
            os.waitpid(int(child), 0)


def _say(**what: object) -> None:
    """Print the one line; nobody may be there to read it."""
    try:
        print(json.dumps(what), flush=True)  # noqa: T201 - it is read by whoever asked for the command
    except OSError:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
