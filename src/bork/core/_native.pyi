"""The native engine. Only ``bork.core`` names this module.

Buffers go in, ``bytes`` or buffer objects come out. The GIL is released in every call that can take longer than
50 microseconds. Errors are raised as the classes of ``bork.errors``.
"""

from collections.abc import Sequence
from typing import Self, TypeAlias, final

from typing_extensions import Buffer

VERSION: str

# ---- names and digests -------------------------------------------------------------------------------------------

def digest(data: Buffer) -> bytes:
    """BLAKE3 of ``data``: the name of packs, indexes and key objects.  # 32 bytes"""

# ---- foreign roots -------------------------------------------------------------------------------------------------

def read_in_root(root: bytes, path: bytes, length_max: int) -> bytes:
    """A regular file in a directory that another machine filled: links in it lead nowhere else, as in a chroot.

    Cut after ``length_max`` + 1 bytes. Raises: OSError; one without number for what is no regular file.
    """

# ---- keys --------------------------------------------------------------------------------------------------------

@final
class Keys:
    """The secrets of one repository. They do not become Python objects, and are wiped when this object is freed."""

    @staticmethod
    def generate(repository_id: bytes, suite: int, related: bytes | None = None) -> Keys:
        """New random secrets. ``suite``: 1 AES-256-GCM, 2 ChaCha20-Poly1305, 3 keyed BLAKE3 without encryption.

        ``related``: what ``related_secret`` gave for another repository: equal chunks get equal ids in both.  # 32
        """
    def related_secret(self) -> bytes:
        """The one secret that leaves this object, and only to be put into a file: see ``bork/crypto/related.py``.

        # 32 bytes; it tells known chunks, and opens nothing
        """
    @staticmethod
    def public(repository_id: bytes) -> Keys:
        """The well-known secrets of mode ``none``: suite 3, integrity against accidents only."""
    @staticmethod
    def repeatable(repository_id: bytes, seed: bytes) -> Keys:
        """As ``public``, and the salts of new files follow from ``seed``: for tests that do the same work twice."""
    @staticmethod
    def open(key_object: bytes, passphrase: bytes, repository_id: bytes) -> Keys:
        """Open a key object. Raises PassphraseWrong, KeyInvalid, KeyMismatch (other repository)."""
    def seal(self, passphrase: bytes, *, memory_kib: int, passes: int, lanes: int) -> bytes:
        """A key object for this passphrase. Cost: argon2id, 64 MiB x 3 passes take about 0.1 s."""
    @property
    def suite(self) -> int: ...
    def archive_name(self, name: bytes) -> bytes:
        """Keyed hash of an archive's name: the name of its head in ``archives/``.  # 32 bytes"""
    def seal_head(self, name: bytes, plain: bytes) -> bytes:
        """The bytes of the head object of the archive called ``name``. See docs/format/archive.md."""
    def open_head(self, object_name: bytes, data: bytes) -> bytes:
        """The plain JSON of the head stored as ``object_name`` (32 bytes), which is bound to it.

        Raises IntegrityError.
        """
    def seal_generation(self, number: int, plain: bytes) -> bytes:
        """The bytes of a generation object. See docs/format/sessions.md."""
    def open_generation(self, number: int, data: bytes) -> bytes:
        """The plain bytes of the generation stored under ``number``, which is bound to it. Raises IntegrityError."""

# ---- index -------------------------------------------------------------------------------------------------------

@final
class ChunkIndex:
    """Where every chunk is: chunk id -> pack, object, offset. Memory-mapped tables, one for each index object."""

    def __new__(cls) -> Self: ...
    def add_sealed(self, keys: Keys, name: bytes, data: bytes, table_path: str | None) -> None:
        """Open an index object; keep its table in ``table_path`` (written atomically), or in memory if ``None``."""
    def add_table(self, name: bytes, table_path: str) -> bool:
        """Map a table kept earlier. False (and nothing added) if the file is damaged or of another version."""
    def add_toc(self, keys: Keys, pack_name: bytes, pack_length: int, head: bytes, tail: bytes, to_index: bool) -> None:
        """Add one pack by its own table of contents. ``head``: first 64 bytes; ``tail``: last bytes, see toc_length.

        ``to_index``: whether the next engine that writes puts it into an index object.
        """
    @staticmethod
    def toc_length(trailer: bytes) -> int:
        """How many bytes at the end of a pack hold its table of contents; ``trailer``: its last 32 bytes."""
    def packs(self) -> list[bytes]:
        """Names of all packs known.  # 32 bytes each"""
    def forget_packs(self, names: Sequence[bytes]) -> None:
        """Treat chunks of these packs as absent (the storage does not hold them)."""
    def table_count(self) -> int:
        """Number of tables, those of no index object included; what an engine adds comes behind them."""
    def condemn_packs(self, names: Sequence[bytes]) -> None:
        """Let nothing new refer to these packs: a compaction is about to delete them. They can still be read."""
    def tables(self) -> list[tuple[bytes, int, int, int]]:
        """The tables that are index objects: name, chunk records, packs, packs that the storage does not hold."""
    def merge(self, keys: Keys, names: Sequence[bytes], dropped: Sequence[bytes]) -> tuple[bytes, PackBuffer] | None:
        """Name and bytes of an index object that supersedes those of ``names``: it names all of their packs that the
        storage holds, but those of ``dropped``. None if no pack is left. Memory: the new table, twice.
        """
    def __len__(self) -> int:
        """Number of chunk records, those of forgotten packs included."""
    def totals(self) -> tuple[int, int, int]:
        """(unique chunks, their plain bytes, their stored bytes), with what an engine of this process has added."""

