//! From bytes to an item, which is then one that could have been written.

use super::{
    ACL_ENTRIES_MAX, AclEntry, Content, Item, LISTS_MAX, Link, NAME_LENGTH_MAX, PATH_LENGTH_MAX, SLICE_LENGTH,
    SLICES_INLINE_MAX, SLICES_PER_LIST_MAX, Slice, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO,
    TYPE_FILE, TYPE_SYMLINK, Time, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX, field, missing,
};
use crate::codec::Reader;
use crate::{ID_LENGTH, Result, malformed};

const WHAT: &str = "item";

impl Item {
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
            field::MISSING => self.missing = take_missing(r)?,
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

fn take_missing(r: &mut Reader<'_>) -> Result<u32> {
    let known = u64::from(missing::XATTRS | missing::ACLS | missing::FLAGS | missing::BIRTHTIME);
    match nonzero(r.uint()?)? {
        kinds if kinds & !known == 0 => Ok(kinds as u32),
        value => Err(crate::Error::Unknown { what: WHAT, field: "kind of missing metadata", value }),
    }
}

fn nonempty(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() { malformed(WHAT, "an empty field is written") } else { Ok(bytes.to_vec()) }
}

fn nonzero(value: u64) -> Result<u64> {
    if value == 0 { malformed(WHAT, "a zero field is written") } else { Ok(value) }
}
