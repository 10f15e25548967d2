//! The sink of one worker: asks which chunks are missing, groups, compresses and sends them.

use crate::link::Link;
use bork_core::compress::{CompressionSpec, Compressor};
use bork_core::identify::SourceKeys;
use bork_core::seam::{ChunkSink, Stop};
use bork_format::Id;
use bork_format::pull::{FrameKind, HEAD_LENGTH, QUERY_MAX, begin_frame, end_frame, put_object_head, reference_of};
use crossbeam_channel::Receiver;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Chunks shorter than this are grouped, as the repository does. Unit: bytes.
const GROUPED_MAX: usize = 128 << 10;
/// A group at least this long is sent. Unit: bytes.
const GROUP_LENGTH: usize = 512 << 10;
/// Most chunks of a group.
const GROUP_CHUNKS: usize = 1024;
/// Bytes of chunks that wait for an answer, besides the last of them.
const ASKED_LENGTH: usize = 2 << 20;
/// Chunks that are remembered as sent: what is older is sent again if it comes again. 2 x 256 Ki x 16 bytes.
const SENT_MAX: usize = 256 << 10;

/// Sixteen bytes of an id tell it from all others.
type Ids = HashSet<[u8; 16]>;

/// The chunks that were sent last: the newer half, and the older one.
#[derive(Default)]
pub struct Sent(Mutex<(Ids, Ids)>);

impl Sent {
    /// Whether the chunk is still to be sent; from now on it counts as sent.
    fn claim(&self, id: &Id) -> bool {
        let key = *id.first_chunk().expect("an id has 32 bytes");
        let (new, old) = &mut *self.0.lock().expect("no holder panics");
        if old.contains(&key) || !new.insert(key) {
            return false;
        }
        if new.len() >= SENT_MAX {
            std::mem::swap(new, old);
            new.clear();
        }
        true
    }
}

/// Bytes of an object's head for each chunk: id and length.
const OBJECT_HEAD_ENTRY: usize = 32 + 5;

/// Chunks whose fate is not known yet.
#[derive(Default)]
struct Batch {
    ids: Vec<Id>,
    lengths: Vec<usize>,
    bytes: Vec<u8>,
}

/// What all sinks of a run share.
pub struct SinkContext {
    /// To the server.
    pub link: Arc<Link>,
    /// Names chunks.
    pub keys: SourceKeys,
    /// What was sent.
    pub sent: Sent,
    /// Whether the server may hold chunks of this client: without, there is no need to ask.
    pub asks: bool,
}

/// A sink.
pub struct WireSink {
    context: Arc<SinkContext>,
    compressor: Compressor,
    group: Vec<u8>,
    group_chunks: Vec<(Id, u32)>,
    batch: Batch,
    asked: Option<(Batch, Receiver<Vec<u8>>)>,
}

impl WireSink {
    /// A sink for one worker. Errors: the compression is unknown.
    pub fn new(context: Arc<SinkContext>, compression: CompressionSpec) -> Result<Self, String> {
        Ok(WireSink {
            context,
            compressor: Compressor::new(compression).map_err(|error| error.to_string())?,
            group: Vec::new(),
            group_chunks: Vec::new(),
            batch: Batch::default(),
            asked: None,
        })
    }

    /// Asks about the batch, after the one before has been dealt with.
    fn ask(&mut self) -> Result<(), Stop> {
        self.settle()?;
        if self.batch.ids.is_empty() {
            return Ok(());
        }
        let answer = self.context.link.ask(self.batch.ids.as_flattened())?;
        self.asked = Some((std::mem::take(&mut self.batch), answer));
        Ok(())
    }

    /// Sends what the server does not hold.
    fn settle(&mut self) -> Result<(), Stop> {
        let Some((batch, answer)) = self.asked.take() else { return Ok(()) };
        let link = Arc::clone(&self.context.link);
        let bits = link.wait(&answer)?;
        if bits.len() != batch.ids.len().div_ceil(8) {
            return Err(link.fail("the server's answer is not as long as the question"));
        }
        let mut start = 0;
        for (at, (id, length)) in batch.ids.iter().zip(&batch.lengths).enumerate() {
            if bits[at / 8] >> (at % 8) & 1 == 0 {
                self.store(id, &batch.bytes[start..start + length])?;
            }
            start += length;
        }
        Ok(())
    }

    fn store(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.len() >= GROUPED_MAX {
            return self.send(bytes, vec![(*id, bytes.len() as u32)]);
        }
        self.group.extend_from_slice(bytes);
        self.group_chunks.push((*id, bytes.len() as u32));
        if self.group.len() >= GROUP_LENGTH || self.group_chunks.len() >= GROUP_CHUNKS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.group_chunks.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        let chunks = std::mem::take(&mut self.group_chunks);
        let result = self.send(&group, chunks);
        self.group = group;
        self.group.clear();
        result
    }

    fn send(&mut self, plain: &[u8], chunks: Vec<(Id, u32)>) -> Result<(), Stop> {
        let mut frame = Vec::with_capacity(plain.len() + chunks.len() * OBJECT_HEAD_ENTRY + HEAD_LENGTH + 8);
        begin_frame(&mut frame, FrameKind::Object);
        let codec_at = frame.len();
        put_object_head(&mut frame, 0, &chunks);
        frame[codec_at] = self.compressor.compress(plain, &mut frame) as u8;
        end_frame(&mut frame);
        self.context.link.outbox.send_frame(frame)
    }
}

impl ChunkSink for WireSink {
    fn put(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        if !self.context.sent.claim(id) {
            return Ok(());
        }
        if !self.context.asks {
            return self.store(id, bytes);
        }
        self.batch.ids.push(*id);
        self.batch.lengths.push(bytes.len());
        self.batch.bytes.extend_from_slice(bytes);
        let is_full = self.batch.bytes.len() >= ASKED_LENGTH || self.batch.ids.len() >= QUERY_MAX;
        if is_full { self.ask() } else { Ok(()) }
    }

    fn known(&self, _: &Id) -> Option<u64> {
        None
    }

    fn reused(&mut self, _: &Id, _: u64) {}

    /// The server sent references only to content that it still holds.
    fn reuse_lists(&mut self, lists: &[Id]) -> bool {
        lists.iter().all(|id| reference_of(id).is_some())
    }

    fn put_list(&mut self, encoded: &[u8]) -> Result<Id, Stop> {
        self.context.link.send_compressed(FrameKind::List, encoded)?;
        Ok(self.context.keys.identify(encoded))
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.ask()?;
        self.settle()?;
        self.flush()
    }
}
