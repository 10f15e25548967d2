//! Reading a tar stream, member by member. Strict: what is not understood for certain ends the run, because a member
//! that is lost would not be missed by anybody.

use super::header::{Header, at, checksum, kind, take_number};
use super::records::{Globals, Records};
use super::sparse::Region;
use super::{BLOCK, padding, pax};
use std::io::{self, Read};

/// Longest extended header. Unit: bytes. An item may be 16 MiB long, and BORG says most of it twice.
const EXTENDED_MAX: u64 = 48 << 20;
/// Most regions of a sparse file: 64 MiB of memory.
const REGIONS_MAX: usize = 4 << 20;
/// What is read at a time while members are small. Unit: bytes.
const BUFFER: usize = 256 << 10;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It does not end as a tar stream has to.
    #[error("it ends too early, after {0} bytes: the blocks that end every tar file are missing")]
    Truncated(u64),
    /// It is no tar stream, or damaged.
    #[error("it is damaged, or no tar file, at byte {at}: {why}")]
    Malformed {
        /// First byte of the block in question.
        at: u64,
        /// One clause.
        why: String,
    },
    /// The system reported an error.
    #[error("read: {0}")]
    Io(#[from] io::Error),
}

/// A member up to its data.
pub struct Member {
    /// Its header.
    pub header: Header,
    /// Kind of member.
    pub kind: u8,
    /// Path as the stream has it, long ones included.
    pub path: Vec<u8>,
    /// Target of a link.
    pub target: Vec<u8>,
    /// Records that hold for it.
    pub records: Records,
    /// Length of its data in the stream, without the map of a sparse file. Unit: bytes.
    pub data: u64,
    /// Length of the file, and where its data belongs, if it has holes.
    pub sparse: Option<(u64, Vec<Region>)>,
}

/// Reads members and their data, in turns.
pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer is not read yet.
    unread: std::ops::Range<usize>,
    position: u64,
    /// Data of the current member that nobody has read, and its padding.
    left: u64,
    padding: u64,
    globals: Globals,
    ignore_zeros: bool,
}

