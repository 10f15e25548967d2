//! What the two sides say to each other in a push.

use super::{TEXT_LENGTH_MAX, take_fields};
use crate::codec::{Reader, Writer, put_varint, take_varint};
use crate::item::{Item, PATH_LENGTH_MAX};
use crate::node::{BODY_LENGTH_MAX, check_path};
use crate::{Error, Result};

/// Most entries of a batch.
pub const BATCH_COUNT_MAX: usize = 1024;
/// A batch of several entries is at most this long. Unit: bytes.
pub const BATCH_LENGTH_MAX: usize = 512 << 10;
/// Most batches that the server has sent before all content of the oldest of them has been sent.
pub const BATCHES_MAX: usize = 24;
/// Batches that wait for an answer are together at most this long as frames, unless there is only one. Unit: bytes.
pub const BATCHES_LENGTH_MAX: usize = 16 << 20;
/// Longest run of content. Unit: bytes.
pub const RUN_LENGTH_MAX: usize = 1 << 20;
/// A frame of content is at most this long. Unit: bytes.
pub const CONTENT_LENGTH_MAX: usize = 4 << 20;

/// What is to be restored, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// The directory below which everything is written.
    pub target: Vec<u8>,
    /// Flags, in the order of [`RestorePlan::FLAGS`].
    pub flags: u64,
}

impl RestorePlan {
    /// Names of the bits of `flags`, lowest first.
    pub const FLAGS: [&'static str; 5] = ["numeric_ids", "xattrs", "acls", "flags", "dry_run"];

    /// Whether a bit of `flags` is set.
    pub fn has(&self, name: &str) -> bool {
        RestorePlan::FLAGS.iter().position(|flag| *flag == name).is_some_and(|bit| self.flags >> bit & 1 == 1)
    }

    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer(&mut out);
        w.array(2);
        w.bin(&self.target);
        w.uint(self.flags);
        out
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "restore plan";
        let mut r = Reader::new(bytes, what);
        take_fields(&mut r, 2, what)?;
        let plan = RestorePlan { target: r.bin(TEXT_LENGTH_MAX)?.to_vec(), flags: r.uint()? };
        r.finish()?;
        if plan.flags >> RestorePlan::FLAGS.len() != 0 {
            return Err(Error::Malformed { what, why: "a flag is unknown" });
        }
        Ok(plan)
    }
}

/// An entry to be restored: its path below the target, and its item. Of its content the size alone is there.
pub type RestoreEntry = (Vec<u8>, Item);

/// Appends an entry to the entries of a batch; the content of the item is left out.
pub fn put_restore_entry(out: &mut Vec<u8>, path: &[u8], item: &Item) {
    let mut body = Vec::with_capacity(160);
    Item { content: Default::default(), size: 0, inode: 0, ctime: None, birthtime: None, ..item.clone() }
        .encode(&mut body);
    let mut w = Writer(out);
    w.array(3);
    w.bin(path);
    w.uint(item.size);
    w.bin(&body);
}

/// Decodes a batch: entries, one after the other. Paths and items are well-formed, in whatever order they are.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<RestoreEntry>> {
    let what = "batch";
    let mut r = Reader::new(bytes, what);
    let mut entries = Vec::new();
    while r.position() < bytes.len() {
        take_fields(&mut r, 3, what)?;
        let path = r.bin(PATH_LENGTH_MAX)?.to_vec();
        check_path(&path)?;
        let size = r.uint()?;
        let mut item = Item::decode(r.bin(BODY_LENGTH_MAX)?)?;
        if !item.content.is_empty() || item.size != 0 || (size != 0 && !item.is_file()) {
            return Err(Error::Malformed { what, why: "an item comes with content" });
        }
        item.size = size;
        entries.push((path, item));
        let is_long = entries.len() > 1 && bytes.len() > BATCH_LENGTH_MAX;
        if is_long || entries.len() > BATCH_COUNT_MAX {
            return Err(Error::Malformed { what, why: "it is too long" });
        }
    }
    if entries.is_empty() { Err(Error::Malformed { what, why: "it is empty" }) } else { Ok(entries) }
}

/// What the agent does with an entry: one byte of its answer to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It is as it should be.
    Same = 0,
    /// Its attributes are corrected.
    Corrected = 1,
    /// It is made where nothing is.
    Made = 2,
    /// It takes the place of something.
    Replaced = 3,
    /// It is not restored; a problem says why.
    Refused = 4,
    /// As [`Verdict::Made`], and its content is wanted.
    MadeOfContent = 5,
    /// As [`Verdict::Replaced`], and its content is wanted.
    ReplacedByContent = 6,
}

impl Verdict {
    /// Verdicts of a batch of `count` entries.
    pub fn decode_all(bytes: &[u8], count: usize) -> Result<Vec<Self>> {
        use Verdict::*;
        const ALL: [Verdict; 7] = [Same, Corrected, Made, Replaced, Refused, MadeOfContent, ReplacedByContent];
        let what = "answer to a batch";
        if bytes.len() != count {
            return Err(Error::Malformed { what, why: "it is not as long as the batch" });
        }
        let of = |byte: &u8| {
            ALL.get(usize::from(*byte)).copied().ok_or(Error::Malformed { what, why: "a verdict is unknown" })
        };
        bytes.iter().map(of).collect()
    }

