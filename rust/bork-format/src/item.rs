//! An item: the metadata of one file system entry, and where its content is. Specified in docs/format/item.md.
//!
//! The path is not part of the encoded body: a leaf stores it front-coded (see [`crate::node`]), so that the body of
//! an unchanged entry can be copied from the previous archive byte for byte.

use crate::codec::{Reader, Writer};
use crate::{ID_LENGTH, Id, Result, ZERO_ID, malformed};

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

const WHAT: &str = "item";

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

    /// Appends the body. Cost: one pass, no allocation beyond `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        w.map(self.field_count());
        for (number, value) in
            [(field::MODE, u64::from(self.mode)), (field::UID, u64::from(self.uid)), (field::GID, u64::from(self.gid))]
        {
            w.uint(number);
            w.uint(value);
        }
        put_bin(&mut w, field::USER, &self.user);
        put_bin(&mut w, field::GROUP, &self.group);
        put_time(&mut w, field::MTIME, Some(self.mtime));
        put_time(&mut w, field::CTIME, self.ctime);
        put_time(&mut w, field::ATIME, self.atime);
        put_time(&mut w, field::BIRTHTIME, self.birthtime);
        put_uint(&mut w, field::SIZE, self.size);
        put_uint(&mut w, field::INODE, self.inode);
        self.encode_content(&mut w);
        put_bin(&mut w, field::TARGET, &self.target);
        if let Some((major, minor)) = self.device {
            w.uint(field::DEVICE);
            w.array(2);
            w.uint(u64::from(major));
            w.uint(u64::from(minor));
        }
        if !self.xattrs.is_empty() {
            w.uint(field::XATTRS);
            w.array(self.xattrs.len() * 2);
            for (name, value) in &self.xattrs {
                w.bin(name);
                w.bin(value);
            }
        }
        put_acl(&mut w, field::ACL_ACCESS, &self.acl_access);
        put_acl(&mut w, field::ACL_DEFAULT, &self.acl_default);
        put_uint(&mut w, field::FLAGS, u64::from(self.flags));
        if let Some(link) = self.link {
            w.uint(field::LINK);
            w.array(2);
            w.uint(link.group);
            w.uint(u64::from(link.count));
        }
    }

    fn field_count(&self) -> usize {
        let optional = [
            !self.user.is_empty(),
            !self.group.is_empty(),
            self.ctime.is_some(),
            self.atime.is_some(),
            self.birthtime.is_some(),
            self.size != 0,
            self.inode != 0,
            !self.content.is_empty(),
            !self.target.is_empty(),
            self.device.is_some(),
            !self.xattrs.is_empty(),
            !self.acl_access.is_empty(),
            !self.acl_default.is_empty(),
            self.flags != 0,
            self.link.is_some(),
        ];
        4 + optional.into_iter().filter(|present| *present).count()
    }

    fn encode_content(&self, w: &mut Writer<'_>) {
        match &self.content {
            Content::Slices(slices) if !slices.is_empty() => {
                w.uint(field::SLICES);
                w.bin(&encode_slices(slices));
            }
            Content::Lists(lists) => {
                w.uint(field::LISTS);
                w.bin(lists.as_flattened());
            }
            Content::Slices(_) => {}
        }
    }

    /// Decodes a body; all of `bytes` must be used, and the content must add up to the size.
    pub fn decode(bytes: &[u8]) -> Result<Item> {
        let mut r = Reader::new(bytes, WHAT);
        let mut item = Item::default();
        let mut last = 0;
        let mut required = 0;
        for _ in 0..r.map(32)? {
            let number = r.uint()?;
            if number <= last {
                return malformed(WHAT, "fields are not in ascending order");
            }
            last = number;
            required += u32::from(matches!(number, field::MODE | field::UID | field::GID | field::MTIME));
            item.decode_field(number, &mut r)?;
        }
        r.finish()?;
        if required != 4 {
            return malformed(WHAT, "mode, uid, gid or mtime is missing");
        }
        item.validate()?;
        Ok(item)
    }

    fn decode_field(&mut self, number: u64, r: &mut Reader<'_>) -> Result<()> {
        match number {
            field::MODE => self.mode = r.uint32()?,
            field::UID => self.uid = r.uint32()?,
            field::GID => self.gid = r.uint32()?,
            field::USER => self.user = nonempty(r.bin(NAME_LENGTH_MAX)?)?,
            field::GROUP => self.group = nonempty(r.bin(NAME_LENGTH_MAX)?)?,
            field::MTIME => self.mtime = take_time(r)?,
            field::CTIME => self.ctime = Some(take_time(r)?),
            field::ATIME => self.atime = Some(take_time(r)?),
            field::BIRTHTIME => self.birthtime = Some(take_time(r)?),
            field::SIZE => self.size = nonzero(r.uint()?)?,
            field::INODE => self.inode = nonzero(r.uint()?)?,
            field::SLICES => {
                let bytes = r.bin(SLICES_INLINE_MAX * SLICE_LENGTH)?;
                if bytes.is_empty() {
                    return malformed(WHAT, "empty content is written");
                }
                self.content = Content::Slices(decode_slices(bytes)?);
            }
            field::LISTS => {
                let bytes = r.bin(LISTS_MAX * ID_LENGTH)?;
                let (lists, rest) = bytes.as_chunks::<ID_LENGTH>();
                if !rest.is_empty() || lists.is_empty() {
                    return malformed(WHAT, "content lists are not whole ids");
                }
                if self.content != Content::default() {
                    return malformed(WHAT, "slices and content lists exclude each other");
                }
                self.content = Content::Lists(lists.to_vec());
            }
            field::TARGET => self.target = nonempty(r.bin(PATH_LENGTH_MAX)?)?,
            field::DEVICE => {
                expect_two(r)?;
                self.device = Some((r.uint32()?, r.uint32()?));
            }
            field::XATTRS => self.xattrs = take_xattrs(r)?,
            field::ACL_ACCESS => self.acl_access = take_acl(r)?,
            field::ACL_DEFAULT => self.acl_default = take_acl(r)?,
            field::FLAGS => self.flags = nonzero(u64::from(r.uint32()?))? as u32,
            field::LINK => {
                expect_two(r)?;
                self.link = Some(Link { group: r.uint()?, count: r.uint32()? });
            }
            value => return Err(crate::Error::Unknown { what: WHAT, field: "field", value }),
        }
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        let content_allowed = self.is_file();
        if self.mode > 0xffff {
            return malformed(WHAT, "the mode has more than 16 bits");
        }
        match self.file_type() {
            TYPE_FILE | TYPE_DIRECTORY | TYPE_SYMLINK | TYPE_FIFO => {}
            TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE => {}
            _ => return malformed(WHAT, "the mode has no known file type"),
        }
        if !content_allowed && (self.size != 0 || !self.content.is_empty()) {
            return malformed(WHAT, "only a regular file has content");
        }
        if (self.file_type() == TYPE_SYMLINK) == self.target.is_empty() {
            return malformed(WHAT, "a symbolic link, and nothing else, has a target");
        }
        let is_device = matches!(self.file_type(), TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE);
        if is_device != self.device.is_some() {
            return malformed(WHAT, "a device, and nothing else, has device numbers");
        }
        if (!self.acl_default.is_empty() && !self.is_directory()) || (self.link.is_some() && self.is_directory()) {
            return malformed(WHAT, "a directory alone has a default ACL, and never hard links");
        }
        if let Content::Slices(slices) = &self.content {
            let total: u64 = slices.iter().map(|slice| u64::from(slice.length)).sum();
            if content_allowed && total != self.size {
                return malformed(WHAT, "the slices do not add up to the size");
            }
        }
        Ok(())
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

/// Encodes slices as fixed records of [`SLICE_LENGTH`] bytes (integers little-endian).
pub fn encode_slices(slices: &[Slice]) -> Vec<u8> {
    let mut out = Vec::with_capacity(slices.len() * SLICE_LENGTH);
    for slice in slices {
        out.extend_from_slice(&slice.id);
        out.extend_from_slice(&slice.offset.to_le_bytes());
        out.extend_from_slice(&slice.length.to_le_bytes());
    }
    out
}

/// Decodes a content list.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<Slice>> {
    if bytes.is_empty() || bytes.len() > SLICES_PER_LIST_MAX * SLICE_LENGTH {
        return malformed("content list", "it is empty or too long");
    }
    decode_slices(bytes)
}

