//! From an item to its bytes.

use super::{AclEntry, Content, Item, SLICE_LENGTH, Slice, Time, field};
use crate::codec::Writer;

impl Item {
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
        put_uint(&mut w, field::MISSING, u64::from(self.missing));
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
            self.missing != 0,
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
