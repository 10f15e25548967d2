"""Names and contents for tests of storage: what they mean does not matter there."""

from bork.core import digest
from bork.storage.names import ObjectName


def pack(content: bytes) -> ObjectName:
    """A name in ``packs/``."""
    text = digest(content).hex()
    return ObjectName(f"packs/{text[:2]}/{text}")


def archive(label: str) -> ObjectName:
    """A name in ``archives/``."""
    return ObjectName(f"archives/{digest(label.encode()).hex()}")


def session(label: str) -> ObjectName:
    """A name in ``sessions/``."""
    return ObjectName(f"sessions/{digest(label.encode()).hex()}")
