"""The verbs: what each takes, what it answers, and nothing else is accepted. The meaning is that of ``Store``.

A request is a map with ``request`` (its id, counting up), ``verb`` and the members of its schema. An answer is a map
with ``answer`` (that id) and the members of its schema, or ``error``, ``message`` and ``values`` (``faults.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bork.protocol.codec import Malformed
from bork.protocol.messages import DATA_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bork.protocol.codec import Value
    from bork.protocol.messages import Message

    Check = Callable[[Value], bool]

NAME_MAX = 80  # characters of the name of an object
NAMES_MAX = 4096  # in one request
RANGES_MAX = 4096  # in one request
RANGES_BYTES_MAX = 32 << 20  # of all ranges of one request
PATH_MAX = 4096  # bytes
PAGE_ENTRIES = 20_000  # of a listing in one answer: 800 kB
LOOK_LENGTH_MAX = 64 << 10  # bytes of an object that a look carries
SMALL_MAX = 4096  # bytes of a session
ID_MAX = (1 << 63) - 1
ENTRY_LENGTH = 40  # bytes in a listing: id 32, length 8
LOOK_ENTRY_LENGTH = 48  # bytes in an answer to look: id 32, length 8, carried 4, held 1, reserved 3
LOOK_PAGE_BYTES = 4 << 20  # of contents, in one answer to look; each object has at most LOOK_LENGTH_MAX of them


class Verb(NamedTuple):
    """``takes``, ``gives``: the members of request and answer; the numbers: most bytes of data in each."""

    takes: Mapping[str, Check]
    gives: Mapping[str, Check]
    data_in_max: int = 0
    data_out_max: int = 0


def _natural(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= ID_MAX


def _boolean(value: Value) -> bool:
    return isinstance(value, bool)


def _name(value: Value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_MAX


def _path(value: Value) -> bool:
    return isinstance(value, bytes) and 0 < len(value) <= PATH_MAX


def _digest(value: Value) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _names(value: Value) -> bool:
    return isinstance(value, list) and len(value) <= NAMES_MAX and all(map(_name, value))


def _ranges(value: Value) -> bool:
    """``[[name, offset, length, offset, length, ...], ...]``"""
    if not isinstance(value, list):
        return False
    count = total = 0
    for each in value:
        if not isinstance(each, list) or len(each) < 3 or len(each) % 2 == 0 or not _name(each[0]):
            return False
        if not all(map(_natural, each[1:])):
            return False
        count += len(each) // 2
        total += sum(length for length in each[2::2] if isinstance(length, int))
        if count > RANGES_MAX or total > RANGES_BYTES_MAX:
            return False
    return True


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _times(value: Value) -> bool:
    return isinstance(value, list) and len(value) <= NAMES_MAX and all(map(_optional(_natural), value))


_PLACE: Mapping[str, Check] = {"append_only": _boolean}

VERBS: Mapping[str, Verb] = {
    "open": Verb({"path": _path}, _PLACE),
    "create": Verb({"path": _path, "make_parent_dirs": _boolean}, _PLACE),
    "put_if_absent": Verb({"name": _name}, {}, data_in_max=DATA_MAX),
    "replace": Verb({"name": _name}, {}, data_in_max=DATA_MAX),
    "get": Verb({"name": _name}, {}, data_out_max=DATA_MAX),
    "get_ranges": Verb({"ranges": _ranges}, {}, data_out_max=RANGES_BYTES_MAX),
    "list": Verb({"collection": _name}, {"more": _boolean}, data_out_max=PAGE_ENTRIES * ENTRY_LENGTH),
    "look": Verb(
        {"contents": _boolean, "holders": _boolean, "what": _name},
        {"more": _boolean},
        data_out_max=LOOK_PAGE_BYTES + LOOK_LENGTH_MAX + PAGE_ENTRIES * LOOK_ENTRY_LENGTH,
    ),
    "delete": Verb({"name": _name}, {}),
    "delete_if": Verb({"content": _digest, "name": _name}, {"deleted": _boolean}),
    "settle": Verb({"names": _names}, {}),
    "hold": Verb({"name": _name}, {}, data_in_max=SMALL_MAX),
    "hold_replace": Verb({"name": _name}, {}, data_in_max=SMALL_MAX),
    "hold_is_intact": Verb({"name": _name}, {"intact": _boolean}),
    "hold_release": Verb({"name": _name}, {}),
    "put_while_held": Verb({"name": _name, "session": _name}, {"intact": _boolean}, data_in_max=DATA_MAX),
    "is_held": Verb({"name": _name}, {"held": _optional(_boolean)}),
    "arrivals": Verb({"names": _names}, {"times_ns": _times}),
    "free_space": Verb({}, {"free_bytes": _optional(_natural)}),
    "destroy": Verb({}, {"is_gone": _boolean}),
    "use_reserve": Verb({}, {}),
    "keep_reserve": Verb({}, {}),
    "sweep": Verb({}, {}),
    "ping": Verb({}, {}),
}
OPENING = ("open", "create")  # one of them comes first, and none of them a second time


class Request(NamedTuple):
    """A request that fits its schema."""

    id: int
    verb: str
    arguments: dict[str, Value]


def request_body(request_id: int, verb: str, arguments: Mapping[str, Value]) -> dict[str, Value]:
    """What ``parse_request`` reads."""
    return {"request": request_id, "verb": verb, **arguments}


def parse_request(message: Message) -> Request:
    """Raises: Malformed, if anything is missing, too much, of another type or too long; UnknownVerb."""
    arguments = dict(message.body)
    request_id, name = arguments.pop("request", None), arguments.pop("verb", None)
    if not isinstance(request_id, int) or isinstance(request_id, bool) or not 1 <= request_id <= ID_MAX:
        raise Malformed("a request without an id")
    if not isinstance(name, str) or len(name) > NAME_MAX:
        raise Malformed("a request without a verb")
    if name not in VERBS:
        raise UnknownVerb(request_id, name)
    verb = VERBS[name]
    if not _fits(arguments, verb.takes):
        raise Malformed(f"a request {name} that does not fit its schema")
    if message.data_length() > verb.data_in_max:
        raise Malformed(f"a request {name} with too much data")
    return Request(request_id, name, arguments)


def check_answer(name: str, members: Mapping[str, Value], data_length: int) -> None:
    """``members`` of an answer, without its id. Raises: Malformed."""
    verb = VERBS[name]
    if not _fits(members, verb.gives):
        raise Malformed(f"an answer to {name} that does not fit its schema")
    if data_length > verb.data_out_max:
        raise Malformed(f"an answer to {name} with too much data")


def _fits(members: Mapping[str, Value], schema: Mapping[str, Check]) -> bool:
    return members.keys() == schema.keys() and all(check(members[key]) for key, check in schema.items())


class UnknownVerb(Exception):
    """A verb of another version."""

    def __init__(self, request_id: int, name: str) -> None:
        super().__init__(name)
        self.request_id, self.name = request_id, name
