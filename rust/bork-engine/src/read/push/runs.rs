//! The content of the wanted files becomes frames of runs.

use super::super::Reading;
use super::super::stream::Emit;
use crate::error::EngineError;
use crate::pull::line::send_frame;
use bork_core::compress::{CompressionSpec, Compressor};
use bork_core::frame::put_body;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::pack::Codec;
use bork_format::pull::{FrameKind, RUN_LENGTH_MAX, Run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Marks among the stream's own bytes: the rest of the file cannot be sent.
pub const FAILED: u8 = 0;
/// A hole; its length follows as 32 bits.
pub const HOLE: u8 = 1;
/// The file has ended.
pub const END_OF_FILE: u8 = 2;
/// The batch has ended: what there is of it is sent.
pub const END_OF_BATCH: u8 = 3;

/// A frame is sent when it is so long. Unit: bytes.
const FRAME_LENGTH: usize = 1 << 20;
const COMPRESSION: CompressionSpec = CompressionSpec { codec: Codec::Zstd, level: 1, auto: true, obfuscate: 0 };

/// Runs on their way to the agent.
pub struct Runs {
    reading: Arc<Reading>,
    compressor: Compressor,
    out: Vec<u8>,
    /// The current file is left out.
    failed: bool,
    /// Batches whose content has been sent.
    finished: Arc<AtomicUsize>,
}

impl Runs {
    /// `finished` counts batches.
    pub fn new(reading: &Arc<Reading>, finished: Arc<AtomicUsize>) -> Result<Self, Stop> {
        let compressor = Compressor::new(COMPRESSION);
        let compressor = compressor.map_err(|error| reading.port.fail(EngineError::Internal(error.to_string())))?;
        Ok(Runs { reading: Arc::clone(reading), compressor, out: Vec::new(), failed: false, finished })
    }

    fn put(&mut self, run: Run<'_>) -> Result<(), Stop> {
        if self.failed {
            return Ok(());
        }
        run.put(&mut self.out);
        if self.out.len() >= FRAME_LENGTH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Stop> {
        if self.out.is_empty() {
            return Ok(());
        }
        let body = put_body(&mut self.compressor, &self.out);
        self.out.clear();
        send_frame(&self.reading.port, FrameKind::Content, &body)
    }

    fn fail(&mut self) -> Result<(), Stop> {
        self.put(Run::Failed)?;
        self.failed = true;
        Ok(())
    }

    fn mark(&mut self, mark: u8) -> Result<(), Stop> {
        match mark {
            FAILED => self.fail()?,
            END_OF_FILE => self.failed = false,
            _ => {
                self.send()?;
                self.finished.fetch_add(1, Ordering::Release);
            }
        }
        Ok(())
    }
}

impl Emit for Runs {
    fn own(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while let Some((mark, rest)) = bytes.split_first() {
            bytes = match (mark, rest.split_first_chunk::<4>()) {
                (&HOLE, Some((length, rest))) => {
                    self.put(Run::Hole(u32::from_le_bytes(*length)))?;
                    rest
                }
                _ => {
                    self.mark(*mark)?;
                    rest
                }
            };
        }
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.reading.plan.sparse && bytes.iter().all(|byte| *byte == 0) {
            return self.put(Run::Hole(bytes.len() as u32));
        }
        bytes.chunks(RUN_LENGTH_MAX).try_for_each(|piece| self.put(Run::Data(piece)))
    }

    fn lost(&mut self, path: &[u8], error: &EngineError) -> Result<(), Stop> {
        if self.failed {
            return Ok(());
        }
        self.reading.port.problem(path, Problem::new(ProblemKind::Damaged, error.to_string()))?;
        self.fail()
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.send()
    }
}
