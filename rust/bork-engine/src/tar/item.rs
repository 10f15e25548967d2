//! A member of a tar stream as an item.

use super::header::{at, kind, take_number};
use super::read::{Member, decimal, until_zero};
use super::{ITEM_RECORD, acl, fflags, pax, xattrs};
use bork_core::metadata::{NameCache, acl as kernel_acl};
use bork_core::problem::{Problem, ProblemKind};
use bork_format::item::{
    ACL_ENTRIES_MAX, AclEntry, Content, Item, NAME_LENGTH_MAX, PATH_LENGTH_MAX, TYPE_BLOCK_DEVICE,
    TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK, Time, XATTR_NAME_LENGTH_MAX,
    XATTR_VALUE_LENGTH_MAX, XATTRS_MAX,
};
use bork_format::node::check_path;
use std::ops::Range;

/// What a member means.
pub enum Meaning {
    /// An entry of its own; a regular file still lacks its content.
    Item(Box<Item>),
    /// Another name of the entry at this path.
    Link(Vec<u8>),
    /// Something that is no entry: a label, say.
    Nothing,
}

/// The path of an item for a path of a stream: without `.`, without empty parts, and `..` only leads back to where
/// one has been.
pub fn clean(path: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join(&b'/');
    check_path(&path).map_err(|error| Problem::new(ProblemKind::PathTraversal, error.to_string()))?;
    Ok(path)
}

/// Makes an item of a member. The inner problems are attributes that cannot be kept.
pub fn interpret(member: &Member, names: &mut NameCache) -> Result<(Meaning, Vec<Problem>), Problem> {
    let file_type = match member.kind {
        kind::FILE | kind::SPARSE => TYPE_FILE,
        kind::DIRECTORY | b'D' => TYPE_DIRECTORY,
        kind::SYMLINK => TYPE_SYMLINK,
        kind::CHARACTER_DEVICE => TYPE_CHARACTER_DEVICE,
        kind::BLOCK_DEVICE => TYPE_BLOCK_DEVICE,
        kind::FIFO => TYPE_FIFO,
        kind::HARD_LINK => return Ok((Meaning::Link(clean(&member.target)?), Vec::new())),
        b'V' => return Ok((Meaning::Nothing, Vec::new())),
        other => {
            let text = format!("unsupported kind of tar member: {}", other.escape_ascii());
            return Err(Problem::new(ProblemKind::Metadata, text));
        }
    };
    let mut problems = Vec::new();
    if let Some(record) = member.records.get(ITEM_RECORD) {
        match Item::decode(record) {
            Ok(item) if item.file_type() == file_type => {
                let item = recorded(member, item)?;
                return Ok((Meaning::Item(Box::new(item)), problems));
            }
            Ok(_) => problems.push(metadata("its item record is of another type than it is")),
            Err(error) => problems.push(metadata(format!("its item record is not used: {error}"))),
        }
    }
    let mut item = plain(member, file_type)?;
    attributes(member, &mut item, names, &mut problems);
    Ok((Meaning::Item(Box::new(item)), problems))
}

fn metadata(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Metadata, message)
}

fn not_understood(what: &str) -> Problem {
    metadata(format!("its {what} cannot be understood"))
}

/// The item of a record, as far as a record may say it. Content, target and device are the stream's to say: a chunk
/// that a record names was never stored, or is another file's, and whoever lists the stream would see none of it. An
/// inode would make the next backup believe that this machine has read the file.
fn recorded(member: &Member, item: Item) -> Result<Item, Problem> {
    let (target, device) = (target(member, item.file_type())?, device(member, item.file_type())?);
    Ok(Item { size: 0, content: Content::default(), target, device, inode: 0, link: None, ..item })
}

/// The target of a symbolic link; empty for all else.
fn target(member: &Member, file_type: u32) -> Result<Vec<u8>, Problem> {
    if file_type != TYPE_SYMLINK {
        return Ok(Vec::new());
    }
    let target = &member.target;
    if target.is_empty() || target.len() > PATH_LENGTH_MAX || target.contains(&0) {
        return Err(not_understood("target"));
    }
    Ok(target.clone())
}

/// Major and minor number of a device; `None` for all else.
fn device(member: &Member, file_type: u32) -> Result<Option<(u32, u32)>, Problem> {
    if !matches!(file_type, TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE) {
        return Ok(None);
    }
    let number = |key: &[u8], range| {
        let value = number(member, key, range).and_then(|value| u32::try_from(value).ok());
        value.ok_or_else(|| not_understood("device number"))
    };
    Ok(Some((number(b"SCHILY.devmajor", at::MAJOR)?, number(b"SCHILY.devminor", at::MINOR)?)))
}

/// A number of a record, or else of the header.
fn number(member: &Member, key: &[u8], range: Range<usize>) -> Option<i128> {
    match member.records.get(key) {
        Some(text) => decimal(text).map(i128::from),
        None => take_number(&member.header.0[range]),
    }
}