    /// Whether the content of the entry is to be sent.
    pub fn wants_content(self) -> bool {
        matches!(self, Verdict::MadeOfContent | Verdict::ReplacedByContent)
    }

    /// A letter for a list.
    pub fn letter(self) -> u8 {
        match self {
            Verdict::Same => b'U',
            Verdict::Corrected => b'C',
            Verdict::Made | Verdict::MadeOfContent => b'A',
            Verdict::Replaced | Verdict::ReplacedByContent => b'M',
            Verdict::Refused => b'E',
        }
    }
}

/// A run of the content of the files that are wanted, in their order. A file has ended when it has its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run<'a> {
    /// Bytes; at least one.
    Data(&'a [u8]),
    /// So many zeros that need no room; at least one.
    Hole(u32),
    /// The rest of the current file cannot be sent: the file is left out.
    Failed,
}

impl Run<'_> {
    /// Appends the run.
    pub fn put(self, out: &mut Vec<u8>) {
        match self {
            Run::Failed => out.push(0),
            Run::Hole(length) => {
                out.push(1);
                put_varint(out, u64::from(length));
            }
            Run::Data(bytes) => {
                out.push(2);
                put_varint(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// Calls `each` with the runs of a frame of content, in order.
pub fn for_each_run<E: From<Error>>(
    bytes: &[u8],
    mut each: impl FnMut(Run<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let what = "content";
    let mut r = Reader::new(bytes, what);
    while r.position() < bytes.len() {
        let kind = r.take(1)?[0];
        if kind == 0 {
            each(Run::Failed)?;
            continue;
        }
        let length = take_varint(&mut r)?;
        match kind {
            _ if length == 0 => return Err(Error::Malformed { what, why: "a run is empty" }.into()),
            1 if length <= u64::from(u32::MAX) => each(Run::Hole(length as u32))?,
            2 if length <= RUN_LENGTH_MAX as u64 => each(Run::Data(r.take(length as usize)?))?,
            1 | 2 => return Err(Error::Malformed { what, why: "a run is too long" }.into()),
            _ => return Err(Error::Malformed { what, why: "a run is of an unknown kind" }.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{Content, Slice, TYPE_DIRECTORY, TYPE_FILE};

    #[test]
    fn plans_and_batches_come_back() {
        let plan = RestorePlan { target: b"/srv".to_vec(), flags: 0b10001 };
        assert_eq!(RestorePlan::decode(&plan.encode()), Ok(plan.clone()));
        assert!(plan.has("numeric_ids") && plan.has("dry_run") && !plan.has("acls"));
        assert!(RestorePlan::decode(&RestorePlan { flags: 1 << 5, ..plan }.encode()).is_err());
        let content = Content::Slices(vec![Slice { id: [7; 32], offset: 0, length: 9 }]);
        let file = Item { mode: TYPE_FILE | 0o644, size: 9, content, ..Item::default() };
        let mut bytes = Vec::new();
        put_restore_entry(&mut bytes, b"a/b", &file);
        let entries = decode_batch(&bytes).expect("a batch");
        assert_eq!(entries, [(b"a/b".to_vec(), Item { content: Content::default(), ..file })]);
        for length in 0..bytes.len() {
            assert!(decode_batch(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_batch_names_no_place_outside_and_brings_no_content() {
        let directory = Item { mode: TYPE_DIRECTORY, ..Item::default() };
        for path in [&b"../a"[..], b"/a", b"a/../b", b"a//b", b".", b"a\0"] {
            let mut bytes = Vec::new();
            put_restore_entry(&mut bytes, path, &directory);
            assert!(decode_batch(&bytes).is_err(), "{path:?}");
        }
        let mut bytes = Vec::new();
        put_restore_entry(&mut bytes, b"a", &Item { size: 1, ..directory });
        assert!(decode_batch(&bytes).is_err(), "a directory has no size");
        let file = Item { mode: TYPE_FILE, ..Item::default() };
        let mut bytes = Vec::new();
        (0..=BATCH_COUNT_MAX).for_each(|_| put_restore_entry(&mut bytes, b"a", &file));
        assert!(decode_batch(&bytes).is_err());
    }

    #[test]
    fn runs_come_back_and_answers_are_as_long_as_the_question() {
        let runs = [Run::Data(b"abc"), Run::Hole(1 << 31), Run::Failed, Run::Data(b"z")];
        let mut bytes = Vec::new();
        runs.iter().for_each(|run| run.put(&mut bytes));
        let mut found = 0;
        let read = for_each_run::<Error>(&bytes, |run| {
            assert_eq!(run, runs[found]);
            found += 1;
            Ok(())
        });
        assert_eq!((read, found), (Ok(()), runs.len()));
        for wrong in [&[2, 0][..], &[1, 0], &[3, 1], &[2, 5, 1]] {
            assert!(for_each_run::<Error>(wrong, |_| Ok(())).is_err(), "{wrong:?}");
        }
        assert_eq!(Verdict::decode_all(&[0, 6], 2), Ok(vec![Verdict::Same, Verdict::ReplacedByContent]));
        assert!(Verdict::decode_all(&[0], 2).is_err() && Verdict::decode_all(&[7], 1).is_err());
    }
}
