"""What the command line of a server allows: which repositories, and what may be done in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from bork.errors import PathNotAllowed, PathPermissionDenied, RepositoryDoesNotExist
from bork.storage.filesystem import RealDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable


class Policy:
    """Restrictions. Nothing that a client sends can change them.

    Symbolic links in the paths are followed once, when the server starts: they mean the places that they mean then.
    """

    __slots__ = ("append_only", "home", "restrict_to_paths", "restrict_to_repositories", "storage_quota")

    def __init__(
        self,
        *,
        append_only: bool = False,
        restrict_to_paths: Iterable[str] = (),
        restrict_to_repositories: Iterable[str] = (),
        storage_quota: int = 0,
        home: str = "/",
    ) -> None:
        self.append_only: Final = append_only
        # These directories and what is below them; and exactly these.
        self.restrict_to_paths: Final = tuple(map(os.path.realpath, restrict_to_paths))
        self.restrict_to_repositories: Final = tuple(map(os.path.realpath, restrict_to_repositories))
        self.storage_quota: Final = storage_quota  # bytes of each repository; 0: no limit
        self.home: Final = home  # what ``/~/`` stands for

    @property
    def fences(self) -> tuple[str, ...]:
        """Everything that may be reached; nothing: there is no limit."""
        return (*self.restrict_to_paths, *self.restrict_to_repositories)

    def allows(self, path: str) -> bool:
        """``path`` is absolute and without symbolic links."""
        if not self.fences or path in self.restrict_to_repositories:
            return True
        return any(_is_below(path, each) for each in self.restrict_to_paths)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def resolve(policy: Policy, asked: bytes) -> str:
    """The real path of what a client asks for: ``/abs``, ``/./relative``, ``/~/home``, ``/~user/home``.

    Nothing is said of whether something is there before it is known that the client may know.
    Raises: PathNotAllowed, with the words of the client.
    """
    text = asked.decode("utf-8", "surrogateescape")
    if not text.startswith("/") or "\0" in text:
        raise PathNotAllowed(text)
    if text == "/~" or text.startswith("/~/"):
        path = os.path.join(policy.home, text[3:])
    elif text.startswith("/~"):
        path = os.path.expanduser(text[1:])
        if path.startswith("~"):  # no such user
            raise PathNotAllowed(text)
    elif text == "/." or text.startswith("/./"):
        path = os.path.join(os.getcwd(), text[3:])
    else:
        path = text
    real = os.path.realpath(path)
    if not policy.allows(real):
        raise PathNotAllowed(text)
    return real


class FencedMachine(RealDirectory):
    """All of this machine, where a directory that is entered is the one that was checked.

    Somebody else may put a symbolic link in the way between the check and the opening: the directory is looked at again
    when it is open, and is refused if it lies outside of the fence.
    """

    __slots__ = ("_policy",)

    def __init__(self, policy: Policy) -> None:
        super().__init__(None)
        self._policy = policy

    def enter(self, path: str) -> RealDirectory:
        directory = RealDirectory(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            real = _path_of(directory, path)
            # A directory that is made is synced in the one above it, by its real path.
            is_above = real == path and any(_is_below(each, path) for each in self._policy.fences)
            if not is_above and not self._policy.allows(real):
                raise PathNotAllowed(path)
        except BaseException:
            directory.leave()
            raise
        return directory


def _path_of(directory: RealDirectory, path: str) -> str:
    """Where an open directory is. Raises: RepositoryDoesNotExist, if it was moved this very moment."""
    real = os.path.realpath(path)
    try:
        is_same = os.path.samestat(directory.stat("."), os.stat(real))
    except PermissionError:
        raise PathPermissionDenied(path) from None
    except OSError:
        is_same = False
    if not is_same:
        raise RepositoryDoesNotExist(path)
    return real
