//! Large files past the page cache.
//!
//! Writing through the page cache was seven times slower than `O_DIRECT` where it was measured (limits.md), and it
//! evicts what the user's own programs had cached. `O_DIRECT` wants memory, file position and length aligned; the
//! chunks of a file are not. So a chunk lies in an [`AlignedBuffer`] at the place where memory and file agree modulo
//! 4096 ([`congruent_start`]); its aligned middle is written directly, and its two edges, less than a page each, through
//! the page cache by a second descriptor. No page is ever written both ways, so different threads may write different
//! chunks of one file at once. Where a file system refuses `O_DIRECT`, everything goes the ordinary way.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::metadata::xattr::{proc_is_mounted, proc_path};

/// Alignment of memory and file positions. Every disk of 512 or 4096 byte sectors takes it. Unit: bytes.
pub const ALIGNMENT: usize = 4096;

/// Shorter middles go through the page cache: a direct write waits for the disk. Unit: bytes.
const DIRECT_LENGTH_MIN: usize = 64 * 1024;

/// Reusable memory that starts at a multiple of [`ALIGNMENT`].
#[derive(Debug)]
pub struct AlignedBuffer {
    allocation: NonNull<u8>,
    memory: NonNull<u8>,
    capacity: usize,
    length: usize,
}

// SAFETY: the buffer owns its memory alone, as a Vec<u8> does.
unsafe impl Send for AlignedBuffer {}
// SAFETY: a shared reference gives out shared slices only.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// An empty buffer of at least `capacity` bytes, rounded up to whole pages of 4096, all zero.
    ///
    /// # Panics
    /// When the capacity exceeds `isize::MAX`. Without memory the process ends, as with a `Vec`.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).checked_next_multiple_of(ALIGNMENT).expect("a capacity fits into memory");
        let layout = layout(capacity);
        // SAFETY: the layout has a size of more than one page.
        let allocation = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        let skip = allocation.as_ptr().align_offset(ALIGNMENT);
        // SAFETY: `skip` is below one page, by which the allocation is longer than the capacity.
        let memory = unsafe { allocation.add(skip) };
        AlignedBuffer { allocation, memory, capacity, length: 0 }
    }

    /// Most bytes that it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no bytes are in use.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Declares the first `length` bytes in use; bytes that come into use keep what they last held, at first zeros.
    ///
    /// # Panics
    /// When `length` exceeds the capacity.
    pub fn set_len(&mut self, length: usize) {
        assert!(length <= self.capacity, "length {length} exceeds the capacity {}", self.capacity);
        self.length = length;
    }

    /// The bytes in use.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `length <= capacity` bytes are allocated and were initialized with zeros.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// The bytes in use, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and the exclusive reference excludes all others.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// When they exceed the capacity: the buffer never moves.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let start = self.length;
        self.set_len(start.checked_add(bytes.len()).expect("a length fits into memory"));
        self.as_mut_slice()[start..].copy_from_slice(bytes);
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout, and freed nowhere else.
        unsafe { dealloc(self.allocation.as_ptr(), layout(self.capacity)) }
    }
}

/// One page more than the capacity, without an alignment of its own: an allocator clears aligned memory by hand, which
/// touches all of it, but gets unaligned memory cleared, and untouched, from the system.
fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity + ALIGNMENT, 16).expect("a capacity is at most isize::MAX")
}

/// Where in an [`AlignedBuffer`] a chunk must start that belongs at `offset` of its file: 0 to 4095.
pub fn congruent_start(offset: u64) -> usize {
    (offset % ALIGNMENT as u64) as usize
}

/// A file open twice: ordinarily, and with `O_DIRECT` if it can be.
#[derive(Debug)]
pub struct LargeFile {
    file: OwnedFd,
    direct: Option<OwnedFd>,
    refused: AtomicBool,
}

impl LargeFile {
    /// Opens the file behind a writable descriptor once more with `O_DIRECT`. The way leads through `/proc/self/fd`,
    /// so it is the same file whatever its name means by now. Without `/proc`, without the right to open it, or with
    /// pages larger than 4096 bytes (edges and middle would share one), all writes are ordinary ones.
    pub fn new(file: OwnedFd) -> Self {
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let direct = (rustix::param::page_size() == ALIGNMENT && proc_is_mounted())
            .then(|| rustix::fs::open(proc_path(file.as_fd()), flags, Mode::empty()).ok())
            .flatten();
        LargeFile { file, direct, refused: AtomicBool::new(false) }
    }

