"""The other end of a tar stream: a file or a standard stream, with a program in between that packs or unpacks it."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
from typing import TYPE_CHECKING, Self

from bork.cli.environment import for_others
from bork.cli.options import Option
from bork.cli.output.streams import ClosedOutput, Out
from bork.errors import CommandError, OutputFault, SourceFault

if TYPE_CHECKING:
    from types import TracebackType

# By the end of the file's name, as in Borg.
_PROGRAMS: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".tar.gz", ".tgz"), "gzip"),
    ((".tar.bz2", ".tbz"), "bzip2"),
    ((".tar.xz", ".txz"), "xz"),
    ((".tar.zst", ".tar.zstd"), "zstd"),
    ((".tar.lz4",), "lz4"),
)

# With @ where the way back has an option.
FILTERS_HELP = """\
  .tar.gz or .tgz        gzip@
  .tar.bz2 or .tbz       bzip2@
  .tar.xz or .txz        xz@
  .tar.zstd or .tar.zst  zstd@
  .tar.lz4               lz4@"""

TAR_FILTER = Option(
    ("--tar-filter",), "tar_filter", "filter program to pipe data through", "TAR_FILTER", None, "auto", once=True
)


def filter_for(given: str, path: str, *, decompress: bool) -> str | None:
    """The command line of the filter, or None."""
    if given != "auto":
        return given or None
    for endings, program in _PROGRAMS:
        if path.endswith(endings):
            return f"{program} -d" if decompress else program
    return None


def _start(command: str, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """In a process group of its own: Ctrl-C goes to the whole foreground group, and it is for us to end the filter.

    Raises: CommandError.
    """
    try:
        words, environment = shlex.split(command), for_others()
        return subprocess.Popen(words, stdin=stdin, stdout=stdout, env=environment, bufsize=0, process_group=0)
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"filter {command}: process creation failed: {reason}") from None


class TarOutput:
    """Where ``export-tar`` writes. A context manager; without ``finish`` what was written is not complete.

    The file is opened by the first byte, so that a command that fails before does not destroy an older file.
    """

    def __init__(self, path: str, command: str | None, stdout: Out) -> None:
        self._path = path
        self._command = command
        self._stdout = stdout
        self._descriptor = -1  # of the file
        self._out: Out | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def _open(self) -> Out:
        descriptor = 1
        if self._path != "-":
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = descriptor = os.open(self._path, flags, 0o666)
            except OSError as error:
                raise OutputFault(self._path, error.strerror) from None
        if self._command is not None:
            self._process = _start(self._command, subprocess.PIPE, descriptor)
            assert self._process.stdin is not None
            return Out(self._process.stdin.fileno(), f"the filter {self._command}")
        if self._path != "-":
            return Out(descriptor, self._path)
        self._stdout.holds_content = True
        return self._stdout

    def write(self, data: bytes) -> None:
        """Raises: OutputFault, CommandError, ClosedOutput if stdout has no reader any more."""
        try:
            if self._out is None:
                self._out = self._open()
            self._out.write(data)
            self._out.flush()  # piece by piece: each of them ends inside a block
        except ClosedOutput:
            self._filter_gone()
            raise

    def finish(self) -> None:
        """All is written: see that it has arrived. Raises as ``write``."""
        assert self._out is not None  # every stream has an end
        try:
            self._out.flush()
            if self._process is not None:
                self._wait(self._process)
            if self._descriptor >= 0:
                descriptor, self._descriptor = self._descriptor, -1
                os.close(descriptor)
        except ClosedOutput:
            self._filter_gone()
            raise
        except OSError as error:
            raise OutputFault(self._path, error.strerror) from None

    def _filter_gone(self) -> None:
        """The filter has ended before its input: its status says why."""
        if self._process is not None:
            process, self._process = self._process, None
            self._wait(process)
            raise CommandError(f"filter {self._command} ended before its input did")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """End the filter's input, and see how it ends."""
        assert process.stdin is not None
        process.stdin.close()
        code = process.wait()
        if code:
            raise CommandError(f"filter {self._command} failed, rc={code}")
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # First the filter, so that it does not complete its output when its input ends.
            assert self._process.stdin is not None
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
        if self._out is not None and self._out is not self._stdout:
            self._out.drop()
        if self._descriptor >= 0:
            os.close(self._descriptor)


class TarInput:
    """Where ``import-tar`` reads: a descriptor for the engine. A context manager."""

    def __init__(self, path: str, command: str | None) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._file = 0
        if path != "-":
            try:
                self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise SourceFault(path, error.strerror) from None
        try:
            if command is not None:
                self._process = _start(command, self._file, subprocess.PIPE)
        except BaseException:
            self._close()
            raise

    @property
    def descriptor(self) -> int:
        if self._process is None:
            return self._file
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def finish(self) -> None:
        """All was read: see that the filter ends well. Raises CommandError."""
        if self._process is not None:
            code = self._process.wait()
            if code:
                raise CommandError(f"filter {self._command} failed, rc={code}")

    def blame_filter(self) -> None:
        """What was read is no tar stream: if the filter has failed, that is why. Raises CommandError.

        A filter that has not ended its output is still at work; what we do not read any more would make it fail.
        """
        if self._process is not None:
            stream = select.poll()
            stream.register(self.descriptor, 0)  # only whether the other end is closed, which needs no asking
            if stream.poll(0):
                self.finish()

    def _close(self) -> None:
        if self._file > 0:
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.stdout.close()
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        self._close()
