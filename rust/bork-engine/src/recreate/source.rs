//! The items of the archive, in order: what is kept goes to the workers, everything gets its line.

use super::Recreating;
use super::tags::{Tagged, Verdict};
use super::work::Piece;
use crate::error::EngineError;
use crate::port::{Event, send};
use crate::tree::LeafStream;
use bork_core::pattern::Decision;
use bork_core::seam::Stop;
use bork_format::item::{
    Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK,
};
use bork_format::node::{LeafReader, compare};
use crossbeam_channel::Sender;
use std::cmp::Ordering;
use std::sync::OnceLock;

/// Bytes of status lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;
/// A unit is complete at this many items, or bytes of bodies, or bytes of content that is to be read.
const UNIT_ITEMS: usize = 256;
const UNIT_BODIES: usize = 256 << 10;
const UNIT_CONTENT: u64 = 16 << 20;

/// A run of items in tree order.
pub struct Unit {
    /// Counts up from 0 without gaps.
    pub sequence: u64,
    /// At least one.
    pub pieces: Vec<Piece>,
}

/// Calls `each` with path and body of every item. A node that cannot be read ends the run: nobody can say what was in
/// it, and nothing may be left out unsaid.
pub fn for_each(shared: &Recreating, mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Stop>) -> Result<(), Stop> {
    let port = &shared.half.port;
    let mut stream = LeafStream::new(shared.reader(), shared.plan.root, None);
    let mut last: Option<Vec<u8>> = None;
    while let Some(leaf) = stream.next_leaf().map_err(|error| port.fail(error))? {
        if port.is_stopped() {
            return Err(Stop);
        }
        let mut reader = LeafReader::new(&leaf).map_err(|error| port.fail(error.into()))?;
        while let Some(body) = reader.advance().map_err(|error| port.fail(error.into()))? {
            if let Some(last) = last.take()
                && compare(&last, reader.path()) != Ordering::Less
            {
                return Err(port.fail(EngineError::damaged("tree", "its leaves are not in order")));
            }
            each(reader.path(), body)?;
        }
        last = Some(reader.into_path()).filter(|path| !path.is_empty());
    }
    Ok(())
}

/// How a path is shown, and what patterns see: the root of the archive is `.`.
pub fn shown(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Runs.
pub fn run(shared: &Recreating, units: &Sender<Unit>, window: &Sender<()>, total: &OnceLock<u64>) -> Result<(), Stop> {
    let tagged = Tagged::find(shared)?;
    let mut source =
        Source { shared, units, window, lines: Vec::new(), pieces: Vec::new(), weight: (0, 0), sequence: 0 };
    for_each(shared, |path, body| source.item(path, body, &tagged))?;
    source.flush_unit()?;
    source.flush_lines()?;
    for pattern in shared.plan.filter.paths.never_matched() {
        shared.half.port.emit(Event::Problem("never_matched", pattern, String::new()))?;
    }
    let _ = total.set(source.sequence);
    Ok(())
}

struct Source<'a> {
    shared: &'a Recreating,
    units: &'a Sender<Unit>,
    window: &'a Sender<()>,
    lines: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes of bodies, and of content, of the pieces.
    weight: (usize, u64),
    sequence: u64,
}

impl Source<'_> {
    fn item(&mut self, path: &[u8], body: &[u8], tagged: &Tagged) -> Result<(), Stop> {
        let plan = &self.shared.plan;
        let is_kept = is_kept(self.shared, path, tagged);
        if !is_kept && plan.lines.is_none() {
            return Ok(());
        }
        let item = Item::decode(body).map_err(|error| self.shared.half.port.fail(error.into()))?;
        if let Some(format) = &plan.lines {
            let status = if !is_kept {
                b'x'
            } else if plan.dry_run {
                b'-'
            } else {
                letter(&item)
            };
            format.write(status, shown(path), &mut self.lines);
            if self.lines.len() >= LINES_LENGTH {
                self.flush_lines()?;
            }
        }
        if !is_kept || plan.dry_run {
            return Ok(());
        }
        self.weight.0 += path.len() + body.len();
        self.weight.1 += item.size;
        self.pieces.push(Piece { path: path.to_vec(), body: body.to_vec(), item });
        let (bodies, content) = self.weight;
        let is_complete = self.pieces.len() >= UNIT_ITEMS || bodies >= UNIT_BODIES || content >= UNIT_CONTENT;
        if is_complete { self.flush_unit() } else { Ok(()) }
    }

    fn flush_unit(&mut self) -> Result<(), Stop> {
        if self.pieces.is_empty() {
            return Ok(());
        }
        let unit = Unit { sequence: self.sequence, pieces: std::mem::take(&mut self.pieces) };
        self.weight = (0, 0);
        self.sequence += 1;
        send(self.window, (), &self.shared.half.port)?;
        send(self.units, unit, &self.shared.half.port)
    }

    fn flush_lines(&mut self) -> Result<(), Stop> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.shared.half.port.emit(Event::Lines(std::mem::take(&mut self.lines)))
    }
}

/// A path that is given decides before a tag; a tag before a directory that is given: it is there to leave out parts.
fn is_kept(shared: &Recreating, path: &[u8], tagged: &Tagged) -> bool {
    let filter = &shared.plan.filter;
    let is_wanted = filter.wants(shown(path));
    match tagged.verdict(path) {
        Verdict::Untagged => is_wanted,
        Verdict::Kept => is_wanted,
        Verdict::LeftOut => is_wanted && filter.patterns.decide(shown(path)) == Decision::Include,
    }
}

/// The letter that `create` gives an item of this type.
fn letter(item: &Item) -> u8 {
    match item.file_type() {
        TYPE_FILE => b'A',
        TYPE_DIRECTORY => b'd',
        TYPE_SYMLINK => b's',
        TYPE_FIFO => b'f',
        TYPE_BLOCK_DEVICE => b'b',
        TYPE_CHARACTER_DEVICE => b'c',
        _ => b'?',
    }
}
