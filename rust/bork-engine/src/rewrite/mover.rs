//! One worker of a rewrite. While it works on a batch, the next one is being read.

use super::Rewriting;
use super::batch::{Batch, Wanted, batches};
use crate::error::EngineError;
use crate::half::LocalSink;
use crate::index::IndexedPack;
use crate::objects::{FetchPlan, Seals, locate, short};
use crate::pack::{Prepared, open_payload, verify_chunk};
use crate::port::{PendingFetch, receive};
use bork_core::compress::Decompressor;
use bork_core::seam::{ChunkSink, Stop};
use bork_format::pack::TAG_LENGTH;
use crossbeam_channel::Receiver;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub struct Mover {
    rewriting: Arc<Rewriting>,
    sink: LocalSink,
    decompressor: Decompressor,
    seals: Seals,
    plain: Vec<u8>,
}

/// A batch that is being read.
struct Asked {
    batch: Batch,
    plan: FetchPlan,
    fetch: PendingFetch,
}

impl Mover {
    pub fn new(rewriting: Arc<Rewriting>) -> Result<Self, Stop> {
        let half = &rewriting.half;
        let sink = LocalSink::new(Arc::clone(half)).map_err(|error| half.port.fail(error))?;
        let (decompressor, seals) = (Decompressor::new(), Seals::default());
        Ok(Mover { rewriting, sink, decompressor, seals, plain: Vec::new() })
    }

    /// Moves what is needed of the packs of a queue.
    pub fn run(mut self, queue: &Receiver<IndexedPack>) -> Result<(), Stop> {
        let mut ahead = None;
        while let Some(pack) = receive(queue, &self.rewriting.half.port)? {
            let batches = batches(pack, &self.rewriting.marks);
            if batches.is_empty() {
                self.rewriting.done.fetch_add(1, Ordering::Relaxed);
            }
            for batch in batches {
                let asked = self.ask(batch)?;
                if let Some(asked) = ahead.replace(asked) {
                    self.take(asked)?;
                }
            }
        }
        if let Some(asked) = ahead {
            self.take(asked)?;
        }
        self.sink.finish()
    }

    fn ask(&self, batch: Batch) -> Result<Asked, Stop> {
        let locations: Vec<_> = batch.wanted.iter().map(|wanted| wanted.location).collect();
        let plan = FetchPlan::new(&locations, &self.seals);
        let fetch = self.rewriting.half.port.start_fetch(plan.ranges.clone())?;
        Ok(Asked { batch, plan, fetch })
    }

    fn take(&mut self, asked: Asked) -> Result<(), Stop> {
        let Asked { batch: Batch { pack, wanted, is_last }, plan, fetch } = asked;
        let half = Arc::clone(&self.rewriting.half);
        let answer = fetch.wait(&half.port)?.map_err(EngineError::Storage);
        match answer.and_then(|answer| plan.learn(&answer, &half.keys, &self.seals).map(|()| answer)) {
            Ok(answer) => {
                for (wanted, part) in wanted.into_iter().zip(&plan.parts) {
                    let end = part.at + wanted.location.record.stored as usize;
                    match (*answer[part.range]).as_ref().get(part.at..end) {
                        Some(stored) => self.one(wanted, stored)?,
                        None => self.rewriting.keep(&pack, &short(&wanted.location))?,
                    }
                }
            }
            // Part of it cannot be read: finds out which part.
            Err(_) if wanted.len() > 1 => {
                for wanted in wanted {
                    let asked = self.ask(Batch { pack, wanted: vec![wanted], is_last: false })?;
                    self.take(asked)?;
                }
            }
            Err(error) => self.rewriting.keep(&pack, &error)?,
        }
        self.rewriting.done.fetch_add(u64::from(is_last), Ordering::Relaxed);
        Ok(())
    }

    /// Moves what is needed of one object. `stored`: its bytes.
    fn one(&mut self, wanted: Wanted, stored: &[u8]) -> Result<(), Stop> {
        let (location, record) = (wanted.location, wanted.object.record);
        let mut sealed = stored.to_vec();
        let payload = match self.open(&wanted, &mut sealed) {
            Ok(payload) => payload,
            Err(error) => return self.rewriting.keep(&location.pack, &locate(error, &location)),
        };
        self.rewriting.objects.fetch_add(1, Ordering::Relaxed);
        self.rewriting.bytes.fetch_add(u64::from(record.stored), Ordering::Relaxed);
        if !wanted.is_whole() || (self.rewriting.verify && !self.is_good(&wanted)) {
            return self.some(&wanted);
        }
        self.sink.copy(Prepared {
            payload,
            codec: record.codec,
            plain_length: record.plain,
            plain: None,
            kind: record.kind,
            chunks: wanted.object.chunks,
            padding: record.stored as usize - record.payload as usize - TAG_LENGTH,
        })
    }

    /// Moves the needed chunks of the object in `plain`, but for those that are not what their ids say.
    fn some(&mut self, wanted: &Wanted) -> Result<(), Stop> {
        for (id, place) in wanted.chunks() {
            match verify_chunk(&self.rewriting.half.keys, id, self.plain.get(place.clone())) {
                Ok(()) => self.sink.regroup(id, &self.plain[place])?,
                Err(error) => self.rewriting.keep(&wanted.location.pack, &locate(error, &wanted.location))?,
            }
        }
        Ok(())
    }

    /// Whether every chunk of the object in `plain` is what its id says.
    fn is_good(&self, wanted: &Wanted) -> bool {
        let keys = &self.rewriting.half.keys;
        wanted.chunks().all(|(id, place)| verify_chunk(keys, id, self.plain.get(place)).is_ok())
    }

    fn is_compared(&self, wanted: &Wanted) -> bool {
        self.rewriting.verify || !wanted.is_whole()
    }

    /// The compressed bytes of an object. They are authentic: what is moved as it is was compared with its ids when it
    /// was stored, and is not decompressed but for a repair. Any other object is then in `plain`.
    fn open<'a>(&mut self, wanted: &Wanted, sealed: &'a mut [u8]) -> Result<&'a [u8], EngineError> {
        let (location, record) = (&wanted.location, &wanted.object.record);
        let seal = self.seals.get(&location.pack).ok_or_else(|| EngineError::Internal("no seal".into()))?;
        let payload = open_payload(&seal, location.object_index, record, sealed)?;
        if !self.is_compared(wanted) {
            return Ok(payload);
        }
        self.plain.resize(record.plain as usize, 0);
        self.decompressor
            .decompress(record.codec, payload, record.plain as usize, &mut self.plain)
            .map_err(|error| EngineError::damaged("object", error.to_string()))?;
        Ok(payload)
    }
}
