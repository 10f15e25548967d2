"""What the client's administrator lets a server read: roots, and nothing that leads out of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bork.errors import CommandError
from bork.operations.create import Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bork.pull.blind.order import Order


def fenced(order: Order, fences: Sequence[str]) -> tuple[Root, ...]:
    """The roots of ``order`` with symbolic links above them resolved, if all are at or below one of ``fences``.

    Without fences: as they are. A walk follows no links, so it does not leave a root; a neighbour on the client who
    swaps a directory above it between this check and the walk is not stopped.
    Raises: CommandError.
    """
    if not fences:
        return order.roots
    if order.options["read_special"]:
        raise CommandError("this client allows only some paths, and --read-special follows links out of them")
    allowed = [os.path.realpath(os.fsencode(os.path.expanduser(fence))) for fence in fences]
    return tuple(Root(_resolved(root.source, allowed), root.stored) for root in order.roots)


def _resolved(source: bytes, allowed: Sequence[bytes]) -> bytes:
    above, name = os.path.split(os.path.join(os.getcwdb(), source))
    if name in (b"", b".", b".."):
        above, name = os.path.join(above, name), b""
    path = os.path.normpath(os.path.join(os.path.realpath(above), name))
    if not any(path == fence or path.startswith(fence.rstrip(b"/") + b"/") for fence in allowed):
        shown = ", ".join(os.fsdecode(fence) for fence in allowed)
        raise CommandError(f"this client lets a server read {shown}, and not {os.fsdecode(path)}")
    return path
