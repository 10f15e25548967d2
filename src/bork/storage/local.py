"""A store in a directory of this machine.

Put: write a temporary file, fsync it, give it its name with ``link`` (which refuses a name that is taken), fsync the
directory. Every error of write, fsync, link or close fails the put, and an fsync that failed is never repeated: the
kernel may have dropped the data and report success the second time.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from bork.errors import ObjectExists, ObjectMissing
from bork.storage import holding, reserve, temporary
from bork.storage.base import Hold, Store
from bork.storage.descriptors import Descriptors
from bork.storage.faults import storage_error, truncated
from bork.storage.holding import LocalHold
from bork.storage.names import COLLECTIONS, ObjectName, checked, checked_collection, is_object_name
from bork.storage.place import make_place, open_place
from bork.storage.publishing import make_directory, publish_new, publish_over, sync_directory
from bork.storage.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer

    Publish = Callable[[int, str, str, int], None]  # descriptor, temporary path, name, descriptor of the directory


class LocalStore(Store):
    """Use ``open`` or ``create``. All paths are relative to a descriptor of the directory, which may be moved."""

    def __init__(self, location: str, root_fd: int) -> None:
        super().__init__(location)
        self._root_fd = root_fd
        self._descriptors = Descriptors(root_fd)

    @classmethod
    def open(cls, location: str) -> LocalStore:
        """Raises: RepositoryDoesNotExist, InvalidRepository, PathPermissionDenied, StorageFault."""
        return cls(location, open_place(location))

    @classmethod
    def create(cls, location: str, *, make_parent_dirs: bool = False) -> LocalStore:
        """Make the directory and its skeleton durably. What an interrupted ``create`` left is taken over.

        Raises: RepositoryAlreadyExists, PathAlreadyExists, ParentPathDoesNotExist, PathPermissionDenied, StorageError.
        """
        return cls(location, make_place(location, make_parent_dirs=make_parent_dirs))

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
                write_whole(fd, data)
                os.fsync(fd)
                self._publish(fd, temp, name, publish)
            finally:
                os.close(fd)
            sync_directory(os.path.dirname(name) or ".", self._root_fd)
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
            return temporary.open_temporary(self._root_fd)
        except FileNotFoundError:  # a copy of a repository may lack its empty directories
            make_directory(temporary.DIRECTORY, self._root_fd)
            return temporary.open_temporary(self._root_fd)

    def _publish(self, fd: int, temp: str, name: ObjectName, publish: Publish) -> None:
        try:
            publish(fd, temp, name, self._root_fd)
        except FileNotFoundError:
            self._make_directories(name)
            publish(fd, temp, name, self._root_fd)

    def _make_directories(self, name: ObjectName) -> None:
        """Those that an object of this name lies in: a copy of a repository may lack its empty directories."""
        for path in (temporary.DIRECTORY, os.path.dirname(os.path.dirname(name)) or ".", os.path.dirname(name) or "."):
            make_directory(path, self._root_fd)

    def _remove(self, temp: str | None) -> None:
        """Best effort: a put has failed already, and ``sweep`` comes later."""
        if temp is not None:
            try:
                os.unlink(temp, dir_fd=self._root_fd)
            except OSError:
                return

    def get(self, name: ObjectName) -> bytes:
        try:
            fd = os.open(checked(name), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._root_fd)
            try:
                with open(fd, "rb", buffering=0, closefd=False) as file:
                    return file.readall()
            finally:
                os.close(fd)
        except OSError as fault:
            raise storage_error(fault, self.location, "get", name) from fault

    def get_range(self, name: ObjectName, offset: int, length: int) -> bytes:
        try:
            fd = self._descriptors.get(checked(name))
            data = os.pread(fd, length, offset)
            while len(data) < length:  # rare: the object is damaged, or the kernel was interrupted
                more = os.pread(fd, length - len(data), offset + len(data))
                if not more:
                    raise truncated(self.location, name, offset + length, os.fstat(fd).st_size)
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
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root_fd)
        except FileNotFoundError:
            return
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = f"{path}/{entry.name}"
                    if sharded and len(entry.name) == 2 and entry.is_dir(follow_symlinks=False):
                        yield from self._list(name, sharded=False)
                    elif is_object_name(name):
                        try:
                            yield ObjectName(name), entry.stat().st_size
                        except FileNotFoundError:
                            continue  # deleted meanwhile
        finally:
            os.close(fd)

    def delete(self, name: ObjectName) -> None:
        try:
            os.unlink(checked(name), dir_fd=self._root_fd)
            sync_directory(os.path.dirname(name) or ".", self._root_fd)
        except FileNotFoundError:
            raise ObjectMissing(name, self.location) from None
        except OSError as fault:
            raise storage_error(fault, self.location, "delete", name) from fault
        self._descriptors.forget(name)

    def settle(self, names: Iterable[ObjectName]) -> None:
        # Their content was synced before they got a name; it is the name that may not have reached the disk.
        for directory in sorted({os.path.dirname(checked(name)) or "." for name in names}):
            try:
                sync_directory(directory, self._root_fd)
            except OSError as fault:
                raise storage_error(fault, self.location, "settle", directory) from fault

    def hold(self, name: ObjectName, data: bytes) -> Hold:
        try:
            try:
                return LocalHold(self.location, self._root_fd, checked(name), data)
            except FileNotFoundError:
                self._make_directories(name)
                return LocalHold(self.location, self._root_fd, name, data)
        except OSError as fault:
            raise storage_error(fault, self.location, "put", name) from fault

    def is_held(self, name: ObjectName) -> bool | None:
        try:
            return holding.is_held(checked(name), self._root_fd)
        except OSError as fault:
            raise storage_error(fault, self.location, "look at", name) from fault

    def use_reserve(self) -> None:
        reserve.use(self._root_fd)

    def keep_reserve(self) -> None:
        reserve.keep(self._root_fd)

    def free_space(self) -> int | None:
        try:
            status = os.fstatvfs(self._root_fd)
        except OSError as fault:
            if fault.errno == errno.ENOSYS:
                return None
            raise storage_error(fault, self.location, "measure", "its free space") from fault
        return status.f_bavail * status.f_frsize

    def sweep(self) -> None:
        try:
            temporary.sweep(self._root_fd)
        except FileNotFoundError:
            return
        except OSError as fault:
            raise storage_error(fault, self.location, "sweep", temporary.DIRECTORY) from fault

    def close(self) -> None:
        self._descriptors.close()
        os.close(self._root_fd)
