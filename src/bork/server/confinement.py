"""Give up what a server does not need, for good, where the kernel has the means: Landlock and seccomp.

After ``begin`` this process starts no program, opens no socket, and writes only below the paths that its command line
names; after ``to_repository`` only below the one repository that the client has opened. Whoever takes the process over
through a bug gets no more than that. Both only take away: what they cannot do is said, and the checks of ``policy.py``
hold without them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # numbers that all architectures share
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_OTHERS = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # devices, sockets, fifos, symbolic links
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ABI_MIN = 2  # the first that allows links from one directory to another at all
_TCP = 1 << 0 | 1 << 1  # bind, connect

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
# Programs, processes, sockets, and the doors around them. In the order of ``_DENIED``.
_DENIED_NAMES = (
    *("execve", "execveat", "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "ptrace"),
    *("process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root", "chroot", "setns", "unshare"),
    *("open_by_handle_at", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
    *("init_module", "finit_module", "kexec_load", "io_uring_setup", "reboot"),
)
_DENIED = {
    "x86_64": (
        *(59, 322, 41, 53, 49, 50, 43, 288, 42, 101),
        *(310, 311, 165, 166, 155, 161, 308, 272),
        *(304, 321, 298, 323, 250, 248, 249),
        *(175, 313, 246, 425, 169),
        *(57, 58),  # fork and vfork, which aarch64 has not
    ),
    "aarch64": (
        *(221, 281, 198, 199, 200, 201, 202, 242, 203, 117),
        *(270, 271, 40, 39, 41, 51, 268, 97),
        *(265, 280, 241, 282, 219, 217, 218),
        *(105, 273, 104, 425, 142),
    ),
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_THREAD = 0x00010000

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X32_BIT = 0x40000000


class Confinement:
    """What has been given up. ``description`` is for the log."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.description: list[str] = []

    def begin(self, fences: Sequence[str]) -> None:
        """``fences``: the paths that may be written; none: not known yet, so all for now. They need not be there."""
        if self._libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            self.description.append("not confined: this kernel lets nobody give up privileges")
            return
        if self._filter_calls():
            self.description.append("no programs, processes and sockets (seccomp)")
        else:
            self.description.append("seccomp is not available")
        abi = self._landlock_abi()
        if abi < _ABI_MIN:
            self.description.append("Landlock is not available")
        elif fences:
            self._allow_writing([_existing(path) for path in fences], abi)
            self.description.append(f"writes only below {', '.join(fences)} (Landlock {abi})")
        else:
            self.description.append(f"writes only to the repository, once it is open (Landlock {abi})")

    def to_repository(self, path: str) -> None:
        """Write nowhere else any more."""
        abi = self._landlock_abi()
        if abi >= _ABI_MIN:
            self._allow_writing([path], abi)

    # ---- Landlock ------------------------------------------------------------------------------------------------

    def _landlock_abi(self) -> int:
        """0: none."""
        return max(
            0, int(self._libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)))
        )

    def _allow_writing(self, paths: Sequence[str], abi: int) -> None:
        """Raises: OSError, if a kernel that has Landlock refuses it: then nothing may go on."""
        allowed = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER
        if abi >= 3:
            allowed |= _TRUNCATE
        attributes = struct.pack("=Q", allowed | _EXECUTE | _MAKE_OTHERS)
        if abi >= 4:
            attributes += struct.pack("=Q", _TCP)
        ruleset = self._call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
        try:
            for path in paths:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    rule = struct.pack("=Qi", allowed, fd)
                    self._call(
                        _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)
                    )
                finally:
                    os.close(fd)
            self._call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
        finally:
            os.close(ruleset)

    def _call(self, number: int, *arguments: object) -> int:
        result = int(self._libc.syscall(number, *arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    # ---- seccomp -------------------------------------------------------------------------------------------------

    def _filter_calls(self) -> bool:
        machine = platform.machine()
        if machine not in _ARCHITECTURES:
            return False
        program = _program(machine)
        code = ctypes.create_string_buffer(program, len(program))
        # struct sock_fprog: the number of instructions, and where they are
        described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
        set_filter, all_threads = ctypes.c_uint(1), ctypes.c_uint(1)
        return bool(self._libc.syscall(_SECCOMP[machine], set_filter, all_threads, described) == 0)


def _existing(path: str) -> str:
    """``path``, or the nearest directory above it that is there: a repository may still have to be made."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _program(machine: str) -> bytes:
    """A filter in the language of Berkeley packet filters: numbers that are denied, and everything else is allowed.

    A list of what is allowed would have to follow every version of Python and of the C library.
    """
    number, architecture, first_argument = 0, 4, 16  # offsets in struct seccomp_data
    denied = _instruction(_RETURN, _ERRNO | _EPERM)
    parts = [
        _instruction(_LOAD, architecture),
        _instruction(_JUMP_IF_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, number),
    ]
    if machine == "x86_64":
        parts += [_instruction(_JUMP_IF_AT_LEAST, _X32_BIT, 0, 1), denied]
    for call in _DENIED[machine]:
        parts += [_instruction(_JUMP_IF_EQUAL, call, 0, 1), denied]
    # Threads are allowed, processes are not. What clone3 is asked for cannot be seen here: without it, clone is used.
    parts += [_instruction(_JUMP_IF_EQUAL, _CLONE3, 0, 1), _instruction(_RETURN, _ERRNO | _ENOSYS)]
    parts += [
        _instruction(_JUMP_IF_EQUAL, _CLONE[machine], 0, 3),
        _instruction(_LOAD, first_argument),
        _instruction(_JUMP_IF_SET, _CLONE_THREAD, 1, 0),
        denied,
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(parts)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
