//! Frames from the agent are handed to whoever deals with them.

use super::line::{Credit, Frames, open_body, send_frame};
use super::previous::collect_chunks;
use super::resolve::{References, check_slices, words};
use super::{known::IdSet, peer};
use crate::error::EngineError;
use crate::half::{Half, LocalSink};
use crate::port::{receive, send};
use bork_core::compress::Decompressor;
use bork_core::seam::{ChunkSink, Stop};
use bork_core::source::{Shared, Task};
use bork_format::codec::{Reader, take_varint};
use bork_format::item::decode_list;
use bork_format::pack::Codec;
use bork_format::pull::{FrameKind, Object, QUERY_MAX, SHORT_LENGTH_MAX, TEXT_LENGTH_MAX, decode_object};
use bork_format::{ID_LENGTH, Id};
use crossbeam_channel::{Receiver, Sender};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

thread_local! {
    /// Opens objects: made once for each worker.
    static OPENER: RefCell<(Decompressor, Vec<u8>)> = RefCell::new((Decompressor::new(), Vec::new()));
}

/// Reads frames and spreads them.
pub struct Receiving {
    /// What the workers share.
    pub shared: Arc<Shared<LocalSink>>,
    /// The repository half.
    pub half: Arc<Half>,
    /// What items may refer to.
    pub references: Arc<References>,
    /// Room for leaves at the agent.
    pub credit: Arc<Credit>,
    /// To the resolver.
    pub units: Sender<Vec<u8>>,
    /// To whoever answers queries.
    pub queries: Sender<Vec<u8>>,
    /// How many units there are, once that is known.
    pub total: Arc<OnceLock<u64>>,
    /// Longest plain object. Unit: bytes.
    pub object_length_max: usize,
}

impl Receiving {
    /// Until the agent is done.
    pub fn run(self, mut frames: Frames) -> Result<(), Stop> {
        let port = Arc::clone(&self.half.port);
        let (mut count, mut told) = (0, (0, 0));
        loop {
            let (kind, body) = frames.next_frame()?;
            match kind {
                FrameKind::Unit => {
                    count += 1;
                    send(&self.units, body, &port)?;
                }
                FrameKind::Object => self.task(body, store_object)?,
                FrameKind::List => self.task(body, store_list)?,
                FrameKind::Query => send(&self.queries, body, &port)?,
                FrameKind::Credit => {
                    let mut reader = Reader::new(&body, "credit");
                    let room = take_varint(&mut reader).and_then(|room| reader.finish().map(|()| room));
                    self.credit.grant(room.map_err(|error| port.fail(peer(error)))?);
                }
                FrameKind::Progress => {
                    told = self.progress(&body, told).map_err(|error| port.fail(error))?;
                }
                FrameKind::Done => {
                    let mut reader = Reader::new(&body, "done");
                    if take_varint(&mut reader).ok() != Some(count) || !reader.is_empty() {
                        return Err(port.fail(peer("it counts its units wrong")));
                    }
                    let _ = self.total.set(count);
                    return Ok(());
                }
                FrameKind::Fault => return Err(port.fail(EngineError::Peer(format!("the agent: {}", words(&body))))),
                other => return Err(port.fail(peer(format!("{other:?} is nothing that an agent says")))),
            }
        }
    }

    /// Has a worker deal with a frame.
    fn task(
        &self,
        body: Vec<u8>,
        work: fn(&[u8], &mut LocalSink, &Context) -> Result<(), Trouble>,
    ) -> Result<(), Stop> {
        let context = Context {
            half: Arc::clone(&self.half),
            references: Arc::clone(&self.references),
            object_length_max: self.object_length_max,
        };
        let call = move |sink: &mut LocalSink| match work(&body, sink, &context) {
            Ok(()) => Ok(()),
            Err(Trouble::Stop) => Err(Stop),
            Err(Trouble::Error(error)) => Err(context.half.port.fail(error)),
        };
        send(&self.shared.tasks.0, Task::Call(Box::new(call)), &self.half.port)
    }

