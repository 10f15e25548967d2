"""From the text of an option to its value. Each function raises ValueError with a sentence for the user."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bork.cli.sizes import parse_size

if TYPE_CHECKING:
    from datetime import datetime

MAX_CHUNK_BYTES = 20 * 1024 * 1024 - 41 - 8  # Borg's MAX_DATA_SIZE, the limit of block_size there
QUOTA_MIN_BYTES = 10_000_000

SORT_KEYS = ("timestamp", "archive", "name", "id")
DIFF_SORT_FIELDS = (
    *("path", "size_added", "size_removed", "size_diff", "size", "user", "group", "uid", "gid"),
    *("ctime", "mtime", "ctime_diff", "mtime_diff"),
)
_FILES_CACHE_LETTERS = {"ctime": "c", "mtime": "m", "size": "s", "inode": "i", "rechunk": "r", "disabled": "d"}
_FILES_CACHE_MODES = {
    "cis": "ctime,size,inode",
    "ims": "mtime,size,inode",
    "cs": "ctime,size",
    "ms": "mtime,size",
    "cr": "rechunk,ctime",
    "mr": "rechunk,mtime",
    "d": "disabled",
    "s": "size",
}
_LEVELS = {"zstd": (1, 22, 3), "zlib": (0, 9, 6), "lzma": (0, 9, 6)}  # lowest, highest, default

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


class Compression(NamedTuple):
    """``-C``: codec and level, tried first on a sample (``auto``), padded (``obfuscate``: Borg's SPEC, 0 for none)."""

    codec: str
    level: int = 0
    auto: bool = False
    obfuscate: int = 0


class Gear(NamedTuple):
    """Content-defined chunks: sizes as powers of two."""

    min_exp: int
    max_exp: int
    avg_exp: int


class Fixed(NamedTuple):
    """Chunks of one size, behind a header of another."""

    block_bytes: int
    header_bytes: int


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"invalid int value: {text!r}") from None


def checkpoint_interval(text: str) -> int:
    """An integer; or, if quotes got lost, the script of the shell in ``--rsh "sh -c '...'"``."""
    try:
        return integer(text)
    except ValueError as error:
        if " " not in text:
            raise
        hint = "If this was part of --rsh \"sh -c '...'\", its quotes were lost on the way, as by ssh HOST bork ..."
        raise ValueError(f"{error}. {hint}: give ssh the whole command in one argument") from None


def positive(text: str) -> int:
    value = integer(text)
    if value <= 0:
        raise ValueError(f"A positive integer is required: {text}")
    return value


def natural(text: str) -> int:
    value = integer(text)
    if value < 0:
        raise ValueError(f"The number must not be negative: {text}")
    return value


def octal(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        raise ValueError(f"invalid octal value: {text!r}") from None
    if not 0 <= value <= 0o7777:
        raise ValueError(f"invalid octal value: {text!r}")
    return value


def path(text: str) -> str:
    if not text:
        raise ValueError("Empty strings are not accepted as paths.")
    return text


def tag_name(text: str) -> str:
    """``--exclude-if-present``: one name in a directory. A walk compares names, so anything else never matches."""
    if "/" in text or text in ("", ".", ".."):
        raise ValueError(f"not the name of a file in a directory, which has no slash: {text!r}")
    return text


def repository_id(text: str) -> str:
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"not the id of a repository, 64 hexadecimal digits: {text!r}")
    return text.lower()


def storage_quota(text: str) -> int:
    try:
        quota = parse_size(text)
    except (ValueError, OverflowError):
        raise ValueError(f"invalid size: {text!r}") from None
    if quota < 0 or 0 < quota < QUOTA_MIN_BYTES:
        raise ValueError(f"quota is too small ({text}), at least 10M are required")
    if quota >= 1 << 63:
        raise ValueError(f"quota is too large ({text})")
    return quota


_INTERVAL_UNITS_H = {"H": 1, "d": 24, "w": 24 * 7, "m": 24 * 31, "y": 24 * 365}


def interval_h(text: str) -> int:
    """``--keep-within``: ``12H``, ``3d``, ``2w``, ``6m`` (of 31 days), ``1y`` (of 365). Hours."""
    number, unit = text[:-1], text[-1:]
    if unit not in _INTERVAL_UNITS_H:
        raise ValueError(f'Unexpected interval time unit "{unit}": expected one of {list(_INTERVAL_UNITS_H)!r}')
    hours = int(number) * _INTERVAL_UNITS_H[unit] if number.isdecimal() else 0
    if hours <= 0:
        raise ValueError(f'Unexpected interval number "{number}": expected an integer greater than 0')
    return hours


def sort_keys(text: str) -> tuple[str, ...]:
    keys = tuple(text.split(","))
    for key in keys:
        if key not in SORT_KEYS:
            raise ValueError(f"Invalid sort key: {key}")
    return keys


def diff_sort_fields(text: str) -> tuple[tuple[str, bool], ...]:
    """``--sort-by`` of ``diff``: (field, whether descending)."""
    specs = [spec.strip() for spec in text.split(",") if spec.strip()]
    if not specs:
        raise ValueError("unsupported sort field: empty spec")
    fields = tuple((spec.removeprefix(">" if spec[0] == ">" else "<"), spec[0] == ">") for spec in specs)
    for field, _ in fields:
        if field not in DIFF_SORT_FIELDS:
            raise ValueError(f"unsupported sort field: {field}")
    return fields


