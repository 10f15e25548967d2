"""The config object: what is accepted is exactly what is written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bork.core import digest
from bork.errors import (
    BorkError,
    InvalidRepository,
    InvalidRepositoryConfig,
    MandatoryFeatureUnsupported,
    UnsupportedFormat,
)
from bork.repository.config import ENCRYPTIONS, RepositoryConfig, decode
from bork.repository.layout import RepositoryId

CONFIG = RepositoryConfig(RepositoryId(bytes(range(32))), "repokey", 1, append_only=True, storage_quota=5_000_000_000)

configs = st.builds(
    RepositoryConfig,
    id=st.binary(min_size=32, max_size=32).map(RepositoryId),
    encryption=st.sampled_from(sorted(ENCRYPTIONS)),
    suite=st.sampled_from([1, 2, 3]),
    append_only=st.booleans(),
    storage_quota=st.integers(0, 10**18),
)


def signed(body: str) -> bytes:
    """A config with this text and the right checksum."""
    return body.encode() + f"checksum = {digest(body.encode()).hex()}\n".encode()


def body() -> str:
    return CONFIG.encode().decode().partition("checksum")[0]


@given(configs)
def test_what_is_written_is_read(config: RepositoryConfig) -> None:
    assert decode(config.encode(), "here") == config


def test_the_text_is_for_people() -> None:
    lines = CONFIG.encode().decode().splitlines()
    assert lines[0].startswith("# Bork repository")
    assert lines[1:-1] == [
        "format = 1",
        f"id = {bytes(range(32)).hex()}",
        "encryption = repokey",
        "suite = 1",
        "append_only = 1",
        "storage_quota = 5000000000",
        "features =",
    ]
    assert re.fullmatch("checksum = [0-9a-f]{64}", lines[-1])


def test_every_flipped_bit_is_refused_in_one_line_that_names_the_repository() -> None:
    data = CONFIG.encode()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BorkError, match="here") as caught:
            decode(bytes(damaged), "here")
        assert "\n" not in str(caught.value)


def test_every_prefix_and_anything_after_the_end_is_refused() -> None:
    data = CONFIG.encode()
    for damaged in [*(data[:length] for length in range(len(data))), data + b"\n", data + data, data + b"x"]:
        with pytest.raises(InvalidRepositoryConfig):
            decode(damaged, "here")


@given(st.binary())
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BorkError):
        decode(data, "here")


def test_a_newer_format_is_named_as_such() -> None:
    newer = signed(body().replace("format = 1\n", "format = 2\nsomething = new\n"))
    with pytest.raises(UnsupportedFormat, match="2"):
        decode(newer, "here")


def test_unknown_features_are_refused_by_name() -> None:
    with pytest.raises(MandatoryFeatureUnsupported, match="sparse-index"):
        decode(signed(body().replace("features =\n", "features = sparse-index\n")), "here")


def test_a_repository_of_borg_is_called_so() -> None:
    with pytest.raises(InvalidRepository, match="Borg"):
        decode(b"[repository]\nversion = 1\n", "here")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("suite = 1\n", "suite = 4\n"),
        ("suite = 1\n", "suite = 01\n"),
        ("suite = 1\n", "suite =1\n"),
        ("suite = 1\n", ""),
        ("suite = 1\n", "suite = 1\nsuite = 1\n"),
        ("suite = 1\nappend_only = 1\n", "append_only = 1\nsuite = 1\n"),
        ("append_only = 1\n", "append_only = yes\n"),
        ("storage_quota = 5000000000\n", "storage_quota = -1\n"),
        ("storage_quota = 5000000000\n", "storage_quota = 5G\n"),
        ("encryption = repokey\n", "encryption = repokey-blake2\n"),
        ("features =\n", "features =\nother = 1\n"),
        ("features =\n", "features = \n"),
        ("id = 00", "id = 0G"),
        ("id = 00", "id = "),
        ("# Bork repository.", "# Bork repository!"),
    ],
)
def test_a_config_with_a_right_checksum_is_still_read_strictly(old: str, new: str) -> None:
    assert old in body()
    with pytest.raises(InvalidRepositoryConfig):
        decode(signed(body().replace(old, new)), "here")
