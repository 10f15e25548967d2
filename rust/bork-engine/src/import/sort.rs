//! Sorting more records than memory should hold: sorted runs in a scratch file, merged when they are read.
//!
//! A record has a path and a number, which are its order (tree order, then the number), and a value. Memory: one run
//! while records come in; one small buffer for each run while they are read, which is 1 MiB for 10 million items.

use bork_format::node::compare;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

/// Records of a run. Unit: bytes.
pub const RUN_LENGTH: usize = 32 << 20;
/// What is read of a run at a time. Unit: bytes.
const READ_LENGTH: usize = 32 << 10;
/// Path length, number, value length.
const HEAD_LENGTH: usize = 4 + 8 + 4;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// First part of the order.
    pub path: Vec<u8>,
    /// Second part of the order.
    pub number: u64,
    /// What it says.
    pub value: Vec<u8>,
}

impl Record {
    /// The order.
    pub fn order(&self, path: &[u8], number: u64) -> Ordering {
        compare(&self.path, path).then(self.number.cmp(&number))
    }
}

/// Takes records in any order.
pub struct Sorter {
    directory: Option<PathBuf>,
    run_length: usize,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    file: Option<File>,
    written: u64,
    runs: Vec<Range<u64>>,
}

impl Sorter {
    /// Without a directory all stays in memory.
    pub fn new(directory: Option<&Path>, run_length: usize) -> Self {
        let (directory, bytes, starts, runs) = (directory.map(Path::to_path_buf), Vec::new(), Vec::new(), Vec::new());
        Sorter { directory, run_length, bytes, starts, file: None, written: 0, runs }
    }

    /// One more record.
    pub fn push(&mut self, path: &[u8], number: u64, value: &[&[u8]]) -> io::Result<()> {
        let length: usize = value.iter().map(|part| part.len()).sum();
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        self.bytes.extend_from_slice(path);
        value.iter().for_each(|part| self.bytes.extend_from_slice(part));
        let is_full = self.bytes.len() + self.starts.len() * size_of::<usize>() >= self.run_length;
        if is_full && self.directory.is_some() { self.spill() } else { Ok(()) }
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.starts.sort_unstable_by(|one, other| {
            let ((path, number, _), (other_path, other_number, _)) = (parts(&bytes[*one..]), parts(&bytes[*other..]));
            compare(path, other_path).then(number.cmp(&other_number))
        });
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let file = match (&self.file, &self.directory) {
            (Some(file), _) => file,
            (None, Some(directory)) => self.file.insert(unnamed_file(directory)?),
            (None, None) => return Ok(()),
        };
        let start = self.written;
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        for start in &self.starts {
            let record = &self.bytes[*start..];
            out.write_all(&record[..record_length(record)])?;
        }
        out.flush()?;
        self.written += self.bytes.len() as u64;
        self.runs.push(start..self.written);
        self.bytes.clear();
        self.starts.clear();
        Ok(())
    }

    /// All records are there.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if !self.runs.is_empty() {
            self.spill()?;
            (self.bytes, self.starts) = (Vec::new(), Vec::new());
        }
        self.sort();
        Ok(Sorted { bytes: self.bytes, starts: self.starts, file: self.file, runs: self.runs })
    }
}

/// Records that can be read in order, as often as one wants.
pub struct Sorted {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    file: Option<File>,
    runs: Vec<Range<u64>>,
}

impl Sorted {
    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.runs.is_empty()
    }

    /// Reads from the first record on.
    pub fn read(&self) -> io::Result<Merge<'_>> {
        let mut merge =
            Merge { sorted: self, next_in_memory: 0, runs: Vec::new(), heads: BinaryHeap::new(), peeked: None };
        for (number, run) in self.runs.iter().enumerate() {
            merge.runs.push(Run { left: run.clone(), buffer: Vec::new(), at: 0 });
            merge.pull(number)?;
        }
        Ok(merge)
    }
}

struct Run {
    left: Range<u64>,
    buffer: Vec<u8>,
    at: usize,
}

