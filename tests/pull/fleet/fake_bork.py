"""A program in place of Bork, for tests of what runs it: it behaves as a file beside it says, and notes what it does.

``behaviour.json``: ``{"pull:web": "hang", "compact:*": "slow"}``; what is not named is good.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent


def note(**what: object) -> None:
    """One line, by one write: others write at the same time."""
    with (HERE / "log").open("ab", buffering=0) as log:
        log.write(json.dumps({"time": time.monotonic(), "pid": os.getpid(), **what}).encode() + b"\n")


def say(record: object) -> None:
    os.write(2, json.dumps(record).encode() + b"\n")


def host_of(command: str, words: list[str]) -> str:
    if command == "pull":
        return words[words.index("--") + 1].rpartition("@")[2].partition(":")[0]
    if command == "prune":
        glob = next(word for word in words if word.startswith("--glob-archives="))
        return glob.partition("=")[2].partition("-[")[0]
    return words[-1].rpartition("/")[2]


def document(host: str) -> str:
    stats = {"original_size": 1000, "compressed_size": 500, "deduplicated_size": 10, "nfiles": 3}
    return json.dumps({"archive": {"name": f"{host}-now", "stats": stats}})


def passphrase() -> str | None:
    number = os.environ.get("BORK_PASSPHRASE_FD")
    return None if number is None else os.read(int(number), 1000).decode()


def main() -> int:
    words = [word for word in sys.argv[1:] if word not in ("--info", "--debug")]
    command = words[0]
    host = host_of(command, words)
    known = json.loads((HERE / "behaviour.json").read_text())
    behaviour = known.get(f"{command}:{host}", known.get(f"{command}:*", "good"))
    variables = {name: value for name, value in os.environ.items() if name.startswith(("BORK_", "BORG_"))}
    note(event="start", command=command, host=host, words=words, variables=variables, passphrase=passphrase())
    code = act(behaviour, command, host)
    note(event="end", command=command, host=host)
    return code


def act(behaviour: str, command: str, host: str) -> int:  # noqa: C901 (one case for each way to go wrong)
    match behaviour:
        case "fail":
            say({"type": "log_message", "levelname": "ERROR", "message": "no route to host", "name": "x", "time": 1.0})
            return 81
        case "escape":
            say({"type": "log_message", "levelname": "ERROR", "message": "\x1b]0;owned\x07bad", "name": "x"})
            return 2
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            note(event="deaf", command=command, host=host)
            time.sleep(600)
        case "garbage":
            os.write(2, b'\xff\xfe\x00{"type"\n[1,2]\n"text"\n{"type": 3}\n' + b"[" * 100_000 + b"\n")
            os.write(1, b"\xff\x00 no json")
            return 0
        case "flood":
            os.write(2, b"x" * 3_000_000 + b"\n")
            os.write(1, b"y" * 3_000_000)
            return 0
        case "mute":
            return 0
        case "leaves":
            # What is left behind holds the pipes of its parent.
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=True)
            note(event="left", command=command, host=host, left=left.pid)
        case "slower":
            time.sleep(3)
        case "slow":
            time.sleep(0.4)
        case "warn":
            say({"type": "log_message", "levelname": "WARNING", "message": "a file changed", "name": "x"})
            print(document(host))
            return 100
        case "progress":
            say({"type": "archive_progress", "original_size": 5, "deduplicated_size": 1, "nfiles": 1, "path": "a\x1bb"})
            time.sleep(1.5)  # on a busy machine the board is drawn late
        case _:
            assert behaviour == "good"
    if command == "pull":
        print(document(host))
    return 0


sys.exit(main())