/// Decodes the records of an item or of a content list.
fn decode_slices(bytes: &[u8]) -> Result<Vec<Slice>> {
    let (records, rest) = bytes.as_chunks::<SLICE_LENGTH>();
    if !rest.is_empty() {
        return malformed("content", "slices are not whole records");
    }
    records
        .iter()
        .map(|record| {
            let mut r = Reader::new(record, "content");
            let slice = Slice {
                id: r.take_array()?,
                offset: u32::from_le_bytes(r.take_array()?),
                length: u32::from_le_bytes(r.take_array()?),
            };
            if slice.length == 0 || (slice.is_hole() && slice.offset != 0) {
                return malformed("content", "a slice is empty, or a hole has an offset");
            }
            Ok(slice)
        })
        .collect()
}

fn put_uint(w: &mut Writer<'_>, number: u64, value: u64) {
    if value != 0 {
        w.uint(number);
        w.uint(value);
    }
}

fn put_bin(w: &mut Writer<'_>, number: u64, value: &[u8]) {
    if !value.is_empty() {
        w.uint(number);
        w.bin(value);
    }
}

fn put_time(w: &mut Writer<'_>, number: u64, time: Option<Time>) {
    if let Some(time) = time {
        w.uint(number);
        w.array(2);
        w.int(time.seconds);
        w.uint(u64::from(time.nanoseconds));
    }
}

