"""What an ``OSError`` means for a storage: the one table, so that no errno is judged twice."""

from __future__ import annotations

import errno
import os

from bork.errors import (
    IntegrityError,
    NoSpace,
    ObjectMissing,
    PermissionDenied,
    ReadOnlyStorage,
    StorageError,
    StorageFault,
)

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}


def storage_error(fault: OSError, location: str, operation: str, name: str) -> StorageError:
    """The error to raise for ``fault``. ``operation`` completes the sentence "Permission denied (... packs/xx/...)"."""
    if fault.errno in _NO_SPACE:
        return NoSpace(location, operation, name)
    if fault.errno in _NO_PERMISSION:
        return PermissionDenied(location, operation, name)
    if fault.errno == errno.EROFS:
        return ReadOnlyStorage(location, operation, name)
    if fault.errno == errno.ENOENT and operation == "get":
        return ObjectMissing(name, location)
    reason = os.strerror(fault.errno) if fault.errno is not None else str(fault)
    return StorageFault(location, operation, name, reason)


def truncated(location: str, name: str, needed: int, found: int) -> IntegrityError:
    """An object that ends before its bytes do."""
    return IntegrityError(f"the object {name}", location, f"at least {needed} bytes", f"{found} bytes")
