"""The values of options: what Borg 1.4 accepts is accepted, what it refuses is refused with a reason."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.cli import values
from bork.cli.sizes import format_size, parse_size
from bork.cli.values import Compression, Fixed, Gear

# ---- compression -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Compression("none")),
        ("lz4", Compression("lz4")),
        ("lz4,9", Compression("lz4")),
        ("none,1", Compression("none")),
        ("auto,lz4,9", Compression("lz4", auto=True)),
        ("zstd", Compression("zstd", 3)),
        ("zstd,1", Compression("zstd", 1)),
        ("zstd,22", Compression("zstd", 22)),
        ("zlib", Compression("zlib", 6)),
        ("zlib,0", Compression("zlib", 0)),
        ("lzma,9", Compression("lzma", 9)),
        ("auto,lz4", Compression("lz4", auto=True)),
        ("auto,zstd,7", Compression("zstd", 7, auto=True)),
        ("auto,auto,lz4", Compression("lz4", auto=True)),
        ("obfuscate,1,none", Compression("none", obfuscate=1)),
        ("obfuscate,123,auto,zstd,3", Compression("zstd", 3, auto=True, obfuscate=123)),
        ("obfuscate,250,lzma", Compression("lzma", 6, obfuscate=250)),
        ("ZSTD,5", Compression("zstd", 5)),
    ],
)
def test_a_compression_is_understood(text: str, expected: Compression) -> None:
    assert values.compression(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "foo", "zstd,23", "zstd,0", "zstd,x", "zstd,3,4", "zlib,10", "lzma,-1", "auto"),
        *("auto,obfuscate,1,lz4", "obfuscate,7,lz4", "obfuscate,1", "obfuscate,109,lz4", "obfuscate,124,lz4"),
    ],
)
def test_a_compression_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        values.compression(text)


# ---- chunker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", None),
        ("gear,19,23,21", Gear(19, 23, 21)),
        ("buzhash,19,23,21,4095", Gear(19, 23, 21)),
        ("19,23,21,4095", Gear(19, 23, 21)),
        ("10,23,16,4095", Gear(10, 23, 16)),
        ("fixed,4194304", Fixed(4194304, 0)),
        ("fixed,4194304,4096", Fixed(4194304, 4096)),
        ("fixed,64", Fixed(64, 0)),
    ],
)
def test_chunker_parameters_of_borg_are_mapped_to_gear_of_the_same_sizes(text: str, expected: Gear | Fixed) -> None:
    assert values.chunker_params(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "1,2", "buzhash,19,23,21,4094", "fixed,63", "fixed,4k", "fixed", "fixed,1000000000", "fixed,64,-1"),
        *("gear,5,23,21", "gear,19,24,21", "gear,19,23,18", "gear,19,23", "rabin,1,2,3", "default,1", "fixed,64,1,2"),
    ],
)
def test_chunker_parameters_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        values.chunker_params(text)


# ---- files cache -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctime,size,inode", "ctime,size,inode"),
        ("inode,size,ctime", "ctime,size,inode"),
        ("mtime,size,inode", "mtime,size,inode"),
        ("size,ctime", "ctime,size"),
        ("mtime,size", "mtime,size"),
        ("rechunk,ctime", "rechunk,ctime"),
        ("mtime,rechunk", "rechunk,mtime"),
        ("disabled", "disabled"),
        ("size", "size"),
    ],
)
def test_every_files_cache_mode_of_borg_has_one_spelling(text: str, expected: str) -> None:
    assert values.files_cache_mode(text) == expected


@pytest.mark.parametrize(
    "text", ["foo", "", "ctime", "ctime,mtime", "ctime,inode", "disabled,size", "ctime,rechunk,size"]
)
def test_other_combinations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cache mode"):
        values.files_cache_mode(text)


# ---- times -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-02-03T04:05:06", datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2020-02-03T04:05:06Z", datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2020-02-03T04:05:06+00:00", datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2020-02-03 04:05:06", datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2020-02-03T04:05", datetime(2020, 2, 3, 4, 5, tzinfo=UTC)),
        ("2020-02-03 04:05", datetime(2020, 2, 3, 4, 5, tzinfo=UTC)),
        ("2020-02-03", datetime(2020, 2, 3, tzinfo=UTC)),
        ("2020-034", datetime(2020, 2, 3, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_read_in_all_forms_of_borg(text: str, expected: datetime) -> None:
    assert values.timestamp(text) == expected


def test_a_timestamp_may_be_the_time_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "reference"
    path.touch()
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert values.timestamp(str(path)).timestamp() == 1_600_000_000


def test_a_timestamp_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="timestamp"):
        values.timestamp("foo")


@pytest.mark.parametrize("text", ["1677-12-31T23:59:59", "2262-01-01", "0001-01-01", "9999-12-31"])
def test_a_timestamp_that_no_archive_can_hold_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="years from 1678 to 2261"):
        values.timestamp(text)


# ---- sizes and numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (1, "1 B", "1 B"),
        (999, "999 B", "999 B"),
        (1000, "1.00 kB", "1000 B"),
        (999994, "999.99 kB", "976.56 KiB"),
        (999995, "1.00 MB", "976.56 KiB"),
        (999999, "1.00 MB", "976.56 KiB"),
        (1000000, "1.00 MB", "976.56 KiB"),
        (123456789, "123.46 MB", "117.74 MiB"),
        (999999999, "1.00 GB", "953.67 MiB"),
        (10**12, "1.00 TB", "931.32 GiB"),
        (10**15, "1.00 PB", "909.49 TiB"),
        (10**18, "1.00 EB", "888.18 PiB"),
        (10**21, "1.00 ZB", "867.36 EiB"),
        (10**24, "1.00 YB", "847.03 ZiB"),
        (10**27, "1000.00 YB", "827.18 YiB"),
        (-5, "-5 B", "-5 B"),
        (-12345, "-12.35 kB", "-12.06 KiB"),
    ],
)
def test_sizes_look_as_in_borg(size: int, decimal: str, binary: str) -> None:
    assert (format_size(size), format_size(size, iec=True)) == (decimal, binary)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1", 1), ("1K", 1000), ("1.5T", 1500000000000), ("55G", 55000000000), ("1P", 10**15), ("1.5", 1)],
)
def test_sizes_are_read_as_by_borg(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "1k", "x"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_size(text)


@pytest.mark.parametrize("text", ["5M", "abc", "-1", "infG", "nan"])
def test_a_quota_that_is_too_small_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quota|size"):
        values.storage_quota(text)


@pytest.mark.parametrize("text", ["", ".", "..", "sub/tag", "/tag", "tag/"])
def test_a_tag_that_no_directory_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has no slash"):
        values.tag_name(text)
    assert values.tag_name(".nobackup") == ".nobackup"


def test_a_quota_of_zero_means_none() -> None:
    assert values.storage_quota("0") == 0


@pytest.mark.parametrize(("text", "value"), [("0077", 0o077), ("660", 0o660), ("0", 0), ("7777", 0o7777)])
def test_modes_are_octal(text: str, value: int) -> None:
    assert values.octal(text) == value


@pytest.mark.parametrize("text", ["8", "x", "-1", "17777"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="octal"):
        values.octal(text)


@pytest.mark.parametrize(("text", "value"), [("\\n", b"\n"), ("\\0", b"\0"), (",", b","), ("ä", "ä".encode())])
def test_escapes_in_a_delimiter_are_evaluated(text: str, value: bytes) -> None:
    assert values.delimiter(text) == value


@pytest.mark.parametrize("text", ["", "\\x"])
def test_a_delimiter_must_be_something(text: str) -> None:
    with pytest.raises(ValueError, match=r"delimiter|escape"):
        values.delimiter(text)


@pytest.mark.parametrize("text", ["foo", "ts", "", "name,ts"])
def test_unknown_sort_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid sort key"):
        values.sort_keys(text)


@pytest.mark.parametrize(
    ("text", "hours"), [("1H", 1), ("2d", 48), ("3w", 504), ("1m", 744), ("1y", 8760), ("00012H", 12)]
)
def test_an_interval_is_a_number_and_a_unit(text: str, hours: int) -> None:
    assert values.interval_h(text) == hours


@pytest.mark.parametrize("text", ["", "5", "d", "0d", "-1d", "1.5d", "1D", "1h", "1 d", "1_0d", "1dd", "\u00b2d"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Unexpected interval"):
        values.interval_h(text)


@given(st.text())
def test_no_text_gets_more_than_a_value_error_out_of_a_conversion(text: str) -> None:
    for convert in (
        *(values.compression, values.chunker_params, values.files_cache_mode, values.storage_quota, values.octal),
        *(values.positive, values.natural, values.sort_keys, values.delimiter, values.interval_h),
    ):
        try:
            convert(text)
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["9223372036854775808", "100000000T"])
def test_a_quota_that_no_config_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        values.storage_quota(text)
