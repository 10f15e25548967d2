//! The header block of a member, as POSIX.1-1988 and GNU tar lay it out.

use super::BLOCK;
use std::ops::Range;

/// Fields of the block.
pub mod at {
    use super::Range;
    /// Path.
    pub const NAME: Range<usize> = 0..100;
    /// Permission bits.
    pub const MODE: Range<usize> = 100..108;
    /// Numeric owner.
    pub const UID: Range<usize> = 108..116;
    /// Numeric group.
    pub const GID: Range<usize> = 116..124;
    /// Length of what follows.
    pub const SIZE: Range<usize> = 124..136;
    /// Modification time.
    pub const MTIME: Range<usize> = 136..148;
    /// Sum of all bytes of the block, this field taken as blanks.
    pub const CHECKSUM: Range<usize> = 148..156;
    /// Kind of member.
    pub const KIND: usize = 156;
    /// Target of a link.
    pub const LINK: Range<usize> = 157..257;
    /// Magic and version.
    pub const MAGIC: Range<usize> = 257..265;
    /// Name of the owner.
    pub const USER: Range<usize> = 265..297;
    /// Name of the group.
    pub const GROUP: Range<usize> = 297..329;
    /// Major number of a device.
    pub const MAJOR: Range<usize> = 329..337;
    /// Minor number of a device.
    pub const MINOR: Range<usize> = 337..345;
    /// First part of a long path (POSIX only).
    pub const PREFIX: Range<usize> = 345..500;
    /// Four regions of a sparse file (GNU only).
    pub const SPARSE: Range<usize> = 386..482;
    /// Whether a block with more regions follows (GNU only).
    pub const SPARSE_MORE: usize = 482;
    /// Length of a sparse file, holes included (GNU only).
    pub const REAL_SIZE: Range<usize> = 483..495;
}

/// Kinds of members.
pub mod kind {
    /// Regular file.
    pub const FILE: u8 = b'0';
    /// Another name of an earlier member.
    pub const HARD_LINK: u8 = b'1';
    /// Symbolic link.
    pub const SYMLINK: u8 = b'2';
    /// Character device.
    pub const CHARACTER_DEVICE: u8 = b'3';
    /// Block device.
    pub const BLOCK_DEVICE: u8 = b'4';
    /// Directory.
    pub const DIRECTORY: u8 = b'5';
    /// Fifo.
    pub const FIFO: u8 = b'6';
    /// Regular file, laid out in one piece on the disk: of no meaning today.
    pub const CONTIGUOUS: u8 = b'7';
    /// Records for the next member.
    pub const PAX: u8 = b'x';
    /// Records for all following members.
    pub const PAX_GLOBAL: u8 = b'g';
    /// GNU: the path of the next member.
    pub const LONG_NAME: u8 = b'L';
    /// GNU: the link target of the next member.
    pub const LONG_LINK: u8 = b'K';
    /// GNU: a file with holes.
    pub const SPARSE: u8 = b'S';
}

/// Magic and version of POSIX.
pub const MAGIC_POSIX: &[u8; 8] = b"ustar\x0000";
/// Magic and version of GNU tar.
pub const MAGIC_GNU: &[u8; 8] = b"ustar  \0";

/// One header block.
pub struct Header(pub [u8; BLOCK]);

impl Header {
    /// A block of this kind with nothing in it.
    pub fn new(kind: u8, magic: &[u8; 8]) -> Self {
        let mut header = Header([0; BLOCK]);
        header.0[at::KIND] = kind;
        header.text(at::MAGIC, magic);
        for field in [at::MODE, at::UID, at::GID, at::SIZE, at::MTIME] {
            header.number(field, 0);
        }
        header
    }

    /// Writes bytes, cut at the end of the field; a field that is full has no zero behind it.
    pub fn text(&mut self, field: Range<usize>, bytes: &[u8]) {
        let length = bytes.len().min(field.len());
        self.0[field.start..field.start + length].copy_from_slice(&bytes[..length]);
    }

    /// Writes a number: octal where it fits, else in binary as GNU tar does.
    pub fn number(&mut self, field: Range<usize>, value: i128) {
        put_number(&mut self.0[field], value);
    }

    /// Appends the block, with its checksum.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let sum = checksum(&self.0);
        let text = format!("{sum:06o}\0 ");
        self.text(at::CHECKSUM, text.as_bytes());
        out.extend_from_slice(&self.0);
    }
}

/// Whether a number fits a field in octal, with a zero byte behind it.
pub fn fits_octal(width: usize, value: i128) -> bool {
    value >= 0 && value < 1 << (3 * (width - 1))
}

/// Writes a number into a field.
pub fn put_number(field: &mut [u8], value: i128) {
    let width = field.len();
    if fits_octal(width, value) {
        let text = format!("{value:0width$o}\0", width = width - 1);
        field.copy_from_slice(text.as_bytes());
    } else {
        field.copy_from_slice(&value.to_be_bytes()[16 - width..]);
        field[0] = if value < 0 { 0xff } else { 0x80 };
    }
}

/// Reads a number; `None` if the field holds none. Blank fields are 0.
pub fn take_number(field: &[u8]) -> Option<i128> {
    match field[0] {
        0xff => Some(field.iter().fold(-1, |value: i128, byte| value << 8 | i128::from(*byte))),
        0x80 => Some(field[1..].iter().fold(0, |value: i128, byte| value << 8 | i128::from(*byte))),
        first if first >= 0x80 => None,
        _ => {
            let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
            text.iter().try_fold(0, |value: i128, byte| match byte {
                b'0'..=b'7' => Some(value << 3 | i128::from(byte - b'0')),
                _ => None,
            })
        }
    }
}

/// Sum of all bytes of a block, with blanks in place of the checksum.
pub fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..at::CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&block[at::CHECKSUM.end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_octal_where_they_fit_and_binary_beyond() {
        let written = |value| {
            let mut field = [0; 8];
            put_number(&mut field, value);
            field
        };
        assert_eq!(&written(0o644), b"0000644\0");
        assert_eq!(&written(0o7_777_777), b"7777777\0");
        assert_eq!(&written(0o10_000_000), b"\x80\0\0\0\0\x20\0\0");
        assert_eq!(&written(-1), b"\xff\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(take_number(b"  644 \0\0"), Some(0o644));
        assert_eq!(take_number(&[0; 8]), Some(0));
        assert_eq!(take_number(b"0000 44\0"), None);
        assert_eq!(take_number(b"12345678"), None);
    }

    proptest! {
        #[test]
        fn numbers_survive_the_round_trip(value in -(1_i128 << 80)..1_i128 << 80) {
            let mut field = [0; 12];
            put_number(&mut field, value);
            prop_assert_eq!(take_number(&field), Some(value));
        }
    }
}
