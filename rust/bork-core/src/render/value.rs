//! The keys of a format, and the value that each has for an item.

use super::Extra;
use bork_format::item::{
    Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK, Time,
};

/// A digest that a format can ask for. Whoever reads the content computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Names of algorithms.
pub enum Hash {
    Blake2b,
    Blake2s,
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
    Sha384,
    Sha512,
    Xxh64,
}

impl Hash {
    /// Name of the key, and of the algorithm in Python's hashlib.
    pub fn name(self) -> &'static str {
        KEY_TABLE.iter().find(|(_, key)| *key == Key::Hash(self)).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Type,
    Mode,
    Uid,
    Gid,
    User,
    Group,
    Path,
    Bpath,
    Source,
    Flags,
    Size,
    CompressedSize,
    UniqueSize,
    UniqueCompressedSize,
    Chunks,
    UniqueChunks,
    Mtime,
    Ctime,
    Atime,
    IsoMtime,
    IsoCtime,
    IsoAtime,
    Hash(Hash),
    /// A hash again, by its position in the list of needed hashes.
    Digest(usize),
    Extra,
    Health,
}

/// All keys that depend on the item, in the order of Borg's help.
pub(super) const KEY_TABLE: &[(&str, Key)] = &[
    ("type", Key::Type),
    ("mode", Key::Mode),
    ("uid", Key::Uid),
    ("gid", Key::Gid),
    ("user", Key::User),
    ("group", Key::Group),
    ("path", Key::Path),
    ("bpath", Key::Bpath),
    ("source", Key::Source),
    ("linktarget", Key::Source),
    ("flags", Key::Flags),
    ("size", Key::Size),
    ("csize", Key::CompressedSize),
    ("dsize", Key::UniqueSize),
    ("dcsize", Key::UniqueCompressedSize),
    ("num_chunks", Key::Chunks),
    ("unique_chunks", Key::UniqueChunks),
    ("mtime", Key::Mtime),
    ("ctime", Key::Ctime),
    ("atime", Key::Atime),
    ("isomtime", Key::IsoMtime),
    ("isoctime", Key::IsoCtime),
    ("isoatime", Key::IsoAtime),
    ("blake2b", Key::Hash(Hash::Blake2b)),
    ("blake2s", Key::Hash(Hash::Blake2s)),
    ("md5", Key::Hash(Hash::Md5)),
    ("sha1", Key::Hash(Hash::Sha1)),
    ("sha224", Key::Hash(Hash::Sha224)),
    ("sha256", Key::Hash(Hash::Sha256)),
    ("sha384", Key::Hash(Hash::Sha384)),
    ("sha3_224", Key::Hash(Hash::Sha3_224)),
    ("sha3_256", Key::Hash(Hash::Sha3_256)),
    ("sha3_384", Key::Hash(Hash::Sha3_384)),
    ("sha3_512", Key::Hash(Hash::Sha3_512)),
    ("sha512", Key::Hash(Hash::Sha512)),
    ("xxh64", Key::Hash(Hash::Xxh64)),
    ("extra", Key::Extra),
    ("health", Key::Health),
];

/// Names of all keys that a format may use, those that do not depend on the item last.
pub const KEYS: &[&str] = &{
    let mut names = [""; KEY_TABLE.len() + 9];
    let mut index = 0;
    while index < KEY_TABLE.len() {
        names[index] = KEY_TABLE[index].0;
        index += 1;
    }
    let fixed = ["archivename", "archiveid", "NEWLINE", "NL", "NUL", "SPACE", "TAB", "CR", "LF"];
    while index < names.len() {
        names[index] = fixed[index - KEY_TABLE.len()];
        index += 1;
    }
    names
};

/// The keys of every JSON line (`healthy` follows `path`), in order.
pub(super) const JSON_KEYS: &[(&str, Key)] = &[
    ("type", Key::Type),
    ("mode", Key::Mode),
    ("user", Key::User),
    ("group", Key::Group),
    ("uid", Key::Uid),
    ("gid", Key::Gid),
    ("path", Key::Path),
    ("source", Key::Source),
    ("linktarget", Key::Source),
    ("flags", Key::Flags),
];

/// Linux file flags and what Borg calls them, with the numbers of BSD.
const FLAGS: [(u32, u64); 3] = [(0x40, 1), (0x10, 2), (0x20, 4)];
const EMPTY: Value<'static> = Value::Text(b"");

/// The value of a key.
pub(super) enum Value<'a> {
    /// Text; control characters and bytes that are not UTF-8 are shown as `?`.
    Text(&'a [u8]),
    /// Two texts, one after the other.
    Joined(&'static [u8], &'a [u8]),
    /// Bytes as they are.
    Verbatim(&'a [u8]),
    Number(u64),
    Time(Time),
    IsoTime(Time),
    Mode([u8; 10]),
}

/// An item and all that is known of it.
pub(super) struct Values<'a> {
    pub path: &'a [u8],
    pub item: &'a Item,
    pub extra: &'a Extra<'a>,
}

