"""The JSON vectors: small inputs with the outputs that the format promises, computed by tests/reference.

Byte strings are hexadecimal. ``{"noise": [length, seed]}`` stands for the first ``length`` bytes of the extended output
of BLAKE3 over the seed (8 bytes, little-endian).
"""

import lzma
import zlib
from collections.abc import Callable

import lz4.block  # type: ignore[import-untyped]  # lz4 brings no types
import zstandard

from tests.reference import keys
from tests.reference.config import Config
from tests.reference.gear import fixed_cuts, gear_cuts, gear_table
from tests.reference.keys import Secrets, derive, public_secrets
from tests.reference.pack import CONTENT, NODE
from tests.reference.sealed import DATA, INDEX, METADATA, Header, Seal
from tests.reference.writing import (
    Draft,
    Maker,
    encode_config,
    encode_key,
    encode_table,
    head_fields,
    seal_bytes,
    to_canonical_json,
    with_checksum,
)
from vectors.fixed import REPOSITORY, SECRETS, noise
from vectors.trees import items, nodes

PASSPHRASE = "größe".encode()
WEAK = (64, 1, 1)  # KiB, passes, lanes: for vectors only


def derivation() -> object:
    """Secrets to keys."""
    contexts = [keys.CHUNK_ID, keys.CHUNKER, keys.ARCHIVE_NAME]
    header = Header(DATA, 1, 1, REPOSITORY[:16], bytes([0x44] * 32)).encode()
    public = public_secrets(REPOSITORY)
    names = ["monday", "", "größe", "raw \udcff"]
    return {
        "repository": REPOSITORY.hex(),
        "id_secret": SECRETS.id_secret.hex(),
        "epochs": [secret.hex() for secret in SECRETS.epochs],
        "from_id_secret": {context: derive(context, SECRETS.id_secret).hex() for context in contexts},
        "file_bases": [derive(keys.FILE, secret).hex() for secret in SECRETS.epochs],
        "header": header.hex(),
        "file_key": SECRETS.file_key(1, header).hex(),
        "archive_names": {name: SECRETS.archive_name(name.encode("utf-8", "surrogateescape")).hex() for name in names},
        "public": {
            "contexts": [keys.PUBLIC_ID, keys.PUBLIC_DATA],
            "id_secret": public.id_secret.hex(),
            "data_secret": public.epochs[0].hex(),
            "archive_names": {"monday": public.archive_name(b"monday").hex()},
        },
    }


def chunk_ids() -> object:
    """Plaintexts to ids."""
    plains = [b"", b"a", b"hello, world\n", noise(1024, 1), noise(1025, 1), noise(100_000, 1)]
    return {
        "id_secret": SECRETS.id_secret.hex(),
        "ids": [{"noise": [len(plain), 1], "id": SECRETS.chunk_id(plain).hex()} for plain in plains[3:]]
        + [{"plain": plain.hex(), "id": SECRETS.chunk_id(plain).hex()} for plain in plains[:3]],
    }


def chunkers() -> object:
    """Bytes to lengths of chunks."""
    cases: list[dict[str, object]] = []
    gears = [(10, 15, 12, 60_000, 1), (10, 14, 12, 30_000, 1), (6, 10, 8, 5_000, 2), (12, 12, 12, 20_000, 3)]
    for low, high, mask, length, seed in [*gears, (6, 23, 6, 3_000, 4), (9, 16, 13, 0, 5)]:
        for key in (bytes([7] * 32), SECRETS.chunker_key()):
            lengths = list(gear_cuts(key, noise(length, seed), low, high, mask))
            gear = {"chunker": ["gear", low, high, mask], "key": key.hex(), "noise": [length, seed]}
            cases.append({**gear, "lengths": lengths})
    for block, header, length in [(4096, 512, 10_000), (64, 0, 130), (1000, 64, 64), (1000, 64, 10), (1000, 0, 0)]:
        fixed = {"chunker": ["fixed", block, header], "noise": [length, 1]}
        cases.append({**fixed, "lengths": list(fixed_cuts(length, block, header))})
    table = gear_table(bytes([7] * 32))
    zeros = list(gear_cuts(bytes([7] * 32), bytes(50_000), 10, 14, 12))
    return {
        "table": {"key": bytes([7] * 32).hex(), "entries": [f"{entry:016x}" for entry in table]},
        "zeros": {"key": bytes([7] * 32).hex(), "chunker": ["gear", 10, 14, 12], "length": 50_000, "lengths": zeros},
        "cases": cases,
    }


def seals() -> object:
    """Plaintexts to sealed bytes, in each suite."""
    cases = []
    for suite in (1, 2, 3):
        secrets = Secrets(REPOSITORY, suite, SECRETS.id_secret, SECRETS.epochs)
        header = Header(METADATA, suite, 0, REPOSITORY[:16], bytes([0x55] * 32))
        seal = Seal(secrets, header)
        for number, associated, plain in [(0, b"", b""), (1, b"context", b"plain"), (2**32 - 1, bytes(16), bytes(70))]:
            sealed = seal_bytes(seal, number, associated, plain)
            assert seal.open(number, associated, sealed) == plain
            case = {"suite": suite, "header": header.encode().hex(), "key": seal.key.hex(), "number": number}
            cases.append({**case, "associated": associated.hex(), "plain": plain.hex(), "sealed": sealed.hex()})
    return {"repository": REPOSITORY.hex(), "data_secret": SECRETS.epochs[0].hex(), "cases": cases}