# ---- events of every engine --------------------------------------------------------------------------------------

@final
class PackBuffer:
    """Bytes of a finished pack or index object; supports the buffer protocol (read-only, page aligned)."""

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...

@final
class StorePack:
    """Store these bytes as ``packs/<name>``, then call ``engine.stored(token)``."""

    @property
    def token(self) -> int: ...
    @property
    def name(self) -> bytes: ...
    @property
    def data(self) -> PackBuffer: ...

@final
class StoreIndex:
    """Store these bytes as ``indexes/<name>``, then call ``engine.stored(token)``."""

    @property
    def token(self) -> int: ...
    @property
    def name(self) -> bytes: ...
    @property
    def data(self) -> PackBuffer: ...

@final
class Fetch:
    """Read these ranges ``(pack name, offset, length)``, then call ``engine.fetched(token, [bytes, ...])``.

    If one cannot be read, call ``engine.fetch_failed(token, message)``: the engine decides if it can go on.
    """

    @property
    def token(self) -> int: ...
    @property
    def ranges(self) -> list[tuple[bytes, int, int]]: ...

@final
class Lines:
    """Rendered text or JSON lines (with newlines) for the channel that the plan asked for."""

    @property
    def data(self) -> bytes: ...

@final
class Data:
    """Content bytes for ``extract --stdout``, or a piece of a tar stream."""

    @property
    def data(self) -> bytes: ...

@final
class Problem:
    """One entry that could not be handled fully. The engine goes on; the exit code will say so.

    ``kind``: ``changed`` | ``never_matched`` | ``io`` | ``permission`` | ``not_found`` | ``race`` | ``metadata``
    | ``symlink_parent`` | ``path_traversal`` | ``damaged`` | ``orphan``.
    """

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def message(self) -> str: ...

@final
class Send:
    """Send these bytes to the other half of the engine."""

    @property
    def data(self) -> bytes: ...

