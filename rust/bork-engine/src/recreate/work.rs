//! The workers: what happens to the content of one file.

use super::assembler::UnitResult;
use super::content::ChunkReader;
use super::source::{Unit, shown};
use super::{Recompress, Recreating};
use crate::error::EngineError;
use crate::half::LocalSink;
use crate::objects::ObjectReader;
use crate::port::receive;
use bork_core::chunker::Chunker;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::{ChunkSink, Stop};
use bork_core::source::ContentBuilder;
use bork_format::Id;
use bork_format::item::{Content, Item, LISTS_MAX, Slice, decode_list};
use bork_format::pack::Codec;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

/// An item that is kept.
pub struct Piece {
    /// Its path.
    pub path: Vec<u8>,
    /// Its encoded body.
    pub body: Vec<u8>,
    /// The body, decoded.
    pub item: Item,
}

/// One worker with its own sink. Memory: the pack of the sink, one open object, and what the chunker looks at.
pub struct Worker<'a> {
    shared: &'a Recreating,
    sink: LocalSink,
    chunks: ChunkReader,
    lists: ObjectReader,
    chunker: Option<Chunker>,
    /// Content that is not cut yet.
    pending: Vec<u8>,
}

fn stop(_: Stop) -> EngineError {
    EngineError::Cancelled
}

impl<'a> Worker<'a> {
    /// A worker without work.
    pub fn new(shared: &'a Arc<Recreating>, sink: LocalSink) -> Self {
        let key = &shared.half.keys.source().chunker;
        Worker {
            shared,
            sink,
            chunks: ChunkReader::new(&shared.half),
            lists: shared.reader(),
            chunker: shared.plan.chunker.map(|params| Chunker::new(params, key)),
            pending: Vec::new(),
        }
    }

    /// Works until there are no more units.
    pub fn run(mut self, units: &Receiver<Unit>, results: &Sender<UnitResult>) -> Result<(), Stop> {
        while let Some(unit) = receive(units, &self.shared.half.port)? {
            let result = self.unit(unit)?;
            // The channel holds a whole window, so this never blocks; an error means that the run is over.
            let _ = results.send(result);
        }
        self.sink.finish()
    }

    fn unit(&mut self, unit: Unit) -> Result<UnitResult, Stop> {
        let mut result = UnitResult { sequence: unit.sequence, ..UnitResult::default() };
        for Piece { path, mut body, item } in unit.pieces {
            let size = item.size;
            if item.is_file() {
                result.files += 1;
                result.links.extend(item.link);
                match self.file(item) {
                    Ok(Some(new)) => body = new,
                    Ok(None) => {}
                    Err(EngineError::Cancelled) => return Err(Stop),
                    // Its item is kept as it was: nothing is lost that was not lost before.
                    Err(error) => {
                        let problem = Problem::new(ProblemKind::Damaged, error.to_string());
                        result.problems.push((shown(&path).to_vec(), problem));
                    }
                }
            }
            self.shared.progress.add_bytes(size);
            self.shared.progress.at(1, || path.clone());
            result.items.push((path, body, size));
        }
        Ok(result)
    }

    /// The new body of a file, or `None` if it stays what it is.
    fn file(&mut self, mut item: Item) -> Result<Option<Vec<u8>>, EngineError> {
        if self.chunker.is_none() {
            return self.keep(&item.content).map(|()| None);
        }
        let content = match self.rechunk(&item) {
            Ok(content) => content,
            Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
            Err(error) => {
                // What can still be read of it stays readable.
                let _ = self.keep(&item.content);
                return Err(error);
            }
        };
        if content == item.content {
            return Ok(None);
        }
        item.content = content;
        let mut body = Vec::with_capacity(256);
        item.encode(&mut body);
        Ok(Some(body))
    }

    /// The chunks stay. Each is visited, whatever is wrong with the others; the first error is the result.
    fn keep(&mut self, content: &Content) -> Result<(), EngineError> {
        match content {
            Content::Slices(slices) => self.keep_slices(slices),
            Content::Lists(lists) => {
                let mut outcome = Ok(());
                for id in lists {
                    let kept = self.keep_list(id);
                    if matches!(kept, Err(EngineError::Cancelled)) {
                        return kept;
                    }
                    outcome = outcome.and(kept);
                }
                outcome
            }
        }
    }

    fn keep_list(&mut self, id: &Id) -> Result<(), EngineError> {
        let encoded = self.lists.read(id)?;
        if self.shared.half.index.find(id).is_none() {
            self.sink.put_list(&encoded).map_err(stop)?;
        }
        self.keep_slices(&decode_list(&encoded)?)
    }

    fn keep_slices(&mut self, slices: &[Slice]) -> Result<(), EngineError> {
        let mut outcome = Ok(());
        for slice in slices.iter().filter(|slice| !slice.is_hole()) {
            let kept = self.keep_chunk(&slice.id);
            if matches!(kept, Err(EngineError::Cancelled)) {
                return kept;
            }
            outcome = outcome.and(kept);
        }
        outcome
    }