impl Run {
    /// Makes `length` bytes available; false at the end of the run.
    fn fill(&mut self, file: &File, length: usize) -> io::Result<bool> {
        if self.buffer.len() - self.at >= length {
            return Ok(true);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let have = self.buffer.len();
        let wanted = (length.max(READ_LENGTH) - have).min((self.left.end - self.left.start) as usize);
        self.buffer.resize(have + wanted, 0);
        file.read_exact_at(&mut self.buffer[have..], self.left.start)?;
        self.left.start += wanted as u64;
        Ok(self.buffer.len() >= length)
    }

    fn next(&mut self, file: &File) -> io::Result<Option<Record>> {
        if !self.fill(file, HEAD_LENGTH)? {
            return Ok(None);
        }
        let length = record_length(&self.buffer[self.at..]);
        self.fill(file, length)?;
        let record = owned(&self.buffer[self.at..self.at + length]);
        self.at += length;
        Ok(Some(record))
    }
}

struct Head(Record, usize);

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its greatest first.
        other.0.order(&self.0.path, self.0.number).then(other.1.cmp(&self.1))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// All records in order.
pub struct Merge<'a> {
    sorted: &'a Sorted,
    next_in_memory: usize,
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
    peeked: Option<Record>,
}

impl Merge<'_> {
    fn pull(&mut self, number: usize) -> io::Result<()> {
        let Some(file) = &self.sorted.file else { return Ok(()) };
        if let Some(record) = self.runs[number].next(file)? {
            self.heads.push(Head(record, number));
        }
        Ok(())
    }

    /// The next record stays where it is.
    pub fn peek(&mut self) -> io::Result<Option<&Record>> {
        if self.peeked.is_none() {
            self.peeked = self.next_record()?;
        }
        Ok(self.peeked.as_ref())
    }

    /// The next record, or `None` at the end.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        if let Some(record) = self.peeked.take() {
            return Ok(Some(record));
        }
        if let Some(start) = self.sorted.starts.get(self.next_in_memory) {
            self.next_in_memory += 1;
            let record = &self.sorted.bytes[*start..];
            return Ok(Some(owned(&record[..record_length(record)])));
        }
        let Some(Head(record, number)) = self.heads.pop() else { return Ok(None) };
        self.pull(number)?;
        Ok(Some(record))
    }
}

fn parts(record: &[u8]) -> (&[u8], u64, &[u8]) {
    let number = |at: usize, width: usize| {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(&record[at..at + width]);
        u64::from_le_bytes(bytes)
    };
    let (path, value) = record[HEAD_LENGTH..].split_at(number(0, 4) as usize);
    (path, number(4, 8), &value[..number(12, 4) as usize])
}

fn record_length(record: &[u8]) -> usize {
    let length = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&record[at..at + 4]);
        u32::from_le_bytes(bytes) as usize
    };
    HEAD_LENGTH + length(0) + length(12)
}

fn owned(record: &[u8]) -> Record {
    let (path, number, value) = parts(record);
    Record { path: path.to_vec(), number, value: value.to_vec() }
}

/// A file that is gone with this process.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Atomic::Relaxed);
    let path = directory.join(format!("scratch-{}-sort-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_out_in_order_whatever_the_length_of_a_run(
            records in prop::collection::vec(("[a/b]{0,6}", any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)), 0..200),
            run_length in 1_usize..4000, spills in any::<bool>(),
        ) {
            let scratch = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(spills.then_some(scratch.path()), run_length);
            let mut expected: Vec<Record> = Vec::new();
            for (path, number, value) in records {
                sorter.push(path.as_bytes(), number, &[&value[..value.len() / 2], &value[value.len() / 2..]]).unwrap();
                expected.push(Record { path: path.into_bytes(), number, value });
            }
            expected.sort_by(|one, other| one.order(&other.path, other.number));
            let sorted = sorter.finish().unwrap();
            prop_assert_eq!(sorted.is_empty(), expected.is_empty());
            for _ in 0..2 {
                let mut merge = sorted.read().unwrap();
                prop_assert_eq!(merge.peek().unwrap(), expected.first());
                let mut found = Vec::new();
                while let Some(record) = merge.next_record().unwrap() {
                    found.push(record);
                }
                // Records of the same order may come in any order; their keys cannot tell.
                let keys = |records: &[Record]| records.iter().map(|r| (r.path.clone(), r.number)).collect::<Vec<_>>();
                prop_assert_eq!(keys(&found), keys(&expected));
                let mut values: Vec<&Vec<u8>> = found.iter().map(|record| &record.value).collect();
                let mut wanted: Vec<&Vec<u8>> = expected.iter().map(|record| &record.value).collect();
                values.sort();
                wanted.sort();
                prop_assert_eq!(values, wanted);
            }
        }
    }
}
