"""Where the pages, the vectors and the sources are, and short ways to use them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.reference import msgpack
from tests.reference.keys import Secrets, public_secrets
from tests.reference.writing import Draft, Maker

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ROOT / "docs" / "format"
VECTORS = ROOT / "vectors"
REPOSITORIES = VECTORS / "repositories"
UNKNOWN_UNENCRYPTED = "BORK_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"
PUBLIC = public_secrets(bytes(range(32)))


def vector(name: str) -> Any:  # noqa: ANN401  # what is in a JSON file
    """What ``vectors/<name>.json`` holds."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def body(**fields: msgpack.Value) -> bytes:
    """The body of an empty file, with some more fields: ``f10=...`` is field 10."""
    values: dict[int, msgpack.Value] = {1: 0o100644, 2: 0, 3: 0, 6: [0, 0]}
    values |= {int(name[1:]): value for name, value in fields.items()}
    return msgpack.encode(dict(sorted(values.items())))


def handmade(
    path: Path,
    items: Sequence[tuple[bytes, bytes, int]],
    objects: Sequence[Draft] = (),
    secrets: Secrets = PUBLIC,
) -> Path:
    """A repository of mode ``none`` with one archive, ``a``, of items (path, body, size)."""
    maker = Maker(secrets)
    maker.archive("a", items, objects)
    return maker.write(path)


def assert_refused(said: bytes) -> str:
    """What a refusal said on stderr: one line, besides the question about repositories without encryption."""
    lines = [line for line in said.decode().splitlines() if not line.startswith(("Warning: Attempting", "Do you want"))]
    (line,) = lines
    assert "Traceback" not in line
    return line