    fn keep_chunk(&mut self, id: &Id) -> Result<(), EngineError> {
        if let Some(stored) = self.settled(id) {
            self.sink.reused(id, stored);
            return Ok(());
        }
        let bytes = self.chunks.chunk(id)?;
        put(self.shared, &mut self.sink, id, bytes).map_err(stop)
    }

    /// Stored length of a chunk that stays where it is, without looking at it.
    fn settled(&self, id: &Id) -> Option<u64> {
        let (plan, index) = (&self.shared.plan, &self.shared.half.index);
        if plan.recompress == Recompress::Never {
            return self.sink.known(id);
        }
        if let Some(stored) = self.sink.claimed(id) {
            return Some(u64::from(stored));
        }
        if let Some(location) = index.find_since(id, plan.tables) {
            return Some(location.stored_share());
        }
        let spec = &plan.packs.compression;
        let location = index.find(id)?;
        let is_same = plan.recompress == Recompress::IfDifferent && !spec.auto && location.record.codec == spec.codec;
        is_same.then(|| location.stored_share())
    }

    /// Reads the content and cuts it anew. Holes stay holes.
    fn rechunk(&mut self, item: &Item) -> Result<Content, EngineError> {
        let mut builder = ContentBuilder::default();
        let mut extent = Extent { position: 0, size: 0 };
        self.pending.clear();
        match &item.content {
            Content::Slices(slices) => self.rechunk_slices(slices, &mut builder, &mut extent)?,
            Content::Lists(lists) => {
                for id in lists {
                    let slices = decode_list(&self.lists.read(id)?)?;
                    self.rechunk_slices(&slices, &mut builder, &mut extent)?;
                }
            }
        }
        self.cut(&mut builder, &mut extent, true)?;
        if extent.size != item.size {
            return Err(EngineError::damaged("the file", "its content lists do not add up to its size"));
        }
        let content = builder.finish(&mut self.sink).map_err(stop)?;
        if matches!(&content, Content::Lists(lists) if lists.len() > LISTS_MAX) {
            return Err(EngineError::damaged("the file", "it would have too many chunks; give larger ones"));
        }
        Ok(content)
    }

    fn rechunk_slices(
        &mut self,
        slices: &[Slice],
        builder: &mut ContentBuilder,
        extent: &mut Extent,
    ) -> Result<(), EngineError> {
        for slice in slices {
            extent.size += u64::from(slice.length);
            if slice.is_hole() {
                self.cut(builder, extent, true)?;
                builder.push(*slice, &mut self.sink).map_err(stop)?;
                extent.position = 0;
                continue;
            }
            self.pending.extend_from_slice(self.chunks.slice(slice)?);
            self.cut(builder, extent, false)?;
        }
        Ok(())
    }

    /// Cuts and stores what is complete of the pending bytes; all of them if they are the last.
    fn cut(&mut self, builder: &mut ContentBuilder, extent: &mut Extent, last: bool) -> Result<(), EngineError> {
        let Some(chunker) = &self.chunker else { return Ok(()) };
        let mut start = 0;
        while let Some(length) = chunker.cut(&self.pending[start..], extent.position, last) {
            let bytes = &self.pending[start..start + length];
            let id = self.shared.half.keys.source().identify(bytes);
            put(self.shared, &mut self.sink, &id, bytes).map_err(stop)?;
            let slice = Slice { id, offset: 0, length: length as u32 };
            builder.push(slice, &mut self.sink).map_err(stop)?;
            start += length;
            extent.position += length as u64;
        }
        self.pending.drain(..start);
        Ok(())
    }
}

/// A run of content without holes.
struct Extent {
    /// Where the pending bytes begin in it. Unit: bytes.
    position: u64,
    /// Bytes of the file so far, holes included.
    size: u64,
}

/// Stores a chunk if it is new, or if it is to be compressed in another way than it is.
fn put(shared: &Recreating, sink: &mut LocalSink, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
    let (plan, index) = (&shared.plan, &shared.half.index);
    let is_done = plan.recompress == Recompress::Never
        || sink.claimed(id).is_some()
        || index.find_since(id, plan.tables).is_some();
    let old = if is_done { None } else { index.find(id) };
    let Some(old) = old else { return sink.put(id, bytes) };
    let (old_codec, spec) = (old.record.codec, &plan.packs.compression);
    let is_same = plan.recompress == Recompress::IfDifferent
        && if spec.auto || old_codec == Codec::None {
            sink.codec_of(bytes) == old_codec
        } else {
            old_codec == spec.codec
        };
    if is_same {
        sink.reused(id, old.stored_share());
        return Ok(());
    }
    sink.put_again(id, bytes)
}
