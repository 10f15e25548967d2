"""A server in a thread of the test, and a client that may say anything to it."""

import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bork.core import digest
from bork.errors import BorkError
from bork.protocol.codec import Value, encode
from bork.protocol.hello import MAGIC, Hello
from bork.protocol.messages import Inbox, Message, encode_start
from bork.server.policy import Policy
from bork.server.serve import serve

HELLO: dict[str, Value] = Hello("client", "test").encode()
TIMEOUT_S = 30.0


def raw(body: bytes, data: bytes = b"", /, **wrong: int) -> bytes:
    """A message of any body, with any field of its header."""
    fields = {"body": len(body), "data": len(data), "checksum": zlib.crc32(body + data), **wrong}
    start = struct.pack(">III", fields["body"], fields["data"], fields["checksum"])
    return start + struct.pack(">I", wrong.get("own", zlib.crc32(start))) + body + data


def message(body: Mapping[str, Value], data: bytes = b"") -> bytes:
    return encode_start(dict(body), data) + data


def request(number: int, verb: str, data: bytes = b"", **arguments: Value) -> bytes:
    return message({"request": number, "verb": verb, **arguments}, data)


class Served:
    """One connection. ``ended`` is how the server ended: an error, or None when it was content."""

    def __init__(self, policy: Policy, *, hello_s: float = 20, idle_s: float = 20, stall_s: float = 20) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(TIMEOUT_S)
        self.ended: BaseException | None = None
        self._numbers = iter(range(1, 1 << 30))
        self._inbox = Inbox()
        self._magic = b""

        def run() -> None:
            fd = theirs.detach()
            try:
                serve(fd, fd, policy, program="test", hello_s=hello_s, idle_s=idle_s, stall_s=stall_s)
            except BaseException as error:  # noqa: BLE001  # the test looks at it
                self.ended = error
            finally:
                os.close(fd)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Everything that the server still takes."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> Message | None:
        """The next message; None at the end."""
        while True:
            wanted = len(MAGIC) - len(self._magic)
            try:
                data = self.socket.recv(wanted or len(self._inbox.room()))
            except ConnectionResetError:
                return None
            if not data:
                return None
            if wanted:
                self._magic += data
                assert MAGIC.startswith(self._magic)
                continue
            self._inbox.room()[: len(data)] = data
            if (found := self._inbox.filled(len(data))) is not None:
                return Message(found.body, bytes(found.data))

    def greet(self) -> Self:
        """Exchange hellos."""
        self.send(MAGIC + message(HELLO))
        hello = self.receive()
        assert hello is not None
        assert hello.body["role"] == "server"
        return self

    def ask(self, verb: str, data: bytes = b"", **arguments: Value) -> Message:
        number = next(self._numbers)
        self.send(request(number, verb, data, **arguments))
        answer = self.receive()
        assert answer is not None, f"{verb} ended the connection: {self.finish()}"
        assert answer.body["answer"] == number
        return answer

    def refused(self, verb: str, data: bytes = b"", **arguments: Value) -> str:
        """The class of the error that a request is answered with."""
        answer = self.ask(verb, data, **arguments)
        error = answer.body.get("error")
        assert isinstance(error, str), f"{verb} {arguments} was allowed"
        return error

    def rest(self) -> list[Message]:
        """Everything until the end."""
        found = []
        while (got := self.receive()) is not None:
            found.append(got)
        return found

    def finish(self) -> BaseException | None:
        """Close our side, and see how the server ends."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive(), "the server does not end"
        return self.ended

    def close(self) -> None:
        self.finish()
        self.socket.close()


def opened(path: Path, policy: Policy | None = None, **limits: float) -> Served:
    """A connection on an existing repository."""
    served = Served(policy or Policy(), **limits).greet()
    assert served.ask("open", path=os.fsencode(path)).body.keys() == {"answer", "append_only"}
    return served


def tree(path: Path) -> dict[str, Any]:
    """Everything in a directory, with its content."""
    found: dict[str, Any] = {}
    for entry in sorted(path.rglob("*")):
        name = str(entry.relative_to(path))
        if entry.is_symlink():
            found[name] = os.readlink(entry)
        else:
            found[name] = entry.read_bytes() if entry.is_file() else None
    return found


def name_of(collection: str, content: bytes) -> str:
    """The name that content has by its digest."""
    text = digest(content).hex()
    return f"packs/{text[:2]}/{text}" if collection == "packs" else f"{collection}/{text}"


def is_one_line(error: BaseException | None) -> bool:
    return isinstance(error, BorkError) and "\n" not in str(error) and len(str(error)) < 500


def wait_until(condition: Any, timeout_s: float = TIMEOUT_S) -> None:  # noqa: ANN401  # any callable
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


EMPTY = encode({})
