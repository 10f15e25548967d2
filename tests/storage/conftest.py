"""Every kind of store, for the conformance suite."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bork.storage.base import Store
from bork.storage.local import LocalStore
from bork.storage.memory import MemoryStore, Objects
from bork.storage.remote.connection import Settings
from bork.storage.remote.store import RemoteStore
from tests.crash.disk import Disk


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a tmpfs with the given options, such as ``size=1m``; needs root."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        path = tmp_path / f"tmpfs{len(mounted)}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "bork-test", path], check=True)
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=True)


def serving(*options: str) -> Settings:
    """A real ``bork serve`` behind a pipe."""
    return Settings([sys.executable, "-m", "bork", "serve", *options], "bork of a test", said.append)


said: list[str] = []  # what servers have said on stderr

KINDS = [
    *("memory", "local", "remote", "local on a simulated disk"),
    pytest.param("local on tmpfs", marks=pytest.mark.needs("root")),
]


@pytest.fixture(params=KINDS)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes one store, and each call opens it once more, as another process would."""
    opened: list[Store] = []
    if request.param == "memory":
        objects = Objects()

        def open_one() -> Store:
            return MemoryStore(objects)
    elif request.param == "local on a simulated disk":
        machine = Disk().machine()
        LocalStore.create("/store", machine=machine).close()

        def open_one() -> Store:
            return LocalStore.open("/store", machine)
    elif request.param == "remote":
        made = RemoteStore.create("ssh://server/store", str(tmp_path / "store"), serving())
        made.close()

        def open_one() -> Store:
            return RemoteStore.open("ssh://server/store", str(tmp_path / "store"), serving())
    else:
        parent = tmp_path if request.param == "local" else request.getfixturevalue("tmpfs")("size=64m")
        LocalStore.create(str(parent / "store")).close()

        def open_one() -> Store:
            return LocalStore.open(str(parent / "store"))

    def reopen() -> Store:
        opened.append(open_one())
        return opened[-1]

    yield reopen
    for store in opened:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    """One store of each kind."""
    return reopen()
