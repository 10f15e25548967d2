//! `export-tar`: the wanted items as a tar stream.
//!
//! The blocks that end the stream are written after all else has succeeded. A run that fails stops inside a block.

use super::Reading;
use super::items::{for_each, for_each_slice, object_reader, refuse};
use super::lines::Lines;
use super::stream::{Emit, Stream, shown};
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::port::Event;
use crate::tar::member::Member;
use crate::tar::sparse::{Blocks, HEADER_REGIONS, Region, Regions, Survey, region_text};
use crate::tar::{END, Format, RECORD, padding};
use bork_core::seam::Stop;
use bork_format::item::{Content, Item};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Export<'a> {
    reading: &'a Arc<Reading>,
    format: Format,
    stream: Stream,
    lists: ObjectReader,
    /// First names of hard links, with the number of names still to come.
    links: HashMap<u64, (Vec<u8>, u32)>,
    lines: Lines,
    length: u64,
}

/// Runs.
pub fn run(reading: &Arc<Reading>, format: Format) -> Result<(), Stop> {
    let mut export = Export {
        reading,
        format,
        stream: Stream::start(reading, Pieces { reading: Arc::clone(reading), out: Vec::new(), emitted: 0 }, false)?,
        lists: object_reader(reading),
        links: HashMap::new(),
        lines: Lines::default(),
        length: 0,
    };
    for_each(reading, refuse, |path, item| {
        let Some(stripped) = super::strip(path, reading.plan.strip_components) else { return Ok(()) };
        reading.items.fetch_add(1, Ordering::Relaxed);
        export.lines.note(reading, path)?;
        export.item(stripped, &item).map_err(|error| match error {
            EngineError::Cancelled => Stop,
            error => reading.port.fail(EngineError::damaged(shown(path), error.to_string())),
        })
    })?;
    export.lines.flush(reading)?;
    export.finish()
}

impl Export<'_> {
    fn item(&mut self, path: &[u8], item: &Item) -> Result<(), EngineError> {
        let link = self.link_again(path, item);
        let survey = if link.is_none() { self.survey(item)? } else { Survey::default() };
        let mut head = Vec::with_capacity(1024);
        Member { path, item, link: link.as_deref(), survey: &survey }.encode(self.format, &mut head);
        self.bytes(&head)?;
        if survey.size == 0 {
            return Ok(());
        }
        if survey.is_sparse() {
            self.map(&item.content, &survey)?;
        }
        let (path, stream) = (Arc::from(path), &mut self.stream);
        for_each_slice(&item.content, &mut self.lists, |slice| {
            if slice.is_hole() {
                self.reading.done.fetch_add(u64::from(slice.length), Ordering::Relaxed);
                return Ok(());
            }
            stream.slice(slice, &path)
        })?;
        self.length += survey.data;
        self.bytes(&[0; crate::tar::BLOCK][..padding(survey.data)])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.length += bytes.len() as u64;
        self.stream.bytes(bytes).map_err(|Stop| EngineError::Cancelled)
    }

    /// The first name in the stream, if the item is a further name of it.
    fn link_again(&mut self, path: &[u8], item: &Item) -> Option<Vec<u8>> {
        let link = item.link.filter(|_| !item.is_directory())?;
        if let Some((first, left)) = self.links.get_mut(&link.group) {
            let first = first.clone();
            *left -= 1;
            if *left == 0 {
                self.links.remove(&link.group);
            }
            return Some(first);
        }
        if link.count > 1 {
            self.links.insert(link.group, (path.to_vec(), link.count - 1));
        }
        None
    }

    fn survey(&mut self, item: &Item) -> Result<Survey, EngineError> {
        let (mut survey, mut regions) = (Survey::default(), Regions::default());
        for_each_slice(&item.content, &mut self.lists, |slice| {
            survey.slice(slice, &mut regions);
            Ok::<(), EngineError>(())
        })?;
        if survey.size != item.size {
            return Err(EngineError::damaged("content", "its content lists do not add up to its size"));
        }
        survey.region(regions.finish());
        Ok(survey)
    }

    /// Where the data of a file with holes belongs.
    fn map(&mut self, content: &Content, survey: &Survey) -> Result<(), EngineError> {
        let mut map = Map { format: self.format, blocks: Blocks::new(survey.count), seen: 0, out: Vec::new() };
        if self.format != Format::Gnu {
            map.out = format!("{}\n", survey.count).into_bytes();
        }
        let (mut regions, mut length, stream) = (Regions::default(), 0, &mut self.stream);
        for_each_slice(content, &mut self.lists, |slice| {
            if let Some(region) = regions.slice(slice) {
                map.region(region);
            }
            length += map.out.len() as u64;
            let written = stream.bytes(&map.out).map_err(|Stop| EngineError::Cancelled);
            map.out.clear();
            written
        })?;
        self.length += length;
        map.region(regions.finish());
        let rest = padding(length + map.out.len() as u64);
        map.out.extend(std::iter::repeat_n(0, rest));
        self.bytes(&map.out)
    }

    fn finish(mut self) -> Result<(), Stop> {
        let mut end = END.to_vec();
        let total = self.length + end.len() as u64;
        end.extend(std::iter::repeat_n(0, (total.next_multiple_of(RECORD) - total) as usize));
        self.stream.bytes(&end)?;
        self.stream.finish()
    }
}

/// Writes the map of a sparse member, region by region.
struct Map {
    format: Format,
    blocks: Blocks,
    seen: usize,
    out: Vec<u8>,
}

impl Map {
    fn region(&mut self, region: Region) {
        self.seen += 1;
        if self.format != Format::Gnu {
            self.out.extend_from_slice(region_text(region).as_bytes());
        } else if self.seen > HEADER_REGIONS
            && let Some(block) = self.blocks.region(region)
        {
            self.out.extend_from_slice(&block);
        }
    }
}

/// Length of the pieces that the driver gets. Unit: bytes.
const PIECE_LENGTH: usize = 1 << 20;
/// Pieces end one byte before a multiple of this, until the stream is complete: see [`Pieces::take`].
const UNIT: u64 = 512;

/// The stream on its way to the driver.
struct Pieces {
    reading: Arc<Reading>,
    out: Vec<u8>,
    emitted: u64,
}

impl Pieces {
    /// Hands over what is long enough. One byte of the last block always stays back, so that a stream that ends early,
    /// for whatever reason, ends inside a block: no program takes that for an end. The first piece is short, so that all
    /// others begin inside a block, too: when the driver dies while it writes one, the pipe has taken whole pages of it.
    fn take(&mut self) -> Result<(), Stop> {
        let is_first = self.emitted == 0;
        if self.out.len() < if is_first { UNIT as usize } else { PIECE_LENGTH } {
            return Ok(());
        }
        let end = if is_first { UNIT } else { (self.emitted + self.out.len() as u64) / UNIT * UNIT } - 1;
        let rest = self.out.split_off((end - self.emitted) as usize);
        let piece = std::mem::replace(&mut self.out, rest);
        self.emitted = end;
        self.reading.port.emit(Event::Data(piece))
    }
}

impl Emit for Pieces {
    fn own(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.out.extend_from_slice(bytes);
        self.take()
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.out.extend_from_slice(bytes);
        self.take()
    }

    fn lost(&mut self, path: &[u8], error: &EngineError) -> Result<(), Stop> {
        Err(self.reading.port.fail(EngineError::damaged(shown(path), error.to_string())))
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.reading.port.emit(Event::Data(std::mem::take(&mut self.out)))
    }
}