impl<'a> Values<'a> {
    pub fn get(&self, key: Key) -> Value<'a> {
        let (item, extra) = (self.item, self.extra);
        match key {
            Key::Type => Value::Text(type_letter(item.mode)),
            Key::Mode => Value::Mode(self.mode()),
            Key::Uid => Value::Number(u64::from(item.uid)),
            Key::Gid => Value::Number(u64::from(item.gid)),
            Key::User => name(&item.user, item.uid),
            Key::Group => name(&item.group, item.gid),
            Key::Path => Value::Text(self.path),
            Key::Bpath => Value::Verbatim(self.path),
            Key::Source => Value::Text(self.source()),
            Key::Flags => Value::Number(flags(item.flags)),
            Key::Size => self.size(item.size),
            Key::CompressedSize => self.size(extra.compressed_size),
            Key::UniqueSize => self.statistic(extra.unique_size),
            Key::UniqueCompressedSize => self.statistic(extra.unique_compressed_size),
            Key::Chunks => self.statistic(extra.chunks),
            Key::UniqueChunks => self.statistic(extra.unique_chunks),
            Key::Mtime => Value::Time(item.mtime),
            Key::Ctime => Value::Time(self.time(item.ctime)),
            Key::Atime => Value::Time(self.time(item.atime)),
            Key::IsoMtime => Value::IsoTime(item.mtime),
            Key::IsoCtime => Value::IsoTime(self.time(item.ctime)),
            Key::IsoAtime => Value::IsoTime(self.time(item.atime)),
            Key::Digest(index) if self.has_content() => {
                Value::Text(extra.digests.get(index).map_or(b"", |digest| digest.as_bytes()))
            }
            Key::Hash(_) | Key::Digest(_) => EMPTY,
            Key::Extra => match self.source() {
                b"" => EMPTY,
                target if item.file_type() == TYPE_SYMLINK => Value::Joined(b" -> ", target),
                first => Value::Joined(b" link to ", first),
            },
            Key::Health => Value::Text(if extra.broken { b"broken" } else { b"healthy" }),
        }
    }

    /// Later members of a hard link set have none in Borg.
    fn has_content(&self) -> bool {
        self.item.is_file() && self.extra.link_source.is_none()
    }

    /// Target of a symbolic link, or first member of the hard link set.
    fn source(&self) -> &'a [u8] {
        match self.item.file_type() {
            TYPE_SYMLINK => &self.item.target,
            _ => self.extra.link_source.unwrap_or_default(),
        }
    }

    fn size(&self, of_content: u64) -> Value<'a> {
        match self.item.file_type() {
            TYPE_SYMLINK => Value::Number(character_count(&self.item.target)),
            _ => self.statistic(of_content),
        }
    }

    fn statistic(&self, of_content: u64) -> Value<'a> {
        Value::Number(if self.has_content() { of_content } else { 0 })
    }

    /// Borg falls back to the modification time where another is not known, or is 1970.
    fn time(&self, time: Option<Time>) -> Time {
        time.filter(|time| *time != Time::default()).unwrap_or(self.item.mtime)
    }

    /// As `ls -l` shows it.
    fn mode(&self) -> [u8; 10] {
        let mut out = mode_text(self.item.mode);
        let later_link = self.extra.link_source.is_some_and(|first| !first.is_empty());
        if later_link && out[0] != b'l' {
            out[0] = b'h';
        }
        out
    }
}

/// A mode as `ls -l` shows it.
pub(super) fn mode_text(mode: u32) -> [u8; 10] {
    let mut out = *b"?rwxrwxrwx";
    for (index, letter) in out[1..].iter_mut().enumerate() {
        if mode & (0o400 >> index) == 0 {
            *letter = b'-';
        }
    }
    for (bit, index, letter) in [(0o4000, 3, b's'), (0o2000, 6, b's'), (0o1000, 9, b't')] {
        if mode & bit != 0 {
            out[index] = if out[index] == b'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    out[0] = type_letter(mode)[0];
    out
}

fn type_letter(mode: u32) -> &'static [u8] {
    match mode & TYPE_MASK {
        TYPE_FILE => b"-",
        TYPE_DIRECTORY => b"d",
        TYPE_SYMLINK => b"l",
        TYPE_FIFO => b"p",
        TYPE_CHARACTER_DEVICE => b"c",
        TYPE_BLOCK_DEVICE => b"b",
        _ => b"?",
    }
}

fn name(name: &[u8], id: u32) -> Value<'_> {
    if name.is_empty() { Value::Number(u64::from(id)) } else { Value::Text(name) }
}

fn flags(linux: u32) -> u64 {
    FLAGS.iter().filter(|(flag, _)| linux & flag != 0).map(|(_, bsd)| bsd).sum()
}

/// Length in characters; a byte that is not UTF-8 counts as one.
pub(super) fn character_count(bytes: &[u8]) -> u64 {
    bytes.utf8_chunks().map(|chunk| (chunk.valid().chars().count() + chunk.invalid().len()) as u64).sum()
}
