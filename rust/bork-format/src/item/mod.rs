//! An item: the metadata of one file system entry, and where its content is. Specified in docs/format/item.md.
//!
//! The path is not part of the encoded body: a leaf stores it front-coded (see [`crate::node`]), so that the body of
//! an unchanged entry can be copied from the previous archive byte for byte.

mod decode;
mod encode;

pub use decode::decode_list;
pub use encode::encode_slices;

use crate::{ID_LENGTH, Id, ZERO_ID};

/// Longest path of an item. Unit: bytes. `PATH_MAX` is 4096, but deeper trees exist and are backed up.
pub const PATH_LENGTH_MAX: usize = 65_535;
/// Longest user or group name. Unit: bytes.
pub const NAME_LENGTH_MAX: usize = 1024;
/// Longest name of an extended attribute (Linux: 255). Unit: bytes.
pub const XATTR_NAME_LENGTH_MAX: usize = 255;
/// Longest value of an extended attribute (Linux: `XATTR_SIZE_MAX`). Unit: bytes.
pub const XATTR_VALUE_LENGTH_MAX: usize = 65_536;
/// Most extended attributes of one item (Linux: a name list of 64 KiB holds fewer).
pub const XATTRS_MAX: usize = 32_768;
/// Most entries of one ACL; ext4 holds some 500, xfs 25.
pub const ACL_ENTRIES_MAX: usize = 8_192;
/// Encoded length of one content slice: id, offset, length. Unit: bytes.
pub const SLICE_LENGTH: usize = ID_LENGTH + 4 + 4;
/// Most slices kept inside an item; longer content is moved to content lists.
pub const SLICES_INLINE_MAX: usize = 256;
/// Most slices of one content list (an object of its own).
pub const SLICES_PER_LIST_MAX: usize = 16_384;
/// Most content lists of one item: 16,384 x 4,096 slices of 1 MiB are 64 TiB.
pub const LISTS_MAX: usize = 4_096;

/// Field numbers of the body map, in the order in which they are written.
pub mod field {
    /// Type and permission bits, as `st_mode`.
    pub const MODE: u64 = 1;
    /// Numeric owner.
    pub const UID: u64 = 2;
    /// Numeric group.
    pub const GID: u64 = 3;
    /// Name of the owner on the source; absent when unknown.
    pub const USER: u64 = 4;
    /// Name of the group on the source; absent when unknown.
    pub const GROUP: u64 = 5;
    /// Modification time.
    pub const MTIME: u64 = 6;
    /// Status change time.
    pub const CTIME: u64 = 7;
    /// Access time.
    pub const ATIME: u64 = 8;
    /// Birth time.
    pub const BIRTHTIME: u64 = 9;
    /// Length of the content in bytes, holes included.
    pub const SIZE: u64 = 10;
    /// Inode number on the source; change detection only.
    pub const INODE: u64 = 11;
    /// Content slices, concatenated.
    pub const SLICES: u64 = 12;
    /// Ids of content lists, concatenated; instead of slices.
    pub const LISTS: u64 = 13;
    /// Target of a symbolic link.
    pub const TARGET: u64 = 14;
    /// Device numbers of a device node: major, minor.
    pub const DEVICE: u64 = 15;
    /// Extended attributes, sorted by name.
    pub const XATTRS: u64 = 16;
    /// POSIX access ACL.
    pub const ACL_ACCESS: u64 = 17;
    /// POSIX default ACL of a directory.
    pub const ACL_DEFAULT: u64 = 18;
    /// File flags as `FS_IOC_GETFLAGS` gives them.
    pub const FLAGS: u64 = 19;
    /// Hard link group and its number of links.
    pub const LINK: u64 = 20;
    /// Kinds of metadata that were not recorded: a sum of [`super::missing`].
    pub const MISSING: u64 = 21;
}

/// Kinds of metadata that an item can be without although the source may have it. What the item says of them is no
/// reason not to look again.
pub mod missing {
    /// Extended attributes.
    pub const XATTRS: u32 = 1;
    /// ACLs.
    pub const ACLS: u32 = 2;
    /// File flags.
    pub const FLAGS: u32 = 4;
    /// Birth time.
    pub const BIRTHTIME: u32 = 8;
}

