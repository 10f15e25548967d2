//! Hello and plan: what is agreed before anything is read.

use super::{TEXT_LENGTH_MAX, VERSION, put_bins, take_bins, take_fields, take_flag};
use crate::chunking::ChunkerParams;
use crate::codec::{Reader, Writer};
use crate::item::Time;
use crate::{Error, Result};

/// Who the agent is. Everything in it is the word of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Version of the program, for a person.
    pub program: Vec<u8>,
    /// Name of the machine, for a person.
    pub hostname: Vec<u8>,
    /// Effective user id.
    pub uid: u32,
    /// Whether it may read what the user may not (root, or CAP_DAC_READ_SEARCH).
    pub reads_all: bool,
    /// What fences it in, for a person: landlock, seccomp, and so on.
    pub confinement: Vec<u8>,
    /// Directories that may be read; empty for all.
    pub read: Vec<Vec<u8>>,
    /// Directories that may be written; empty for none.
    pub write: Vec<Vec<u8>>,
    /// Whether `write` allows all directories.
    pub writes_all: bool,
    /// The machine's clock: its files carry times of it.
    pub clock: Time,
}

impl Hello {
    /// Encodes; the version comes first in every version of the protocol.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer(&mut out);
        writer.array(11);
        writer.uint(VERSION);
        writer.bin(&self.program);
        writer.bin(&self.hostname);
        writer.uint(u64::from(self.uid));
        writer.uint(u64::from(self.reads_all));
        writer.bin(&self.confinement);
        put_bins(&mut writer, &self.read);
        put_bins(&mut writer, &self.write);
        writer.uint(u64::from(self.writes_all));
        put_time(&mut writer, self.clock);
        out
    }

    /// Decodes; another version is an [`Error::Unknown`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "hello";
        let mut reader = Reader::new(bytes, what);
        let fields = reader.array(64)?;
        let version = reader.uint()?;
        if version != VERSION {
            return Err(Error::Unknown { what, field: "version", value: version });
        }
        if fields != 11 {
            return Err(Error::Malformed { what, why: "fields are missing" });
        }
        let hello = Hello {
            program: reader.bin(255)?.to_vec(),
            hostname: reader.bin(255)?.to_vec(),
            uid: reader.uint32()?,
            reads_all: take_flag(&mut reader, what)?,
            confinement: reader.bin(255)?.to_vec(),
            read: take_bins(&mut reader)?,
            write: take_bins(&mut reader)?,
            writes_all: take_flag(&mut reader, what)?,
            clock: take_time(&mut reader)?,
        };
        reader.finish()?;
        Ok(hello)
    }
}

/// How chunks are compressed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// Codec number of `pack::Codec`.
    pub codec: u8,
    /// Level; 0 for codecs without.
    pub level: u32,
    /// Only what compresses well.
    pub auto: bool,
}

/// A backup, as the agent has to do it.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    /// Roots: path to read, path in the archive.
    pub roots: Vec<(Vec<u8>, Vec<u8>)>,
    /// Patterns: action (`+`, `-`, `!`), style (two letters), text.
    pub patterns: Vec<(u8, [u8; 2], Vec<u8>)>,
    /// Names whose presence excludes a directory.
    pub exclude_if_present: Vec<Vec<u8>>,
    /// Flags, in the order of [`Plan::FLAGS`].
    pub flags: u64,
    /// Files cache, in the order of [`Plan::CACHE_WORDS`].
    pub files_cache: u64,
    /// 0 ctime, 1 mtime, 2 disabled.
    pub files_changed: u64,
    /// Letters of status lines that are wanted, or `None` for no status at all; empty for all letters.
    pub statuses: Option<Vec<u8>>,
    /// Start of this archive.
    pub start: Time,
    /// Start of the previous archive, if leaves follow.
    pub previous_start: Option<Time>,
    /// Chunker.
    pub chunking: ChunkerParams,
    /// Compression.
    pub wire: Wire,
    /// Key of chunk ids.
    pub id_key: [u8; 32],
    /// Key of the chunker's table.
    pub chunker_key: [u8; 32],
    /// Most bytes a second, 0 for no limit.
    pub rate: u64,
}

fn put_time(writer: &mut Writer<'_>, time: Time) {
    writer.int(time.seconds);
    writer.uint(u64::from(time.nanoseconds));
}

fn take_time(reader: &mut Reader<'_>) -> Result<Time> {
    let time = Time { seconds: reader.int()?, nanoseconds: reader.uint32()? };
    if time.nanoseconds < 1_000_000_000 { Ok(time) } else { malformed("a time has too many nanoseconds") }
}

fn malformed<T>(why: &'static str) -> Result<T> {
    Err(Error::Malformed { what: "plan", why })
}