def files_cache_mode(text: str) -> str:
    """The mode in the spelling that engines know: ``ctime,size,inode``."""
    names = set(text.strip().split(","))
    if not names <= _FILES_CACHE_LETTERS.keys():
        known = ",".join(sorted(_FILES_CACHE_LETTERS))
        raise ValueError(f"cache mode must be a comma-separated list of: {known}")
    mode = _FILES_CACHE_MODES.get("".join(sorted(_FILES_CACHE_LETTERS[name] for name in names)))
    if mode is None:
        raise ValueError(f"cache mode must be one of: {'; '.join(_FILES_CACHE_MODES.values())}")
    return mode


def timestamp(text: str) -> datetime:
    """``yyyy-mm-ddThh:mm:ss`` in UTC and shorter forms, or the time of a file or directory of that name.

    From 1678 to 2261: nanoseconds of other years do not fit into the 64 bits that an archive has for them.
    """
    time = _time(text)
    if not 1678 <= time.year <= 2261:
        raise ValueError(f"invalid timestamp value: {text!r}, years from 1678 to 2261 are possible")
    return time


def _time(text: str) -> datetime:
    from datetime import UTC, datetime  # late: one option of one command

    try:
        return datetime.fromtimestamp(max(0.0, os.stat(text).st_mtime), tz=UTC)
    except (OSError, OverflowError, ValueError):
        pass
    for form in (
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%dT%H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d",
        "%Y-%j",
    ):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(f"invalid timestamp value: {text!r}, use yyyy-mm-ddThh:mm:ss in UTC, or an existing file")


def chunker_params(text: str) -> Gear | Fixed | None:
    """``gear,MIN,MAX,AVG``; ``fixed,BLOCK[,HEADER]``; ``default`` (None). Borg's buzhash is gear of the same sizes."""
    name, *rest = text.strip().lower().split(",")
    try:
        if name == "default" and not rest:
            return None
        if name == "fixed" and 1 <= len(rest) <= 2:
            return _fixed(*(int(number) for number in rest))
        if name == "gear" and len(rest) == 3:
            return _gear(*(int(number) for number in rest))
        if name == "buzhash" and len(rest) == 4:
            return _buzhash(*(int(number) for number in rest))
        if len(rest) == 3:
            return _buzhash(*(int(number) for number in (name, *rest)))
    except ValueError as error:
        if "invalid literal" in str(error):
            raise ValueError(f"invalid chunker params: {text!r}") from None
        raise
    raise ValueError("invalid chunker params")


def _fixed(block_bytes: int, header_bytes: int = 0) -> Fixed:
    if block_bytes < 64:
        raise ValueError("block_size must not be less than 64 Bytes")
    if block_bytes > MAX_CHUNK_BYTES or not 0 <= header_bytes <= MAX_CHUNK_BYTES:
        raise ValueError(f"block_size and header_size must not exceed {MAX_CHUNK_BYTES}")
    return Fixed(block_bytes, header_bytes)


def _gear(min_exp: int, max_exp: int, avg_exp: int) -> Gear:
    if not min_exp <= avg_exp <= max_exp:
        raise ValueError("required: chunk_min <= chunk_mask <= chunk_max")
    if min_exp < 6:
        raise ValueError("min. chunk size exponent must not be less than 6 (2^6 = 64B min. chunk size)")
    if max_exp > 23:
        raise ValueError("max. chunk size exponent must not be more than 23 (2^23 = 8MiB max. chunk size)")
    return Gear(min_exp, max_exp, avg_exp)


def _buzhash(min_exp: int, max_exp: int, mask_bits: int, window_size: int) -> Gear:
    gear = _gear(min_exp, max_exp, mask_bits)
    if window_size % 2 == 0:
        raise ValueError("window_size must be an uneven (odd) number")
    return gear


def compression(text: str) -> Compression:
    """``lz4``, ``zstd,10``, ``auto,zlib``, ``obfuscate,110,auto,zstd,3``, ..."""
    name, *rest = text.lower().split(",")
    if name == "obfuscate":
        if len(rest) < 2:
            raise ValueError("bad arguments, obfuscate needs a SPEC and a compression: obfuscate,110,zstd,3")
        return compression(",".join(rest[1:]))._replace(obfuscate=_obfuscation(rest[0]))
    if name == "auto":
        if not rest or rest[0] == "obfuscate":
            raise ValueError("bad arguments, auto needs a compression: auto,zstd,3")
        return compression(",".join(rest))._replace(auto=True)
    if name in ("none", "lz4"):  # they have no level: one that is given does nothing, as in Borg
        return Compression(name)
    if name not in _LEVELS:
        raise ValueError("unsupported compression type")
    lowest, highest, default = _LEVELS[name]
    if len(rest) > 1:
        raise ValueError("bad arguments, one level is enough")
    level = integer(rest[0]) if rest else default
    if not lowest <= level <= highest:
        raise ValueError(f"level must be >= {lowest} and <= {highest}")
    return Compression(name, level)


def _obfuscation(text: str) -> int:
    spec = integer(text)
    if not (1 <= spec <= 6 or 110 <= spec <= 123 or spec == 250):
        raise ValueError("level must be (inclusively) within 1...6, 110...123 or equal to 250")
    return spec


def delimiter(text: str) -> bytes:
    """``--paths-delimiter``: with the escapes ``\\n \\t \\r \\0 \\\\`` and ``\\x00``."""
    evaluated = re.sub(r"\\(x[0-9a-fA-F]{2}|.?)", _unescape, text, flags=re.DOTALL)
    if not evaluated:
        raise ValueError("the delimiter must not be empty")
    try:
        return os.fsencode(evaluated)
    except UnicodeEncodeError:
        raise ValueError(f"the delimiter {text!r} cannot be encoded") from None


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    if len(escape) == 3:
        return os.fsdecode(bytes.fromhex(escape[1:]))
    raise ValueError(f"invalid escape {match[0]!r}")


Convert = Callable[[str], object]
