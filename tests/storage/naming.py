"""Names and contents for tests of storage: what they mean does not matter there."""

from hashlib import sha256

from bork.storage.names import ObjectName


def pack(content: bytes) -> ObjectName:
    """A name in ``packs/``."""
    text = sha256(content).hexdigest()
    return ObjectName(f"packs/{text[:2]}/{text}")


def archive(label: str) -> ObjectName:
    """A name in ``archives/``."""
    return ObjectName(f"archives/{sha256(label.encode()).hexdigest()}")
