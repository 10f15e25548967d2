//! Chunk ids: the keyed BLAKE3 of a plaintext. Specified in docs/format/object.md, "Ids".

use bork_format::Id;
use zeroize::Zeroizing;

/// What the source half must know of a repository's secrets: enough to cut and to name chunks, nothing to open them.
#[derive(Clone)]
pub struct SourceKeys {
    /// Key of chunk ids.
    pub id: Zeroizing<[u8; 32]>,
    /// Key of the chunker's table.
    pub chunker: Zeroizing<[u8; 32]>,
}

impl SourceKeys {
    /// Id of a chunk, a node or a content list. Cost: 0.25 ns a byte for long inputs, about 150 ns at least.
    pub fn identify(&self, plain: &[u8]) -> Id {
        *blake3::keyed_hash(&self.id, plain).as_bytes()
    }
}
