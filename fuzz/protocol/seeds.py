"""Begins the corpora: what the vectors have for each decoder, and whole sessions of both ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bork.core import digest
from bork.errors import CancelledByUser, NoSpace, ObjectMissing
from bork.protocol.codec import Value, encode
from bork.protocol.faults import encode_error
from bork.protocol.hello import Hello
from bork.protocol.messages import encode_start
from bork.protocol.verbs import VERBS, request_body
from bork.repository import session
from bork.storage.names import COLLECTIONS
from fuzz.protocol import frames
from fuzz.protocol.client import ARCHIVE, PACK, SESSION, USES
from fuzz.protocol.frames import Frame
from fuzz.protocol.server import KEPT

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "protocol.json"
ID = bytes.fromhex("ab" * 32)
TAKEN: dict[str, Value] = {
    "path": b"/repo",
    "make_parent_dirs": True,
    "name": PACK,
    "collection": "packs",
    "names": [PACK, ARCHIVE],
    "ranges": [[PACK, 0, 2, 7, 1], [ARCHIVE, 0, 4]],
}
ASK = 3  # of USES: what asks for values of all kinds
GIVEN: dict[str, Value] = {
    "append_only": False,
    "more": False,
    "intact": True,
    "held": None,
    "times_ns": [None, 1_700_000_000_000_000_000],
    "free_bytes": 1 << 40,
    "is_gone": True,
}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Of each target: its name, and an input."""
    vectors: dict[str, list[dict[str, Any]]] = json.loads(VECTORS.read_text())
    for vector in vectors["values"] + vectors["refused"]:
        yield "codec", bytes.fromhex(vector["encoded"])[:300]
    yield "codec", b"\x91" * 2000 + b"\xc0"
    for vector in vectors["messages"]:
        message = bytes.fromhex(vector["message"])
        yield "stream", message
        yield "stream", message * 2 + message[:20]
    for hello in (Hello("client", "bork"), Hello("server", "x", 1, 9, ("a", "b")), Hello("peer", "x", 2, 1)):
        yield "hello", encode(hello.encode())
        yield "hello", encode({**hello.encode(), "more": [1]})
    for wrong in (b"", b"\0", b"\xc1" * 20, b"\0\0\0\1" * 4):
        yield from ((target, wrong) for target in ("stream", "request", "answer", "hello", "server", "client"))
    yield from _schemas()
    yield from (("server", mode + frames.join(each)) for mode in (b"\0", b"\xff") for each in _sessions())
    for number in range(len(USES)):
        yield "client", bytes((number,)) + frames.join(_answers(_told(number)))
    lies: list[dict[str, Value]] = [{"times_ns": [True, "x"]}, {"free_bytes": -1}, {"held": 2}, {"is_gone": b""}]
    for at, lie in enumerate(lies):
        told = _told(ASK)
        told[at] = (lie, b"")
        yield "client", bytes((ASK,)) + frames.join(_answers(told))


def _schemas() -> Iterator[tuple[str, bytes]]:
    for number, (name, verb) in enumerate(VERBS.items()):
        arguments = {key: TAKEN[key] for key in verb.takes}
        body = encode(request_body(number + 1, name, arguments))
        yield "request", bytes(4) + body
        yield "request", b"\0\0\x20\0" + body
        yield "answer", bytes((number,)) + bytes(4) + encode({"answer": 1, **{key: GIVEN[key] for key in verb.gives}})
    for error in (ObjectMissing("config", "/repo"), NoSpace("/repo", "put", "x"), CancelledByUser()):
        yield "answer", bytes(5) + encode({"answer": 1, **encode_error(error)})
    yield "stream", encode_start({"request": 1, "verb": "ping"}, b"") + bytes(16)


def _sessions() -> Iterator[list[Frame]]:
    """Of a client: everything there is to ask, and a repository that is made."""
    new = f"indexes/{digest(b'new').hex()}"
    writer = session.SessionRecord("writer", 0).encode()
    asked: list[tuple[str, dict[str, Value], bytes]] = [("open", {"path": b"/repo"}, b"")]
    asked += [(verb, {"name": name}, b"") for name in KEPT for verb in ("get", "is_held", "delete")]
    asked += [("list", {"collection": name}, b"") for name in ("packs", "gc", "archives")]
    asked += [
        (name, {key: TAKEN[key] for key in VERBS[name].takes}, b"")
        for name in VERBS
        if name not in ("open", "create", "destroy")
    ]
    asked += [("put_if_absent", {"name": new}, b"new"), ("put_if_absent", {"name": "config"}, b"{}")]
    asked += [("replace", {"name": ARCHIVE}, b"x"), ("get_ranges", {"ranges": [[next(iter(KEPT)), 0, 2, 1, 3]]}, b"")]
    asked += [("hold", {"name": SESSION}, writer), ("hold_replace", {"name": SESSION}, writer)]
    asked += [(f"hold_{deed}", {"name": SESSION}, b"") for deed in ("is_intact", "release")]
    yield [(encode(request_body(number, verb, rest)), data) for number, (verb, rest, data) in enumerate(asked, 1)]
    yield [(encode(request_body(1, verb, rest)), data) for verb, rest, data in asked[1:4]]
    made: list[tuple[str, dict[str, Value]]] = [("create", {"path": b"/r", "make_parent_dirs": False}), ("destroy", {})]
    yield [(encode(request_body(number, verb, rest)), b"") for number, (verb, rest) in enumerate(made, 1)]
    yield [(encode({"request": 1, "verb": "future"}), b"")]


def _pages() -> Iterator[tuple[dict[str, Value], bytes]]:
    """Of lists of all collections; the first one comes in two parts."""
    length = (7).to_bytes(8, "big")
    yield {"more": True}, ID + length
    for collection in COLLECTIONS:
        yield {"more": False}, ((ID[:8] + bytes(24)) if collection == "gc" else ID) + length


def _told(use: int) -> list[tuple[dict[str, Value], bytes]]:
    """What ``USES[use]`` is answered, one after the other."""
    match use:
        case 0:
            return [*_pages()]
        case 1:
            return [({}, b"whole"), ({}, b"abc")]
        case 2:
            return [({}, b"ab" + b"c" + b"defg")]
        case 3:
            return [({name: GIVEN[name]}, b"") for name in ("times_ns", "free_bytes", "held", "is_gone")]
        case 4:
            return [({}, b""), ({}, b""), ({"intact": True}, b""), ({}, b"")]
        case _:
            return [({}, b"")] * 9


def _answers(told: list[tuple[dict[str, Value], bytes]]) -> Iterator[Frame]:
    """Of a server: the opening, and what follows. Parts of a list are answers to one request."""
    yield encode({"answer": 1, "append_only": False}), b""
    number = 2
    for members, data in told:
        yield encode({"answer": number, **members}), data
        number += members.get("more") is not True
