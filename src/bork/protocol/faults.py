"""Errors on the wire: the class, its values, and the words of who raised it.

Only classes that a store raises pass. What the receiver does not know, of a newer version or of a hostile server,
becomes a ``RemoteFault`` with the words alone: nobody can make a client believe that its user has cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bork import errors
from bork.errors import BorkError, RemoteFault
from bork.protocol.codec import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bork.protocol.codec import Value

MESSAGE_MAX = 2000  # characters
VALUES_MAX = 8
_CLASSES: tuple[type[BorkError], ...] = (
    errors.ChangeRefused,
    errors.IntegrityError,
    errors.InvalidRepository,
    errors.InvalidRepositoryConfig,
    errors.InvalidRPCMethod,
    errors.NoSpace,
    errors.ObjectExists,
    errors.ObjectMissing,
    errors.ParentPathDoesNotExist,
    errors.PathAlreadyExists,
    errors.PathNotAllowed,
    errors.PathPermissionDenied,
    errors.PermissionDenied,
    errors.ReadOnlyStorage,
    errors.RPCServerOutdated,
    errors.RepositoryAlreadyExists,
    errors.RepositoryDoesNotExist,
    errors.StorageFault,
    errors.StorageQuotaExceeded,
    errors.UnexpectedRPCDataFormatFromClient,
)
CLASSES: Mapping[str, type[BorkError]] = {each.__name__: each for each in _CLASSES}


def encode_error(error: BorkError) -> dict[str, Value]:
    """The members of an answer. An error that may not pass shows its words only."""
    values: list[Value] = [value if isinstance(value, int) else _clipped(str(value)) for value in error.args]
    return {"error": type(error).__name__, "message": _clipped(str(error)), "values": values[:VALUES_MAX]}


def _clipped(text: str) -> str:
    """Text that can be sent: file names may hold anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:MESSAGE_MAX]


def decode_error(members: Mapping[str, Value]) -> BorkError:
    """The error that an answer carries. Raises: Malformed."""
    match members:
        case {"error": str(name), "message": str(message), "values": list(values)} if (
            len(members) == 3 and len(name) <= 100 and len(message) <= MESSAGE_MAX and len(values) <= VALUES_MAX
        ):
            if any(not isinstance(value, str | int) or len(str(value)) > MESSAGE_MAX for value in values):
                raise Malformed("an error with a value that is none")
            known = CLASSES.get(name)
            if known is not None and 0 < len(values) == len(known.fields):
                return known(*values)
            return RemoteFault(message)
    raise Malformed("an error that is none")
