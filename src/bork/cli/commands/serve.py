"""``bork serve``: repositories for other hosts, over standard input and output."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, cast

import bork
from bork.cli import values
from bork.cli.connection import take_streams
from bork.cli.options import Command, Option

if TYPE_CHECKING:
    from bork.cli.invocation import Invocation
    from bork.server.policy import Policy

COMMAND = Command(
    "serve",
    "Start a repository server process. It is started by ssh, for the Bork of another host.",
    options=(
        Option(
            ("--restrict-to-path",),
            "restrict_to_paths",
            "restrict repository access to PATH and what is below it (can be specified multiple times)",
            "PATH",
            values.path,
            repeats=True,
        ),
        Option(
            ("--restrict-to-repository", "--restrict-to-repo"),
            "restrict_to_repositories",
            "restrict repository access to the repository at PATH (can be specified multiple times)",
            "PATH",
            values.path,
            repeats=True,
        ),
        Option(
            ("--append-only",), "append_only", "clients can only add: nothing that exists can be replaced or deleted"
        ),
        Option(
            ("--storage-quota",),
            "storage_quota",
            "set a storage quota (e.g. 5G, 1.5T); that of the repository holds, too, if it is smaller",
            "QUOTA",
            values.storage_quota,
        ),
    ),
    epilog="""\
The restrictions are those of this command line; a client cannot change them. In ~/.ssh/authorized_keys:

  command="bork serve --append-only --restrict-to-repository ~/repo",restrict ssh-ed25519 AAAA... client""",
)


def run(invocation: Invocation) -> None:
    if os.isatty(0):
        invocation.fail("it speaks with another Bork, not with people: it is started by ssh, or by a socket")
    if _listens(0):
        invocation.fail("standard input is a socket that nobody has connected to; in a socket unit: Accept=yes")
    from bork.server.confinement import Confinement  # late: a bad command line is answered without it
    from bork.server.serve import serve

    policy = _policy(invocation)
    read_fd, write_fd = take_streams()
    confinement = Confinement()
    confinement.begin(policy.fences)
    invocation.console.log("info", f"bork serve {bork.__version__}: {'; '.join(confinement.description)}")
    serve(read_fd, write_fd, policy, program=f"bork {bork.__version__}", confine=confinement.to_repository)


def _policy(invocation: Invocation) -> Policy:
    from bork.server.policy import Policy  # late: as above

    given = invocation.values
    return Policy(
        append_only=given.flag("append_only"),
        restrict_to_paths=tuple(map(_absolute, given.texts("restrict_to_paths"))),
        restrict_to_repositories=tuple(map(_absolute, given.texts("restrict_to_repositories"))),
        storage_quota=cast("int | None", given.get("storage_quota")) or 0,
        home=os.path.abspath(invocation.environment.base_dir()),
    )


def _absolute(path: str) -> str:
    """``~`` stands for itself where no shell has replaced it, as in the EXEC of socat."""
    return os.path.abspath(os.path.expanduser(path))


def _listens(fd: int) -> bool:
    """Whether it is a socket of a unit without ``Accept=yes``, or of an inetd that waits."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    import socket  # late: 5 ms, and mostly it is a pipe

    with socket.socket(fileno=os.dup(fd)) as given:
        return given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0
