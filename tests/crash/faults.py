"""Fail one call of a command, or all from one on, as a kernel would: each error only where it can come."""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.crash.disk import Disk, failure

# error: nothing happened. late: it happened all the same. short: a write takes a part. gone: no call works from now on.
Kind = Literal["error", "late", "short", "gone"]

STRIDE = 16

_ALLOCATES = {"create", "write", "mkdir", "link", "rename", "allocate", "fsync", "sync", "close"}
_NEEDS_PERMISSION = {"create", "open", "enter", "mkdir", "link", "rename", "unlink", "rmdir"}
_CHANGES = {"create", "mkdir", "link", "rename", "unlink", "rmdir", "fsync", "sync"}


@dataclass(frozen=True)
class Fault:
    """What happens at call number ``at`` of a command."""

    at: int
    kind: Kind
    number: int = errno.EIO

    def __str__(self) -> str:
        return f"call {self.at}: {errno.errorcode[self.number]} ({self.kind})"


@dataclass
class Calls:
    """Counts the calls on a disk, and lets one fail."""

    disk: Disk
    fault: Fault | None
    count: int = 0
    struck: bool = False

    def __post_init__(self) -> None:
        self.names: list[str] = []
        self.disk.before, self.disk.after = self._before, self._after

    def _before(self, call: str) -> None:
        self.names.append(call)
        number, self.count = self.count, self.count + 1
        if self.fault is None or number < self.fault.at or (number > self.fault.at and self.fault.kind != "gone"):
            return
        self.struck = True
        if self.fault.kind in ("error", "gone"):
            raise failure(self.fault.number, call)
        self.disk.short_write = self.fault.kind == "short"

    def _after(self) -> None:
        if self.fault is not None and self.fault.kind == "late" and self.count - 1 == self.fault.at:
            raise failure(self.fault.number)


def faults(calls: Sequence[str]) -> Iterator[Fault]:
    """All that can come over a command that makes these calls.

    In the middle of a row of the same calls, as those that make 256 directories, only every ``STRIDE``-th fails.
    """
    for at, call in enumerate(calls):
        if at % STRIDE and set(calls[max(0, at - STRIDE) : at + STRIDE + 1]) == {call}:
            continue
        yield Fault(at, "error")
        if call in _ALLOCATES:
            yield Fault(at, "error", errno.ENOSPC)
        if call in _NEEDS_PERMISSION:
            yield Fault(at, "error", errno.EACCES)
        if call in _CHANGES:
            yield Fault(at, "late")
        if call == "write":
            yield Fault(at, "short")
        if call in _CHANGES or call == "write":
            yield Fault(at, "gone")