    fn progress(&self, body: &[u8], (bytes, files): (u64, u64)) -> Result<(u64, u64), EngineError> {
        let mut reader = Reader::new(body, "progress");
        reader.array(3).map_err(peer)?;
        let (new_bytes, new_files) = (reader.uint().map_err(peer)?, reader.uint().map_err(peer)?);
        let path = reader.bin(TEXT_LENGTH_MAX).map_err(peer)?.to_vec();
        reader.finish().map_err(peer)?;
        self.shared.progress.add_bytes(new_bytes.saturating_sub(bytes));
        self.shared.progress.at(new_files.saturating_sub(files), || path);
        Ok((new_bytes, new_files))
    }
}

struct Context {
    half: Arc<Half>,
    references: Arc<References>,
    object_length_max: usize,
}

enum Trouble {
    Stop,
    Error(EngineError),
}

impl From<Stop> for Trouble {
    fn from(_: Stop) -> Self {
        Trouble::Stop
    }
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Trouble::Error(error)
    }
}

fn store_object(body: &[u8], sink: &mut LocalSink, context: &Context) -> Result<(), Trouble> {
    let object = decode_object(body).map_err(peer)?;
    if object.plain_length() > context.object_length_max {
        return Err(peer("an object is longer than was agreed").into());
    }
    let codec = Codec::from_byte(object.codec).map_err(peer)?;
    OPENER.with_borrow_mut(|(opener, plain)| {
        plain.resize(object.plain_length(), 0);
        opener.decompress(codec, object.payload, plain.len(), plain).map_err(peer)?;
        verify(&object, plain, context)?;
        let ids: Vec<Id> = object.chunks.iter().map(|(id, _)| *id).collect();
        sink.put_compressed(codec, object.payload, plain, object.chunks)?;
        context.references.allowed.extend(&ids)?;
        Ok(())
    })
}

/// Names are made here again: what a client says about them could spoil the archives of others.
fn verify(object: &Object<'_>, plain: &[u8], context: &Context) -> Result<(), EngineError> {
    let mut start = 0;
    for (id, length) in &object.chunks {
        let end = start + *length as usize;
        if context.half.keys.source().identify(&plain[start..end]) != *id {
            return Err(peer("a chunk is not what its id says"));
        }
        start = end;
    }
    Ok(())
}

fn store_list(body: &[u8], sink: &mut LocalSink, context: &Context) -> Result<(), Trouble> {
    let encoded = OPENER.with_borrow_mut(|(opener, _)| open_body(body, SHORT_LENGTH_MAX, opener))?;
    let slices = decode_list(&encoded).map_err(peer)?;
    check_slices(&slices, &context.references, &context.half)?;
    let id = sink.put_list(&encoded)?;
    context.references.allowed.extend([&id])?;
    Ok(())
}

/// Answers which chunks the agent need not send: those of its own previous archive and of this session, or all that
/// the repository holds if `shared`. No other client's content can be guessed at.
pub fn answer(
    half: &Half,
    references: &References,
    previous: Option<Id>,
    own: &IdSet,
    shared: bool,
    queries: &Receiver<Vec<u8>>,
) -> Result<(), Stop> {
    let mut is_collected = shared;
    while let Some(body) = receive(queries, &half.port)? {
        let (ids, rest) = body.as_chunks::<ID_LENGTH>();
        if ids.is_empty() || ids.len() > QUERY_MAX || !rest.is_empty() {
            return Err(half.port.fail(peer("a query is empty, too long or cut")));
        }
        if let (false, Some(root)) = (is_collected, previous) {
            collect_chunks(half, root, own)?;
        }
        is_collected = true;
        let mut bits = vec![0; ids.len().div_ceil(8)];
        for (at, id) in ids.iter().enumerate() {
            let may_know = shared || own.contains(id) || references.allowed.contains(id);
            if may_know && half.stored_length(id).is_some() {
                bits[at / 8] |= 1 << (at % 8);
                references.allowed.extend([id]).map_err(|error| half.port.fail(error))?;
                references.counted.extend([id]).map_err(|error| half.port.fail(error))?;
            }
        }
        send_frame(&half.port, FrameKind::Answer, &bits)?;
    }
    Ok(())
}
