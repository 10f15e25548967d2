"""A store in a directory of this machine.

Put: write a temporary file, fsync it, give it its name with ``link`` (which refuses a name that is taken), fsync the
directory. Every error of write, fsync, link or close fails the put, and an fsync that failed is never repeated: the
kernel may have dropped the data and report success the second time.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from bork.errors import ObjectExists, ObjectMissing, StorageFault
from bork.storage import holding, removing, reserve, temporary
from bork.storage.base import Hold, Store
from bork.storage.descriptors import Descriptors
from bork.storage.faults import storage_error, truncated
from bork.storage.filesystem import THIS_MACHINE
from bork.storage.holding import LocalHold
from bork.storage.names import (
    COLLECTIONS,
    CONFIG,
    REMOVAL_ORDER,
    SESSIONS,
    ObjectName,
    checked,
    checked_collection,
    is_object_name,
    length_max,
)
from bork.storage.place import make_place, open_place
from bork.storage.publishing import make_directory, publish_new, publish_over, sync_directory
from bork.storage.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

    from bork.storage.filesystem import Directory

    Publish = Callable[[Directory, int, str, str], None]  # the store, descriptor, temporary path, name


class LocalStore(Store):
    """Use ``open`` or ``create``. Its directory may be moved while it is open."""

    def __init__(self, location: str, root: Directory, machine: Directory = THIS_MACHINE) -> None:
        super().__init__(location)
        self._root = root
        self._machine = machine
        self._descriptors = Descriptors(root)

    @classmethod
    def open(cls, location: str, machine: Directory = THIS_MACHINE) -> LocalStore:
        """Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied, StorageFault."""
        return cls(location, open_place(location, machine), machine)

    @classmethod
    def create(cls, location: str, *, make_parent_dirs: bool = False, machine: Directory = THIS_MACHINE) -> LocalStore:
        """Make the directory and its skeleton durably. What an interrupted ``create`` left is taken over.

        Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, PathPermissionDenied, StorageError.
        """
        return cls(location, make_place(location, machine, make_parent_dirs=make_parent_dirs), machine)

    def put_if_absent(self, name: ObjectName, data: Buffer) -> None:
        self._put(checked(name), data, publish_new)

    def replace(self, name: ObjectName, data: Buffer) -> None:
        self._put(checked(name), data, publish_over)
        self._descriptors.forget(name)

    def _put(self, name: ObjectName, data: Buffer, publish: Publish) -> None:
        temp: str | None = None
        try:
            fd, temp = self._open_temporary()
            try:
                write_whole(self._root, fd, data)
                self._root.fsync(fd)
                self._publish(fd, temp, name, publish)
            finally:
                self._root.close(fd)
            sync_directory(self._root, os.path.dirname(name) or ".")
        except FileExistsError:
            self._remove(temp)
            raise ObjectExists(name, self.location) from None
        except OSError as fault:
            self._remove(temp)
            raise storage_error(fault, self.location, "put", name) from fault
        except BaseException:
            self._remove(temp)
            raise

    def _open_temporary(self) -> tuple[int, str]:
        try:
            return temporary.open_temporary(self._root)
        except FileNotFoundError:
            self._refuse_if_removed(temporary.DIRECTORY)
            make_directory(self._root, temporary.DIRECTORY)
            return temporary.open_temporary(self._root)

    def _publish(self, fd: int, temp: str, name: ObjectName, publish: Publish) -> None:
        try:
            publish(self._root, fd, temp, name)
        except FileNotFoundError:
            self._make_directories(name)
            publish(self._root, fd, temp, name)

    def _make_directories(self, name: ObjectName) -> None:
        """Those that an object of this name lies in."""
        self._refuse_if_removed(name)
        for path in (temporary.DIRECTORY, os.path.dirname(os.path.dirname(name)) or ".", os.path.dirname(name) or "."):
            make_directory(self._root, path)

    def _refuse_if_removed(self, name: str) -> None:
        """A copy of a repository may lack its empty directories. One without a config was removed, and nothing comes
        back to it.
        """
        try:
            self._root.stat(CONFIG)
        except FileNotFoundError:
            raise StorageFault(self.location, "put", name, "the repository was removed meanwhile") from None

    def _remove(self, temp: str | None) -> None:
        """Best effort: a put has failed already, and ``sweep`` comes later."""
        if temp is not None:
            try:
                self._root.unlink(temp)
            except OSError:
                return

    def get(self, name: ObjectName) -> bytes:
        try:
            fd = self._root.open(checked(name), os.O_RDONLY)
            try:
                return self._root.read_all(fd, length_max(name))
            finally:
                self._root.close(fd)
        except OSError as fault:
            raise storage_error(fault, self.location, "get", name) from fault

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        try:
            fd = self._descriptors.get(checked(name))
            data = self._root.pread(fd, length, offset)
            while len(data) < length:  # rare: the object is damaged, or the kernel was interrupted
                more = self._root.pread(fd, length - len(data), offset + len(data))
                if not more:
                    raise truncated(self.location, name, offset + length, self._root.fstat(fd).st_size)
                data += more
        except OSError as fault:
            raise storage_error(fault, self.location, "get", name) from fault
        return data

    def list(self, collection: str) -> Iterator[tuple[ObjectName, int]]:
        try:
            yield from self._list(checked_collection(collection), sharded=COLLECTIONS[collection])
        except OSError as fault:
            raise storage_error(fault, self.location, "list", collection) from fault

    def _list(self, path: str, *, sharded: bool) -> Iterator[tuple[ObjectName, int]]:
        try:
            directory = self._root.enter(path)
        except FileNotFoundError:
            return
        try:
            for entry in directory.scan():
                name = f"{path}/{entry.name}"
                if sharded and len(entry.name) == 2 and entry.is_dir(follow_symlinks=False):
                    yield from self._list(name, sharded=False)
                elif is_object_name(name):
                    try:
                        yield ObjectName(name), entry.stat().st_size
                    except FileNotFoundError:
                        continue  # deleted meanwhile
        finally:
            with contextlib.suppress(OSError):  # it was only read; and who has stopped listening hears nothing of it
                directory.leave()

    def delete(self, name: ObjectName) -> None:
        try:
            self._root.unlink(checked(name))
            sync_directory(self._root, os.path.dirname(name) or ".")
        except FileNotFoundError:
            raise ObjectMissing(name, self.location) from None
        except OSError as fault:
            raise storage_error(fault, self.location, "delete", name) from fault
        self._descriptors.forget(name)

    def arrived_ns(self, name: ObjectName) -> int | None:
        # An object is written once, here, right before it gets its name, and nothing ever sets the time of its file.
        try:
            return self._root.stat(checked(name)).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise storage_error(fault, self.location, "look at", name) from fault

    def settle(self, names: Iterable[ObjectName]) -> None:
        # Their content was synced before they got a name; it is the name that may not have reached the disk.
        for directory in sorted({os.path.dirname(checked(name)) or "." for name in names}):
            try:
                sync_directory(self._root, directory)
            except FileNotFoundError:
                continue  # nothing was ever put there
            except OSError as fault:
                raise storage_error(fault, self.location, "settle", directory) from fault

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        try:
            try:
                return LocalHold(self.location, self._root, checked(name), data)
            except FileNotFoundError:
                self._make_directories(name)
                return LocalHold(self.location, self._root, name, data)
        except OSError as fault:
            raise storage_error(fault, self.location, "put", name) from fault

    def is_held(self, name: ObjectName) -> bool | None:
        try:
            return holding.is_held(self._root, checked(name))
        except OSError as fault:
            raise storage_error(fault, self.location, "look at", name) from fault

    def use_reserve(self) -> None:
        reserve.use(self._root)

    def keep_reserve(self) -> None:
        reserve.keep(self._root)

    def free_space(self) -> int | None:
        try:
            return self._root.free_bytes()
        except OSError as fault:
            if fault.errno == errno.ENOSYS:
                return None
            raise storage_error(fault, self.location, "measure", "its free space") from fault

    def destroy(self) -> bool:
        try:
            for collection in REMOVAL_ORDER:
                removing.remove_objects(self._root, [name for name, _ in self.list(collection)])
                if collection == REMOVAL_ORDER[0]:  # durably, before anything that they refer to
                    removing.sync_collection(self._root, collection)
            is_empty = removing.remove_config(self._root)
            removing.remove_objects(self._root, [name for name, _ in self.list(SESSIONS)])
            return removing.remove_place(self._machine, os.path.abspath(self.location), self._root) and is_empty
        except OSError as fault:
            raise storage_error(fault, self.location, "remove", "the repository") from fault

    def sweep(self) -> None:
        try:
            temporary.sweep(self._root)
        except FileNotFoundError:
            return
        except OSError as fault:
            raise storage_error(fault, self.location, "sweep", temporary.DIRECTORY) from fault

    def close(self) -> None:
        self._descriptors.close()
        with contextlib.suppress(OSError):  # as a file that was only read
            self._root.leave()
