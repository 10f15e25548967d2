//! An item as the beginning of a member: everything but its data.

use super::header::{Header, MAGIC_GNU, MAGIC_POSIX, at, fits_octal, kind};
use super::sparse::{self, Survey};
use super::{Format, ITEM_RECORD, acl, fflags, padding, pax};
use bork_format::item::{
    Content, Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_SYMLINK, Time,
};

/// What a member is made of.
pub struct Member<'a> {
    /// Path in the stream.
    pub path: &'a [u8],
    /// Metadata.
    pub item: &'a Item,
    /// An earlier member that this one is another name of.
    pub link: Option<&'a [u8]>,
    /// What was found out of the content of a regular file.
    pub survey: &'a Survey,
}

/// Width of the fields for names of users and groups, without the zero byte at their end. Unit: bytes.
const OWNER_LENGTH: usize = 31;

impl Member<'_> {
    /// Path with the slash of a directory; the root of the archive is `./`.
    fn name(&self) -> Vec<u8> {
        let mut name = if self.path.is_empty() { b".".to_vec() } else { self.path.to_vec() };
        if self.link.is_none() && self.item.is_directory() {
            name.push(b'/');
        }
        name
    }

    /// Path or text that a link refers to.
    fn target(&self) -> &[u8] {
        self.link.unwrap_or(&self.item.target)
    }

    fn is_sparse(&self) -> bool {
        self.link.is_none() && self.survey.is_sparse()
    }

    fn kind(&self) -> u8 {
        match self.item.file_type() {
            _ if self.link.is_some() => kind::HARD_LINK,
            TYPE_DIRECTORY => kind::DIRECTORY,
            TYPE_SYMLINK => kind::SYMLINK,
            TYPE_FIFO => kind::FIFO,
            TYPE_CHARACTER_DEVICE => kind::CHARACTER_DEVICE,
            TYPE_BLOCK_DEVICE => kind::BLOCK_DEVICE,
            _ => kind::FILE,
        }
    }

    /// Appends the headers. The map of a sparse file is the caller's: in GNU format all regions behind the first four
    /// as blocks, in the others all of them as text, at the beginning of the data.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Gnu => self.encode_gnu(out),
            Format::Pax => self.encode_pax(out, false),
            Format::Borg => self.encode_pax(out, true),
        }
    }

    fn header(&self, kind: u8, magic: &[u8; 8], name: &[u8], target: &[u8], size: u64) -> Header {
        let item = self.item;
        let mut header = Header::new(kind, magic);
        header.text(at::NAME, name);
        header.text(at::LINK, target);
        header.number(at::MODE, i128::from(item.mode & 0o7777));
        header.number(at::SIZE, i128::from(size));
        for (field, name) in [(at::USER, &item.user), (at::GROUP, &item.group)] {
            if name.len() <= OWNER_LENGTH {
                header.text(field, name);
            }
        }
        if let (Some((major, minor)), None) = (item.device, self.link) {
            header.number(at::MAJOR, i128::from(major));
            header.number(at::MINOR, i128::from(minor));
        }
        header
    }

    fn encode_gnu(&self, out: &mut Vec<u8>) {
        let (name, target) = (self.name(), self.target());
        for (kind, text) in [(kind::LONG_NAME, &name[..]), (kind::LONG_LINK, target)] {
            if text.len() > at::NAME.len() {
                let mut header = Header::new(kind, MAGIC_GNU);
                header.text(at::NAME, b"././@LongLink");
                header.number(at::SIZE, text.len() as i128 + 1);
                header.finish(out);
                out.extend_from_slice(text);
                out.extend(std::iter::repeat_n(0, 1 + padding(text.len() as u64 + 1)));
            }
        }
        let size = if self.link.is_some() { 0 } else { self.survey.data };
        let kind = if self.is_sparse() { kind::SPARSE } else { self.kind() };
        let mut header = self.header(kind, MAGIC_GNU, &name, target, size);
        header.number(at::UID, i128::from(self.item.uid));
        header.number(at::GID, i128::from(self.item.gid));
        header.number(at::MTIME, i128::from(self.item.mtime.seconds));
        if self.is_sparse() {
            sparse::put_header(&mut header.0, self.survey);
        }
        header.finish(out);
    }

    fn encode_pax(&self, out: &mut Vec<u8>, whole: bool) {
        let (item, target) = (self.item, self.target());
        let size = match (self.link, self.is_sparse()) {
            (Some(_), _) => 0,
            (None, true) => self.survey.map_length() + self.survey.data,
            (None, false) => self.survey.data,
        };
        let full = self.name();
        let name = if self.is_sparse() { beside(b"GNUSparseFile.0", self.path) } else { full.clone() };
        let mut records = Vec::new();
        let texts = [&full[..], target, &item.user, &item.group];
        if texts.iter().any(|text| std::str::from_utf8(text).is_err()) {
            pax::put(&mut records, b"hdrcharset", b"BINARY");
        }
        self.name_records(&full, target, size, &mut records);
        let header_time = if item.mtime.nanoseconds == 0 && fits_octal(at::MTIME.len(), item.mtime.seconds.into()) {
            item.mtime.seconds
        } else {
            pax::put(&mut records, b"mtime", pax::time_text(item.mtime).as_bytes());
            item.mtime.seconds.clamp(0, (1 << 33) - 1)
        };
        let times: [(&[u8], Option<Time>); 2] = [(b"atime", item.atime), (b"ctime", item.ctime)];
        for (key, time) in times {
            if let Some(time) = time {
                pax::put(&mut records, key, pax::time_text(time).as_bytes());
            }
        }
        self.attribute_records(&mut records);
        if whole {
            pax::put(&mut records, ITEM_RECORD, &encode_item(item));
        }
        put_extended(kind::PAX, &beside(b"PaxHeaders", self.path), &records, out);
        let mut header = self.header(self.kind(), MAGIC_POSIX, &name, target, 0);
        // Numbers that do not fit are in records; what stands here then is for programs that know none.
        let narrow = |width: usize, value: u64| if fits_octal(width, value.into()) { value } else { 0 };
        header.number(at::UID, narrow(at::UID.len(), item.uid.into()).into());
        header.number(at::GID, narrow(at::GID.len(), item.gid.into()).into());
        header.number(at::SIZE, narrow(at::SIZE.len(), size).into());
        header.number(at::MTIME, header_time.into());
        header.finish(out);
    }

    fn name_records(&self, full: &[u8], target: &[u8], size: u64, records: &mut Vec<u8>) {
        let item = self.item;
        let fits = |text: &[u8], length: usize| text.len() <= length && text.is_ascii();
        if self.is_sparse() {
            pax::put(records, b"GNU.sparse.major", b"1");
            pax::put(records, b"GNU.sparse.minor", b"0");
            pax::put(records, b"GNU.sparse.name", full);
            pax::put(records, b"GNU.sparse.realsize", self.survey.size.to_string().as_bytes());
        } else if !fits(full, at::NAME.len()) {
            pax::put(records, b"path", full);
        }
        if !fits(target, at::LINK.len()) {
            pax::put(records, b"linkpath", target);
        }
        let owners: [(&[u8], &[u8]); 2] = [(b"uname", &item.user), (b"gname", &item.group)];
        for (key, name) in owners {
            if !fits(name, OWNER_LENGTH) {
                pax::put(records, key, name);
            }
        }
        let numbers: [(&[u8], u64, usize); 3] = [
            (b"uid", item.uid.into(), at::UID.len()),
            (b"gid", item.gid.into(), at::GID.len()),
            (b"size", size, at::SIZE.len()),
        ];
        for (key, number, width) in numbers {
            if !fits_octal(width, number.into()) {
                pax::put(records, key, number.to_string().as_bytes());
            }
        }
    }

    /// Attributes, ACLs and flags; another name of a file shares those of the first.
    fn attribute_records(&self, records: &mut Vec<u8>) {
        let item = self.item;
        if self.link.is_some() {
            return;
        }
        for (name, value) in &item.xattrs {
            let key = [b"SCHILY.xattr.", &pax::escape_key(name)[..]].concat();
            pax::put(records, &key, value);
        }
        if !item.acl_access.is_empty() {
            pax::put(records, b"SCHILY.acl.access", &acl::text(&item.acl_access));
        }
        if !item.acl_default.is_empty() {
            pax::put(records, b"SCHILY.acl.default", &acl::text(&item.acl_default));
        }
        if item.flags != 0 {
            pax::put(records, b"SCHILY.fflags", fflags::text(item.flags).as_bytes());
        }
    }
}

/// The body of an item without what the stream itself says (content, size, links), and without what is true on its
/// source only, the inode.
fn encode_item(item: &Item) -> Vec<u8> {
    let mut body = Vec::new();
    Item { content: Content::default(), size: 0, inode: 0, link: None, ..item.clone() }.encode(&mut body);
    body
}

/// A path for a helper member, which only programs that do not know it make a file of.
fn beside(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let mut name = [b"./", directory, b"/", last].concat();
    name.truncate(at::NAME.len());
    name
}

/// Appends a member that holds records.
fn put_extended(kind: u8, name: &[u8], records: &[u8], out: &mut Vec<u8>) {
    if records.is_empty() {
        return;
    }
    let mut header = Header::new(kind, MAGIC_POSIX);
    header.text(at::NAME, name);
    header.number(at::MODE, 0o644);
    header.number(at::SIZE, records.len() as i128);
    header.finish(out);
    out.extend_from_slice(records);
    out.extend(std::iter::repeat_n(0, padding(records.len() as u64)));
}