/// A point in time: seconds since 1970 (negative before) and nanoseconds in that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// A run of bytes of a file: `length` bytes of chunk `id` from `offset`, or a hole when the id is all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Chunk id, or [`ZERO_ID`] for a hole.
    pub id: Id,
    /// First byte in the chunk; bork 0.1 always writes 0. Unit: bytes.
    pub offset: u32,
    /// Unit: bytes.
    pub length: u32,
}

impl Slice {
    /// A hole of `length` bytes.
    pub fn hole(length: u32) -> Self {
        Slice { id: ZERO_ID, offset: 0, length }
    }

    /// Whether this slice is a hole.
    pub fn is_hole(&self) -> bool {
        self.id == ZERO_ID
    }
}

/// Where the bytes of a regular file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In these slices, in order.
    Slices(Vec<Slice>),
    /// In the slices of these content lists, in order.
    Lists(Vec<Id>),
}

impl Default for Content {
    fn default() -> Self {
        Content::Slices(Vec::new())
    }
}

/// One entry of a POSIX ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// Linux tag: 1 user object, 2 user, 4 group object, 8 group, 16 mask, 32 other.
    pub tag: u16,
    /// Permission bits: 4 read, 2 write, 1 execute.
    pub permissions: u16,
    /// Numeric id for tags 2 and 8, else 0.
    pub id: u32,
    /// Name behind the id on the source; empty when unknown.
    pub name: Vec<u8>,
}

/// Membership in a set of hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Same number for all members of the set within one archive.
    pub group: u64,
    /// Number of links that the source had, members outside the archive included.
    pub count: u32,
}

/// One file system entry. `mode` decides which of the other fields may be set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Type and permission bits, as `st_mode`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Name of the owner; empty when unknown.
    pub user: Vec<u8>,
    /// Name of the group; empty when unknown.
    pub group: Vec<u8>,
    /// Modification time.
    pub mtime: Time,
    /// Status change time, if kept.
    pub ctime: Option<Time>,
    /// Access time, if kept.
    pub atime: Option<Time>,
    /// Birth time, if the source knows it.
    pub birthtime: Option<Time>,
    /// Length of a regular file. Unit: bytes.
    pub size: u64,
    /// Inode number on the source.
    pub inode: u64,
    /// Content of a regular file.
    pub content: Content,
    /// Target of a symbolic link.
    pub target: Vec<u8>,
    /// Major and minor number of a device node.
    pub device: Option<(u32, u32)>,
    /// Extended attributes (without ACLs), sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Access ACL; empty when the mode bits say it all.
    pub acl_access: Vec<AclEntry>,
    /// Default ACL of a directory.
    pub acl_default: Vec<AclEntry>,
    /// File flags.
    pub flags: u32,
    /// Hard link set.
    pub link: Option<Link>,
    /// What was left out or could not be read: a sum of [`missing`].
    pub missing: u32,
}

/// Type bits of a mode.
pub const TYPE_MASK: u32 = 0o170_000;
/// Type of a regular file.
pub const TYPE_FILE: u32 = 0o100_000;
/// Type of a directory.
pub const TYPE_DIRECTORY: u32 = 0o040_000;
/// Type of a symbolic link.
pub const TYPE_SYMLINK: u32 = 0o120_000;
/// Type of a fifo.
pub const TYPE_FIFO: u32 = 0o010_000;
/// Type of a character device.
pub const TYPE_CHARACTER_DEVICE: u32 = 0o020_000;
/// Type of a block device.
pub const TYPE_BLOCK_DEVICE: u32 = 0o060_000;

impl Item {
    /// The type bits of the mode.
    pub fn file_type(&self) -> u32 {
        self.mode & TYPE_MASK
    }

    /// Whether the entry is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type() == TYPE_FILE
    }

    /// Whether the entry is a directory.
    pub fn is_directory(&self) -> bool {
        self.file_type() == TYPE_DIRECTORY
    }
}

impl Content {
    /// Whether there is no content at all.
    pub fn is_empty(&self) -> bool {
        match self {
            Content::Slices(slices) => slices.is_empty(),
            Content::Lists(lists) => lists.is_empty(),
        }
    }
}