/// What stands before a member and belongs to it.
#[derive(Default)]
struct Before {
    records: Records,
    /// Pairs of an old sparse format, which repeats keys.
    pairs: Vec<u64>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Starts. `ignore_zeros`: blocks of zeros do not end the stream, its end does; some have to stand there.
    pub fn new(source: R, ignore_zeros: bool) -> Self {
        let (buffer, globals) = (vec![0; BUFFER], Globals::default());
        Reader { source, buffer, unread: 0..0, position: 0, left: 0, padding: 0, globals, ignore_zeros }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next member, or `None` at the end of the stream.
    pub fn next_member(&mut self) -> Result<Option<Member>, Fault> {
        self.skip_data()?;
        let mut before = Before::default();
        loop {
            let Some(header) = self.header()? else {
                return if before.is_empty() {
                    Ok(None)
                } else {
                    Err(self.malformed("a member ends after its first part"))
                };
            };
            let size = header.size().ok_or_else(|| self.malformed("a size that is no number"))?;
            match header.0[at::KIND] {
                kind::PAX | b'X' => self.local_records(size, &mut before)?,
                kind::PAX_GLOBAL => self.global_records(size)?,
                kind::LONG_NAME => before.long_name = Some(self.long_text(size)?),
                kind::LONG_LINK => before.long_link = Some(self.long_text(size)?),
                _ => return self.member(header, before).map(Some),
            }
        }
    }

    /// Reads data of the current member into a part of `out`; 0 at its end.
    pub fn read_data(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        let wanted = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = if self.unread.is_empty() && wanted >= BUFFER {
            retry(|| self.source.read(&mut out[..wanted]))?
        } else {
            self.fill()?;
            let count = wanted.min(self.unread.len());
            out[..count].copy_from_slice(&self.buffer[self.unread.start..][..count]);
            self.unread.start += count;
            count
        };
        if count == 0 {
            return Err(Fault::Truncated(self.position));
        }
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }

    /// Reads what is behind the end of the stream; whether anything but zeros is there.
    pub fn drain(&mut self) -> Result<bool, Fault> {
        let mut more = false;
        loop {
            self.fill()?;
            if self.unread.is_empty() {
                return Ok(more);
            }
            more |= self.buffer[self.unread.clone()].iter().any(|byte| *byte != 0);
            self.unread = 0..0;
        }
    }

    fn malformed(&self, why: impl Into<String>) -> Fault {
        Fault::Malformed { at: self.position.saturating_sub(BLOCK as u64), why: why.into() }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.unread.is_empty() {
            let count = retry(|| self.source.read(&mut self.buffer))?;
            self.unread = 0..count;
        }
        Ok(())
    }

    /// One block, or `None` where the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        let (mut block, mut filled) = ([0; BLOCK], 0);
        while filled < BLOCK {
            self.fill()?;
            if self.unread.is_empty() {
                return if filled == 0 { Ok(None) } else { Err(Fault::Truncated(self.position)) };
            }
            let count = self.unread.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&self.buffer[self.unread.start..][..count]);
            self.unread.start += count;
            self.position += count as u64;
            filled += count;
        }
        Ok(Some(block))
    }

    fn some_block(&mut self) -> Result<[u8; BLOCK], Fault> {
        self.block()?.ok_or(Fault::Truncated(self.position))
    }

    /// The next header, or `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let mut zeros = 0;
        loop {
            let Some(block) = self.block()? else {
                return if self.ignore_zeros && zeros >= 2 { Ok(None) } else { Err(Fault::Truncated(self.position)) };
            };
            if block == [0; BLOCK] {
                zeros += 1;
                if zeros == 2 && !self.ignore_zeros {
                    return Ok(None);
                }
                continue;
            }
            if zeros > 0 && !self.ignore_zeros {
                return Err(self.malformed("a lone block of zeros (see --ignore-zeros)"));
            }
            if take_number(&block[at::CHECKSUM]) != Some(checksum(&block).into()) {
                return Err(self.malformed("the checksum of a header is wrong"));
            }
            return Ok(Some(Header(block)));
        }
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        if size > EXTENDED_MAX {
            return Err(self.malformed("an extended header is too long"));
        }
        self.left = size;
        self.padding = padding(size) as u64;
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.read_data(&mut piece)? {
                0 => break,
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
        self.skip_data()?;
        Ok(bytes)
    }

    fn long_text(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let bytes = self.extended(size)?;
        Ok(until_zero(&bytes).to_vec())
    }

    fn local_records(&mut self, size: u64, before: &mut Before) -> Result<(), Fault> {
        let bytes = self.extended(size)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (key, value, behind) = pax::take(rest).ok_or_else(|| self.malformed("a broken record"))?;
            rest = behind;
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                before.pairs.push(decimal(value).ok_or_else(|| self.malformed("a broken sparse map"))?);
            }
            before.records.insert(key, value);
        }
        Ok(())
    }

    fn global_records(&mut self, size: u64) -> Result<(), Fault> {
        let bytes = self.extended(size)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (key, value, behind) = pax::take(rest).ok_or_else(|| self.malformed("a broken record"))?;
            rest = behind;
            if key != b"comment" && self.globals.insert(key, value).is_none() {
                return Err(self.malformed("more than 1 MiB of global records"));
            }
        }
        Ok(())
    }

    fn member(&mut self, header: Header, before: Before) -> Result<Member, Fault> {
        let Before { records, pairs, long_name, long_link } = before;
        let records = records.before(&self.globals);
        let mut size = header.size().ok_or_else(|| self.malformed("a size that is no number"))?;
        if let Some(text) = records.get(b"size") {
            size = decimal(text).ok_or_else(|| self.malformed("a size that is no number"))?;
        }
        let named = |key: &[u8]| records.get(key).map(<[u8]>::to_vec);
        let path = named(b"GNU.sparse.name").or(named(b"path")).or(long_name).unwrap_or_else(|| header.path());
        let target = named(b"linkpath").or(long_link).unwrap_or_else(|| until_zero(&header.0[at::LINK]).to_vec());
        let mut kind = header.0[at::KIND];
        if matches!(kind, 0 | kind::FILE | kind::CONTIGUOUS) {
            // Before 1988 a slash at the end was all that told a directory from a file.
            kind = if kind == 0 && path.ends_with(b"/") { kind::DIRECTORY } else { kind::FILE };
        }
        // What has no data by its kind may have a number there all the same.
        let has_none = matches!(
            kind,
            kind::HARD_LINK
                | kind::SYMLINK
                | kind::CHARACTER_DEVICE
                | kind::BLOCK_DEVICE
                | kind::DIRECTORY
                | kind::FIFO
        );
        self.left = if has_none { 0 } else { size };
        self.padding = padding(self.left) as u64;
        let sparse = match kind {
            kind::SPARSE => Some(self.gnu_map(&header)?),
            kind::FILE => self.pax_map(&records, &pairs)?,
            _ => None,
        };
        if let Some((length, regions)) = &sparse {
            self.check_map(*length, regions)?;
        }
        Ok(Member { header, kind, path, target, records, data: self.left, sparse })
    }

    fn gnu_map(&mut self, header: &Header) -> Result<(u64, Vec<Region>), Fault> {
        let real = unsigned(&header.0[at::REAL_SIZE]).ok_or_else(|| self.malformed("a broken sparse map"))?;
        let mut regions = Vec::new();
        take_regions(&header.0[at::SPARSE], &mut regions).ok_or_else(|| self.malformed("a broken sparse map"))?;
        let mut more = header.0[at::SPARSE_MORE] != 0;
        while more {
            let block = self.some_block()?;
            take_regions(&block[..504], &mut regions).ok_or_else(|| self.malformed("a broken sparse map"))?;
            more = block[504] != 0;
            if regions.len() > REGIONS_MAX {
                return Err(self.malformed("a file with too many holes"));
            }
        }
        Ok((real, regions))
    }

    /// The map of a sparse file in the three ways that GNU tar has written it with records.
    fn pax_map(&mut self, records: &Records, pairs: &[u64]) -> Result<Option<(u64, Vec<Region>)>, Fault> {
        let bad = |reader: &Self| reader.malformed("a broken sparse map");
        let number = |key: &[u8]| records.get(key).map(decimal);
        let size = number(b"GNU.sparse.realsize").or(number(b"GNU.sparse.size"));
        let major = number(b"GNU.sparse.major").flatten().unwrap_or(0);
        let Some(size) = size else { return Ok(None) };
        let size = size.ok_or_else(|| bad(self))?;
        if major == 1 {
            return Ok(Some((size, self.map_in_data()?)));
        }
        if major > 1 {
            return Err(self.malformed("a sparse file of an unknown version"));
        }
        let from_map = records.get(b"GNU.sparse.map").map(|text| {
            if text.is_empty() { Some(Vec::new()) } else { text.split(|byte| *byte == b',').map(decimal).collect() }
        });
        let numbers = match from_map {
            Some(numbers) => numbers.ok_or_else(|| bad(self))?,
            None => pairs.to_vec(),
        };
        if numbers.len() % 2 != 0 || numbers.len() > 2 * REGIONS_MAX {
            return Err(bad(self));
        }
        Ok(Some((size, numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect())))
    }

    /// Version 1.0: decimal lines at the beginning of the data.
    fn map_in_data(&mut self) -> Result<Vec<Region>, Fault> {
        let (mut numbers, mut line, mut count) = (Vec::new(), Vec::new(), None);
        while count.is_none_or(|count| numbers.len() < count) {
            if self.left < BLOCK as u64 {
                return Err(self.malformed("a broken sparse map"));
            }
            let block = self.some_block()?;
            self.left -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    if line.len() > 20 {
                        return Err(self.malformed("a broken sparse map"));
                    }
                    continue;
                }
                let number = decimal(&line).ok_or_else(|| self.malformed("a broken sparse map"))?;
                line.clear();
                match count {
                    None if number > REGIONS_MAX as u64 => return Err(self.malformed("a file with too many holes")),
                    None => count = Some(2 * number as usize),
                    Some(_) => numbers.push(number),
                }
                if count.is_some_and(|count| numbers.len() == count) {
                    break;
                }
            }
        }
        Ok(numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn check_map(&self, size: u64, regions: &[Region]) -> Result<(), Fault> {
        let (mut end, mut data) = (0_u64, 0_u64);
        for (start, length) in regions {
            let next = start.checked_add(*length).filter(|next| *start >= end && *next <= size);
            end = next.ok_or_else(|| self.malformed("a broken sparse map"))?;
            data += length;
        }
        if data == self.left { Ok(()) } else { Err(self.malformed("a sparse map that does not fit its data")) }
    }

    fn skip_data(&mut self) -> Result<(), Fault> {
        self.left += std::mem::take(&mut self.padding);
        let mut nowhere = vec![0; if self.left > 0 { self.left.min(BUFFER as u64) as usize } else { 0 }];
        while self.read_data(&mut nowhere)? > 0 {}
        Ok(())
    }
}

impl Before {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl Header {
    fn size(&self) -> Option<u64> {
        unsigned(&self.0[at::SIZE])
    }

    /// Path from name and prefix. GNU has other things where POSIX has the prefix.
    fn path(&self) -> Vec<u8> {
        let name = until_zero(&self.0[at::NAME]);
        let prefix = until_zero(&self.0[at::PREFIX]);
        let is_posix = self.0[at::MAGIC].starts_with(b"ustar\0");
        if is_posix && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
    }
}

fn take_regions(fields: &[u8], regions: &mut Vec<Region>) -> Option<()> {
    for fields in fields.chunks(24) {
        if fields[0] == 0 {
            return Some(()); // not used
        }
        regions.push((unsigned(&fields[..12])?, unsigned(&fields[12..])?));
    }
    Some(())
}

fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(take_number(field)?).ok().filter(|number| *number <= i64::MAX as u64)
}

/// A number of a record.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let number: u64 =
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

/// The bytes before the first zero.
pub fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
