"""A chunk that is authentic, and not what its id says: a fault of memory between naming and sealing can make one."""

from pathlib import Path

import pytest
from blake3 import blake3

from tests.conftest import Bork
from tests.real.hostile.sealer import CONTENT, Forge, keyed

REAL, WRONG, OTHER = (text * 50 for text in (b"what the file holds", b"something different", b"another one, intact"))


def test_a_repair_moves_no_chunk_that_is_not_what_its_id_says(
    bork: Bork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next backup stores it again, and does not take the wrong one for it."""
    monkeypatch.setenv("BORK_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES")
    repository, source, target = (tmp_path / name for name in ("repository", "source", "target"))
    bork("init", "--encryption", "none", repository)
    forge = Forge(repository)
    forge.chunk(WRONG, kind=CONTENT, chunk_id=keyed(forge.keys.chunk_id, REAL))
    forge.chunk(OTHER, kind=CONTENT)
    packs = forge.packs()
    for pack in packs:
        forge.write("packs", pack.name, pack.data)
    index = forge.seal_index(forge.table(packs))
    forge.write("indexes", blake3(index).digest(), index)
    bork("check", "--verify-data", repository, exit_code=1)
    bork("check", "--verify-data", "--repair", repository, exit_code=None)
    bork("check", "--verify-data", repository)
    source.mkdir()
    target.mkdir()
    for name, content in (("real", REAL), ("other", OTHER)):
        (source / name).write_bytes(content)
    stored = bork("create", "--stats", f"{repository}::one", ".", cwd=source)
    assert b"This archive:" in stored.stderr + stored.stdout
    bork("extract", f"{repository}::one", cwd=target)
    assert [(target / name).read_bytes() for name in ("real", "other")] == [REAL, OTHER]
