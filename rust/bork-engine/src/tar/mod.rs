//! The bytes of tar streams: headers, extended headers, sparse maps. No I/O; what they mean for users is in
//! docs/usage/export-tar.md.

pub mod acl;
pub mod fflags;
pub mod header;
pub mod item;
pub mod member;
pub mod pax;
pub mod read;
pub mod records;
pub mod sparse;
pub mod xattrs;

/// Everything in a tar stream is padded to this. Unit: bytes.
pub const BLOCK: usize = 512;
/// A stream is padded to this, as other programs do, in case somebody writes it to a tape. Unit: bytes.
pub const RECORD: u64 = 10_240;
/// What ends a stream, and is written after all else has succeeded. There is no other mark: Python's tarfile, for one,
/// takes a stream that ends with a global header for a broken one.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Name of the record that holds the encoded item, without content, in format BORG.
pub const ITEM_RECORD: &[u8] = b"BORK.item";

/// How members are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// GNU tar's own: whole seconds, no attributes beyond those of `ls -l`.
    Gnu,
    /// POSIX.1-2001 with the records that GNU tar, star and libarchive know.
    Pax,
    /// PAX, and the whole item in a record of Bork's own.
    Borg,
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "GNU" => Some(Format::Gnu),
            "PAX" => Some(Format::Pax),
            "BORG" => Some(Format::Borg),
            _ => None,
        }
    }
}

/// Zero bytes between `length` bytes and the next block.
pub fn padding(length: u64) -> usize {
    (length.wrapping_neg() % BLOCK as u64) as usize
}