    /// The ordinary descriptor.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether direct writes are possible, as far as known.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && !self.refused.load(Ordering::Relaxed)
    }

    /// Writes the aligned middle; returns how many bytes of it are written, the rest is for the ordinary way.
    fn write_middle(&self, offset: u64, middle: &[u8]) -> io::Result<usize> {
        let Some(direct) = self.direct.as_ref().filter(|_| self.is_direct()) else { return Ok(0) };
        let mut done = 0;
        while done < middle.len() && done % ALIGNMENT == 0 {
            match rustix::io::pwrite(direct, &middle[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                    self.refused.store(true, Ordering::Relaxed);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

impl From<LargeFile> for OwnedFd {
    fn from(large: LargeFile) -> OwnedFd {
        large.file
    }
}

/// Writes a chunk at `offset` of the file. It is fast when the memory of `chunk` is congruent with `offset` modulo
/// [`ALIGNMENT`], and correct in any case. Threads may call it at once for parts that do not overlap.
///
/// # Errors
/// Those of `pwrite`; a part of the chunk may be written then.
pub fn write_chunk(file: &LargeFile, offset: u64, chunk: &[u8]) -> io::Result<()> {
    let head = (ALIGNMENT - congruent_start(offset)) % ALIGNMENT;
    let congruent = chunk.as_ptr() as usize % ALIGNMENT == congruent_start(offset);
    if !congruent || !file.is_direct() || chunk.len() < head + DIRECT_LENGTH_MIN {
        return write_at(file.file(), offset, chunk);
    }
    let middle_length = (chunk.len() - head) / ALIGNMENT * ALIGNMENT;
    let middle = &chunk[head..head + middle_length];
    write_at(file.file(), offset, &chunk[..head])?;
    let done = head + file.write_middle(offset + head as u64, middle)?;
    write_at(file.file(), offset + done as u64, &chunk[done..])
}

/// Writes all of `bytes` at `offset`, however many calls it takes.
///
/// # Errors
/// Those of `pwrite`, and [`io::ErrorKind::WriteZero`]; a part may be written then.
pub fn write_at(file: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => {
                bytes = &bytes[length..];
                offset += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    /// Places of chunks that are aligned nowhere, and the bytes of the whole.
    fn pattern(lengths: &[usize]) -> (Vec<(u64, usize)>, Vec<u8>) {
        let mut places = Vec::new();
        let mut offset = 0;
        for length in lengths {
            places.push((offset as u64, *length));
            offset += length;
        }
        (places, (0..offset).map(|i| (i * 31 % 251) as u8).collect())
    }

    fn write_by_threads(file: &LargeFile, places: &[(u64, usize)], data: &[u8]) {
        std::thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || {
                    let mut buffer = AlignedBuffer::new(ALIGNMENT + 2_000_000);
                    for (offset, length) in places.iter().skip(half).step_by(2).rev() {
                        let start = congruent_start(*offset);
                        buffer.set_len(start + length);
                        let at = *offset as usize;
                        buffer.as_mut_slice()[start..].copy_from_slice(&data[at..at + length]);
                        write_chunk(file, *offset, &buffer.as_slice()[start..]).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn chunks_of_any_alignment_written_by_two_threads_make_the_same_file() {
        let (places, data) = pattern(&[1_000_001, 4095, 1, 70_000, 524_288, 1_999_999, 4096, 65_536 + 4095, 12_345]);
        for scratch in [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()] {
            let path = scratch.path().join("f");
            let file = std::fs::File::create_new(&path).unwrap();
            let large = LargeFile::new(file.into());
            eprintln!("{}: direct writes: {}", path.display(), large.is_direct());
            write_by_threads(&large, &places, &data);
            assert!(std::fs::read(&path).unwrap() == data);
        }
    }

    #[test]
    fn without_a_direct_descriptor_everything_is_written_the_ordinary_way() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        let file: OwnedFd = std::fs::File::create_new(&path).unwrap().into();
        let (places, data) = pattern(&[100_000, 200_000]);
        let large = LargeFile { file, direct: None, refused: AtomicBool::new(false) };
        write_by_threads(&large, &places, &data);
        assert!(std::fs::read(&path).unwrap() == data);
    }

    #[test]
    fn a_refusal_in_the_middle_of_a_file_falls_back_and_is_remembered() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        let file: OwnedFd = std::fs::File::create_new(&path).unwrap().into();
        // This file of the kernel answers EINVAL to bytes that are no number, as a file system does that cannot.
        let refusing: OwnedFd = match std::fs::OpenOptions::new().write(true).open("/proc/self/coredump_filter") {
            Ok(file) => file.into(),
            Err(error) => return eprintln!("skipped: no coredump_filter: {error}"),
        };
        let large = LargeFile { file, direct: Some(refusing), refused: AtomicBool::new(false) };
        let mut buffer = AlignedBuffer::new(1 << 20);
        buffer.extend_from_slice(&[9; 1 << 20]);
        write_chunk(&large, 0, buffer.as_slice()).unwrap();
        assert!(!large.is_direct());
        assert!(std::fs::read(&path).unwrap() == buffer.as_slice());
    }

    #[test]
    fn memory_that_is_not_congruent_is_still_written_correctly() {
        let scratch = tempfile::tempdir().unwrap();
        let file = std::fs::File::create_new(scratch.path().join("f")).unwrap();
        let large = LargeFile::new(file.try_clone().unwrap().into());
        let mut buffer = AlignedBuffer::new(300_000);
        buffer.extend_from_slice(&[5; 300_000]);
        write_chunk(&large, 77, &buffer.as_slice()[3..]).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 77 + 299_997);
        let mut byte = [0];
        std::fs::File::open(scratch.path().join("f")).unwrap().read_exact_at(&mut byte, 77 + 299_996).unwrap();
        assert_eq!(byte, [5]);
    }

    #[test]
    fn a_buffer_is_aligned_zeroed_and_never_longer_than_its_capacity() {
        let mut buffer = AlignedBuffer::new(5000);
        assert_eq!((buffer.capacity(), buffer.len(), buffer.is_empty()), (8192, 0, true));
        buffer.set_len(8192);
        assert!(buffer.as_slice().iter().all(|byte| *byte == 0));
        assert_eq!(buffer.as_slice().as_ptr() as usize % ALIGNMENT, 0);
        let full = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| buffer.extend_from_slice(b"x")));
        assert!(full.is_err());
        assert_eq!(AlignedBuffer::new(0).capacity(), ALIGNMENT);
        fn assert_send<T: Send + Sync>() {}
        assert_send::<AlignedBuffer>();
    }

    #[test]
    fn a_chunk_must_start_where_the_file_does_modulo_a_page() {
        assert_eq!([0, 1, 4095, 4096, 8193].map(congruent_start), [0, 1, 4095, 0, 1]);
    }
}