/// What every tar format says.
fn plain(member: &Member, file_type: u32) -> Result<Item, Problem> {
    let header = &member.header;
    let field = |range| take_number(&header.0[range]);
    let id = |key: &[u8], range, what| {
        // Some systems write the ids of nobody as -1 or -2.
        let is_id = |value: &i128| (i128::from(i32::MIN)..=i128::from(u32::MAX)).contains(value);
        let value = number(member, key, range).filter(is_id);
        value.map(|value| value as u32).ok_or_else(|| not_understood(what))
    };
    let name = |key: &[u8], range: Range<usize>| {
        let name = member.records.get(key).unwrap_or(until_zero(&header.0[range]));
        if name.len() <= NAME_LENGTH_MAX { name.to_vec() } else { Vec::new() }
    };
    let time = |key: &[u8]| match member.records.get(key) {
        Some(text) => pax::take_time(text).map(Some).ok_or_else(|| not_understood("time")),
        None => Ok(None),
    };
    let header_time = || {
        let seconds = field(at::MTIME).and_then(|seconds| i64::try_from(seconds).ok());
        seconds.map(|seconds| Time { seconds, nanoseconds: 0 }).ok_or_else(|| not_understood("time"))
    };
    let mode = field(at::MODE).ok_or_else(|| not_understood("mode"))?;
    Ok(Item {
        mode: file_type | (mode as u32 & 0o7777 & !TYPE_MASK),
        uid: id(b"uid", at::UID, "owner")?,
        gid: id(b"gid", at::GID, "group")?,
        user: name(b"uname", at::USER),
        group: name(b"gname", at::GROUP),
        mtime: time(b"mtime")?.map_or_else(header_time, Ok)?,
        ctime: time(b"ctime")?,
        atime: time(b"atime")?,
        birthtime: time(b"LIBARCHIVE.creationtime")?,
        target: target(member, file_type)?,
        device: device(member, file_type)?,
        ..Item::default()
    })
}

/// What PAX records say besides.
fn attributes(member: &Member, item: &mut Item, names: &mut NameCache, problems: &mut Vec<Problem>) {
    let mut access = Vec::new();
    let mut default = Vec::new();
    for (name, value) in xattrs::found(&member.records) {
        let Some(value) = value else {
            problems.push(metadata("an extended attribute cannot be understood"));
            continue;
        };
        if name == kernel_acl::ACCESS || name == kernel_acl::DEFAULT {
            let acl = if name == kernel_acl::ACCESS { &mut access } else { &mut default };
            match kernel_acl::decode(&value, None) {
                Ok(entries) => *acl = entries,
                Err(why) => problems.push(metadata(why)),
            }
        } else if name.starts_with(kernel_acl::PREFIX_XFS) {
            // The same ACL once more.
        } else if name.is_empty() || name.len() > XATTR_NAME_LENGTH_MAX || name.contains(&0) {
            problems.push(metadata("an extended attribute has an impossible name"));
        } else if value.len() > XATTR_VALUE_LENGTH_MAX {
            problems.push(metadata("an extended attribute is longer than 64 KiB"));
        } else {
            item.xattrs.push((name, value));
        }
    }
    if item.xattrs.len() > XATTRS_MAX {
        item.xattrs.truncate(XATTRS_MAX);
        problems.push(metadata("it has more than 32,768 extended attributes"));
    }
    for (key, acl) in [(&b"SCHILY.acl.access"[..], &mut access), (b"SCHILY.acl.default", &mut default)] {
        if let Some(text) = member.records.get(key) {
            match acl_of(text, names) {
                Some(entries) => *acl = entries,
                None => problems.push(metadata("an ACL cannot be understood")),
            }
        }
    }
    if member.records.get(b"SCHILY.acl.ace").is_some() {
        problems.push(metadata("an NFSv4 ACL cannot be kept"));
    }
    for acl in [&mut access, &mut default] {
        if acl.len() > ACL_ENTRIES_MAX {
            acl.clear();
            problems.push(metadata("an ACL has more than 8,192 entries"));
        }
    }
    if item.file_type() != TYPE_SYMLINK && !kernel_acl::says_no_more_than_mode(&access) {
        item.acl_access = access;
    }
    if item.is_directory() {
        item.acl_default = default;
    }
    if let Some(text) = member.records.get(b"SCHILY.fflags") {
        item.flags = fflags::flags(text);
    }
}

fn acl_of(text: &[u8], names: &mut NameCache) -> Option<Vec<AclEntry>> {
    // Two closures want the same names, one after the other.
    let names = std::cell::RefCell::new(names);
    acl::entries(text, |name| names.borrow_mut().user_id(name), |name| names.borrow_mut().group_id(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_path_leads_out_and_none_is_lost() {
        for (path, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../b", "b"),
            ("", ""),
            ("./", ""),
            ("..", ""),
        ] {
            assert_eq!(clean(path.as_bytes()).unwrap(), expected.as_bytes(), "{path}");
        }
        assert!(clean(b"a\0b").is_err());
        assert!(clean(&[b'x'; PATH_LENGTH_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn every_cleaned_path_can_be_stored(path in "[a./]{0,20}") {
            prop_assert!(check_path(&clean(path.as_bytes()).unwrap()).is_ok());
        }
    }
}