def payloads() -> object:
    """Payloads to plaintexts. Other payloads of the same plaintext are right, too."""
    plain = b"backup archive chunk pack " * 20
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 4096}]
    made = {
        0: plain,
        1: lz4.block.compress(plain, store_size=False),
        2: zstandard.ZstdCompressor(3, write_content_size=False, write_checksum=False).compress(plain),
        3: zlib.compress(plain, 6),
        4: lzma.compress(plain, lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=filters),
    }
    return {"plain": plain.hex(), "payloads": {str(codec): payload.hex() for codec, payload in made.items()}}


def packs() -> object:
    """Two packs and the index of both, whole. The second chunk stands in both packs and is listed for both."""
    maker = Maker(SECRETS)
    text = b"one chunk" * 30
    zipped = Draft(CONTENT, (text,), codec=3, payload=zlib.compress(text, 6), padding=7)
    data = maker.pack(DATA, [Draft(CONTENT, (b"first", b"second")), zipped])
    metadata = maker.pack(METADATA, [Draft(NODE, (b"\x01\x01",)), Draft(NODE, (b"second",))])
    superseded = [bytes([0x66] * 32)]
    maker.index([data, metadata], superseded)
    table = encode_table([data, metadata], superseded)
    assert maker.seal_index(table)[:10] == b"BORKPACK\x01" + bytes([INDEX])
    return {
        "key_object": encode_key(SECRETS, PASSPHRASE, bytes([0x77] * 32), WEAK).hex(),
        "passphrase": PASSPHRASE.hex(),
        "repository": REPOSITORY.hex(),
        "table": table.hex(),
        "objects": {name: value.hex() for name, value in maker.objects.items()},
        "totals": [4, len(text) + 11 + 2 + 6],
    }


def key_objects() -> object:
    """Key objects of weak cost."""
    cases = []
    for suite, epochs, passphrase in [(1, 1, PASSPHRASE), (2, 1, b""), (3, 2, b"x" * 200)]:
        secrets = Secrets(REPOSITORY, suite, SECRETS.id_secret, SECRETS.epochs[:epochs])
        data = encode_key(secrets, passphrase, bytes([suite] * 32), WEAK)
        case: dict[str, object] = {"passphrase": passphrase.hex(), "suite": suite, "epochs": epochs, "object": data.hex()}
        monday = secrets.archive_name(b"monday").hex()
        cases.append({**case, "archive_name_of_monday": monday, **key_texts(data)})
    return {"repository": REPOSITORY.hex(), "id_secret": SECRETS.id_secret.hex(), "cases": cases}


def key_texts(data: bytes) -> dict[str, str]:
    """Key file and paper key, as docs/format/key.md describes them."""
    text = keys.write_key_text(REPOSITORY, data)
    assert keys.read_key_text(text) == (REPOSITORY, data)
    return {"key_file": text, "paper": keys.write_paper(REPOSITORY, data)}


def heads() -> object:
    """Archive heads, sealed, and the JSON in them."""
    maker, root = Maker(SECRETS), bytes([0x88] * 32)
    names = ["monday", 'größe "quoted" \\ / \x7f \t \U0001f35e raw \udcff']
    for name in names:
        maker.head(name, root, command_line=["bork", "create"], roots=[b"/etc".hex(), "ff"], comment=name)
    plains = [to_canonical_json(head_fields(name, root, 1, bytes(32))).decode() for name in names]
    return {
        "key_object": encode_key(SECRETS, PASSPHRASE, bytes([0x77] * 32), WEAK).hex(),
        "passphrase": PASSPHRASE.hex(),
        "repository": REPOSITORY.hex(),
        "names": names,
        "objects": {name: value.hex() for name, value in maker.objects.items()},
        "canonical": plains,
    }


def configs() -> object:
    """Config objects, as texts."""
    plain = Config(REPOSITORY, "none", 3, append_only=False, storage_quota=0)
    full = Config(REPOSITORY, "repokey", 1, append_only=True, storage_quota=10**18)
    good = [encode_config(config).decode() for config in (plain, full)]
    body = good[0].rpartition("checksum")[0]
    unknown = {
        "a later format": body.replace("format = 1", "format = 2"),
        "a feature": body.replace("features =", "features = sessions"),
        "an unknown entry": body.replace("features =", "colour = red\nfeatures ="),
        "an unknown encryption": body.replace("encryption = none", "encryption = paranoid"),
        "an unknown suite": body.replace("suite = 3", "suite = 4"),
        "another order": body.replace("suite = 3\nappend_only = 0", "append_only = 0\nsuite = 3"),
        "a number with a leading zero": body.replace("storage_quota = 0", "storage_quota = 00"),
    }
    refused = {why: with_checksum(text).decode() for why, text in unknown.items()}
    refused["a changed id"] = good[0].replace("id = 00", "id = 01")
    refused["no checksum"] = body
    return {"accepted": good, "refused": refused}


FILES: dict[str, Callable[[], object]] = {
    "derivation": derivation,
    "chunk_ids": chunk_ids,
    "chunkers": chunkers,
    "seals": seals,
    "payloads": payloads,
    "packs": packs,
    "keys": key_objects,
    "heads": heads,
    "configs": configs,
    "items": items,
    "nodes": nodes,
}