impl Plan {
    /// Names of the bits of `flags`, lowest first.
    pub const FLAGS: [&'static str; 14] = [
        "one_file_system",
        "exclude_caches",
        "keep_exclude_tags",
        "read_special",
        "exclude_nodump",
        "xattrs",
        "acls",
        "flags",
        "atime",
        "ctime",
        "birthtime",
        "numeric_ids",
        "dry_run",
        "own_chunks",
    ];
    /// Names of the bits of `files_cache`, lowest first.
    pub const CACHE_WORDS: [&'static str; 6] = ["ctime", "mtime", "size", "inode", "rechunk", "disabled"];

    /// Whether a bit of `flags` is set.
    pub fn has(&self, name: &str) -> bool {
        Plan::FLAGS.iter().position(|flag| *flag == name).is_some_and(|bit| self.flags >> bit & 1 == 1)
    }

    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer(&mut out);
        w.array(14);
        w.array(self.roots.len());
        for (source, stored) in &self.roots {
            w.array(2);
            w.bin(source);
            w.bin(stored);
        }
        w.array(self.patterns.len());
        for (action, style, text) in &self.patterns {
            w.array(3);
            w.uint(u64::from(*action));
            w.bin(style);
            w.bin(text);
        }
        put_bins(&mut w, &self.exclude_if_present);
        w.uint(self.flags);
        w.uint(self.files_cache);
        w.uint(self.files_changed);
        w.array(self.statuses.iter().len());
        if let Some(letters) = &self.statuses {
            w.bin(letters);
        }
        w.array(2);
        put_time(&mut w, self.start);
        w.array(2 * self.previous_start.iter().len());
        if let Some(time) = self.previous_start {
            put_time(&mut w, time);
        }
        match self.chunking {
            ChunkerParams::Gear { min_exponent, max_exponent, mask_bits } => {
                w.array(3);
                [min_exponent, max_exponent, mask_bits].iter().for_each(|value| w.uint(u64::from(*value)));
            }
            ChunkerParams::Fixed { block, header } => {
                w.array(2);
                [block, header].iter().for_each(|value| w.uint(u64::from(*value)));
            }
        }
        w.array(3);
        w.uint(u64::from(self.wire.codec));
        w.uint(u64::from(self.wire.level));
        w.uint(u64::from(self.wire.auto));
        w.bin(&self.id_key);
        w.bin(&self.chunker_key);
        w.uint(self.rate);
        out
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "plan";
        let mut r = Reader::new(bytes, what);
        take_fields(&mut r, 14, what)?;
        let roots = (0..r.array(super::PLAN_COUNT_MAX)?)
            .map(|_| {
                take_fields(&mut r, 2, what)?;
                Ok((r.bin(TEXT_LENGTH_MAX)?.to_vec(), r.bin(TEXT_LENGTH_MAX)?.to_vec()))
            })
            .collect::<Result<_>>()?;
        let patterns = (0..r.array(super::PLAN_COUNT_MAX)?)
            .map(|_| {
                take_fields(&mut r, 3, what)?;
                let action = u8::try_from(r.uint()?).ok();
                let style = <[u8; 2]>::try_from(r.bin(2)?).ok();
                let (Some(action), Some(style)) = (action, style) else { return malformed("a pattern is cut short") };
                Ok((action, style, r.bin(TEXT_LENGTH_MAX)?.to_vec()))
            })
            .collect::<Result<_>>()?;
        let exclude_if_present = take_bins(&mut r)?;
        let (flags, files_cache, files_changed) = (r.uint()?, r.uint()?, r.uint()?);
        if flags >> Plan::FLAGS.len() != 0 || files_cache >> Plan::CACHE_WORDS.len() != 0 || files_changed > 2 {
            return malformed("a flag is unknown");
        }
        let statuses = match r.array(1)? {
            0 => None,
            _ => Some(r.bin(256)?.to_vec()),
        };
        take_fields(&mut r, 2, what)?;
        let start = take_time(&mut r)?;
        let previous_start = match r.array(2)? {
            0 => None,
            2 => Some(take_time(&mut r)?),
            _ => return malformed("a time is cut short"),
        };
        let chunking = take_chunking(&mut r)?;
        take_fields(&mut r, 3, what)?;
        let codec = u8::try_from(r.uint()?).or_else(|_| malformed("a codec is unknown"))?;
        let wire = Wire { codec, level: r.uint32()?, auto: take_flag(&mut r, what)? };
        let mut key = || <[u8; 32]>::try_from(r.bin(32)?).or_else(|_| malformed("a key has not 32 bytes"));
        let (id_key, chunker_key) = (key()?, key()?);
        let rate = r.uint()?;
        r.finish()?;
        Ok(Plan {
            roots,
            patterns,
            exclude_if_present,
            flags,
            files_cache,
            files_changed,
            statuses,
            start,
            previous_start,
            chunking,
            wire,
            id_key,
            chunker_key,
            rate,
        })
    }
}

fn take_chunking(r: &mut Reader<'_>) -> Result<ChunkerParams> {
    let exponent = |value: u64| u8::try_from(value).or_else(|_| malformed("an exponent is too large"));
    match r.array(3)? {
        3 => Ok(ChunkerParams::Gear {
            min_exponent: exponent(r.uint()?)?,
            max_exponent: exponent(r.uint()?)?,
            mask_bits: exponent(r.uint()?)?,
        }),
        2 => Ok(ChunkerParams::Fixed { block: r.uint32()?, header: r.uint32()? }),
        _ => malformed("the chunker is unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_and_plan_come_back() {
        let hello = Hello { program: b"1".to_vec(), uid: 7, read: vec![b"/etc".to_vec()], ..Hello::default() };
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        let plan = Plan {
            roots: vec![(b"/etc".to_vec(), b"etc".to_vec())],
            patterns: vec![(b'-', *b"sh", b"*.o".to_vec())],
            exclude_if_present: vec![b".nobackup".to_vec()],
            flags: 1 << 13,
            files_cache: 13,
            files_changed: 0,
            statuses: Some(b"AM".to_vec()),
            start: Time { seconds: -3, nanoseconds: 7 },
            previous_start: None,
            chunking: ChunkerParams::Gear { min_exponent: 18, max_exponent: 22, mask_bits: 20 },
            wire: Wire { codec: 2, level: 3, auto: false },
            id_key: [1; 32],
            chunker_key: [2; 32],
            rate: 0,
        };
        let bytes = plan.encode();
        assert!(Plan::decode(&bytes) == Ok(plan));
        for length in 0..bytes.len() {
            assert!(Plan::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