fn put_acl(w: &mut Writer<'_>, number: u64, entries: &[AclEntry]) {
    if entries.is_empty() {
        return;
    }
    w.uint(number);
    w.array(entries.len() * 4);
    for entry in entries {
        w.uint(u64::from(entry.tag));
        w.uint(u64::from(entry.permissions));
        w.uint(u64::from(entry.id));
        w.bin(&entry.name);
    }
}

fn expect_two(r: &mut Reader<'_>) -> Result<()> {
    if r.array(2)? == 2 { Ok(()) } else { malformed(WHAT, "a pair was expected") }
}

fn take_time(r: &mut Reader<'_>) -> Result<Time> {
    expect_two(r)?;
    let time = Time { seconds: r.int()?, nanoseconds: r.uint32()? };
    if time.nanoseconds >= 1_000_000_000 {
        return malformed(WHAT, "a time has more than 999,999,999 nanoseconds");
    }
    Ok(time)
}

fn take_xattrs(r: &mut Reader<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let count = r.array(XATTRS_MAX * 2)?;
    if count == 0 || count % 2 != 0 {
        return malformed(WHAT, "extended attributes are not pairs");
    }
    let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for _ in 0..count / 2 {
        let name = nonempty(r.bin(XATTR_NAME_LENGTH_MAX)?)?;
        if name.contains(&0) || xattrs.last().is_some_and(|(previous, _)| *previous >= name) {
            return malformed(WHAT, "extended attributes are not sorted, or a name holds a zero byte");
        }
        xattrs.push((name, r.bin(XATTR_VALUE_LENGTH_MAX)?.to_vec()));
    }
    Ok(xattrs)
}

fn take_acl(r: &mut Reader<'_>) -> Result<Vec<AclEntry>> {
    let count = r.array(ACL_ENTRIES_MAX * 4)?;
    if count == 0 || count % 4 != 0 {
        return malformed(WHAT, "an ACL is not made of whole entries");
    }
    (0..count / 4)
        .map(|_| {
            let tag = r.uint32()?;
            let permissions = r.uint32()?;
            if !matches!(tag, 1 | 2 | 4 | 8 | 16 | 32) || permissions > 7 {
                return malformed(WHAT, "an ACL entry has an unknown tag or permission");
            }
            let id = r.uint32()?;
            let name = r.bin(NAME_LENGTH_MAX)?.to_vec();
            if !matches!(tag, 2 | 8) && (id != 0 || !name.is_empty()) {
                return malformed(WHAT, "an ACL entry that is for nobody in particular names somebody");
            }
            Ok(AclEntry { tag: tag as u16, permissions: permissions as u16, id, name })
        })
        .collect()
}

fn nonempty(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() { malformed(WHAT, "an empty field is written") } else { Ok(bytes.to_vec()) }
}

fn nonzero(value: u64) -> Result<u64> {
    if value == 0 { malformed(WHAT, "a zero field is written") } else { Ok(value) }
}