@final
class FileSystem:
    """A file system of the plan's list ``file_systems`` was met for the first time, and asked for what it has.

    ``number``: place in that list. ``path``: where. ``device``: its ``st_dev``.
    """

    @property
    def path(self) -> bytes: ...
    @property
    def number(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def xattrs(self) -> bool: ...
    @property
    def acls(self) -> bool: ...
    @property
    def capabilities(self) -> bool: ...
    @property
    def flags(self) -> bool: ...

@final
class Done:
    """The engine has finished; ``outcome`` holds its numbers (keys are documented at each engine)."""

    @property
    def outcome(self) -> dict[str, int | bytes | None]: ...

_Event: TypeAlias = StorePack | StoreIndex | Fetch | Lines | Data | Problem | FileSystem | Done

# ---- engines -----------------------------------------------------------------------------------------------------
# Each is a state machine: call next_event() until Done. It blocks (without the GIL) at most ``timeout_s`` seconds and
# then returns None. cancel(), or dropping it, makes the threads stop early. Plans are dicts; unknown keys: ValueError.

@final
class CreateEngine:
    """Back up. Outcome keys: root (bytes), items, files, original_size, chunks and more: see docs/architecture.md."""

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(original size, compressed size, deduplicated size, files, current path)."""
    def cancel(self) -> None: ...

@final
class PullEngine:
    """Back up what an agent reads. Plan: that of a create without stdin, path_list, paths, skip and sparse; with
    share_dedup, rate (bytes a second, 0: no limit), and memory (a file, or None: what ``remember`` keeps and ``forget``
    removes: names of chunks of an interrupted pull); scratch_dir is needed. Outcome keys: those of CreateEngine.
    Raises AgentFault for an agent that does not keep to docs/protocol.md, "The agent"."""

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def received(self, data: bytes) -> bool:
        """Take bytes that the agent sent, in another thread; waits while the engine is busy. False: no more."""

    def ended(self) -> None:
        """The agent will send nothing more."""

    def remember(self) -> None: ...
    def forget(self) -> None: ...
    def next_event(self, timeout_s: float) -> _Event | Send | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(original size, compressed size, deduplicated size, files, current path)."""
    def cancel(self) -> None: ...

@final
class PushEngine:
    """Restore an archive with an agent. Plan: that of a ReadEngine, whose mode does not matter; remote_target (bytes:
    the directory on the other host), dry_run. Outcome keys: items, bytes, same, corrected, made, replaced (entries by
    what became of them), content (bytes that were wanted).

    Raises AgentFault for an agent that does not keep to docs/protocol.md, "The agent".
    """

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def received(self, data: bytes) -> bool:
        """Take bytes that the agent sent, in another thread; waits while the engine is busy. False: no more."""

    def ended(self) -> None:
        """The agent will send nothing more."""

    def next_event(self, timeout_s: float) -> _Event | Send | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(bytes done, bytes in all if need_total, 0, items done, current path)."""
    def cancel(self) -> None: ...

def decode_agent_hello(data: bytes) -> dict[str, object]:
    """What an agent says of itself: program, hostname, uid, reads_all, confinement, read, write, writes_all, clock_ns.

    Raises UnsupportedFormat for another version of the protocol, IntegrityError for anything else.
    """

@final
class ImportEngine:
    """Make an archive of a tar stream. Plan: fd, name (how the stream is called), ignore_zeros, and of a create plan
    lines, chunker, compression, pack_size, scratch_dir, threads. Outcome keys: those of CreateEngine.

    Raises TarInvalid for a stream that is damaged or does not end as it must.
    """

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(original size, compressed size, deduplicated size, files, current path)."""
    def cancel(self) -> None: ...

@final
class ReadEngine:
    """Read an archive: ``mode`` in the plan is ``extract``, ``dry_run``, ``stdout``, ``tar`` or ``list``."""

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(bytes written, bytes in all, 0, items, current path)."""
    def cancel(self) -> None: ...

@final
class DiffEngine:
    """Compare two archives: ``Lines``, one line for each path that differs. See docs/usage/diff.md.

    Outcome keys: differences (lines), nodes (that had to be read, of both trees).
    """

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(items of the new archive that have been passed, 0, 0, 0, path of the last difference)."""
    def cancel(self) -> None: ...

@final
class RecreateEngine:
    """Make an archive of another one. Outcome keys: as ``CreateEngine``; no root in a dry run."""

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(original size, compressed size, deduplicated size, items, current path)."""
    def cancel(self) -> None: ...

@final
class CheckEngine:
    """Check packs (hash = name, table of contents, index) and archives (every reference resolves)."""

    def __new__(cls, plan: dict[str, object], keys: Keys | None, index: ChunkIndex) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(packs or archives done, in all, 0, objects, name)."""
    def cancel(self) -> None: ...

@final
class Marks:
    """Which chunks are needed: one bit for each chunk record of the tables that ``index`` has now."""

    def __new__(cls, index: ChunkIndex) -> Self: ...
    def mark_packs(self, names: Sequence[bytes]) -> None:
        """Mark all that is in these packs, needed or not."""
    def usage(self) -> list[tuple[bytes, int, int, int, int]]:
        """Each pack of the storage: name, length, stored bytes of its objects, needed bytes of them, needed chunks."""

@final
class MarkEngine:
    """Mark what archives need. Outcome keys: nodes (visited), missing (chunks that no pack holds).

    Plan: threads, archives (name to show, root). Raises IntegrityError if a tree cannot be read to its end.
    """

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex, marks: Marks) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(0, 0, 0, nodes, empty)."""
    def cancel(self) -> None: ...

@final
class RewriteEngine:
    """Move needed chunks out of packs into new ones, which are indexed. Outcome keys: objects, bytes (moved).

    Plan: threads, packs, compression, pack_size, scratch_dir. Nothing is deleted.
    """

    def __new__(cls, plan: dict[str, object], keys: Keys, index: ChunkIndex, marks: Marks) -> Self: ...
    def next_event(self, timeout_s: float) -> _Event | None: ...
    def stored(self, token: int) -> None: ...
    def fetched(self, token: int, data: Sequence[bytes]) -> None: ...
    def fetch_failed(self, token: int, message: str) -> None: ...
    def progress(self) -> tuple[int, int, int, int, bytes]:
        """(packs done, in all, 0, objects moved, empty)."""
    def kept(self) -> list[bytes]:
        """Packs of which something needed could not be moved: they have to stay."""
    def cancel(self) -> None: ...
