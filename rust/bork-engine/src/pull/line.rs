//! The line to the agent: bytes that the driver received become frames, frames become bytes to be sent.

use super::peer;
use crate::error::EngineError;
use crate::port::{Bytes, Event, Port, receive};
use bork_core::compress::Decompressor;
use bork_core::frame::{self, BodyError, body_compressor, put_body};
use bork_core::seam::Stop;
use bork_format::pull::{FrameKind, HEAD_LENGTH, decode_head, put_frame};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
/// Pieces that the driver may hand over before it has to wait.
const PIECES_MAX: usize = 4;

/// The driver's end of what the agent sends.
pub struct Inlet(Mutex<Option<Sender<Bytes>>>);

impl Inlet {
    /// Hands bytes over; waits while the engine is busy. False: nobody wants to hear more.
    pub fn push(&self, bytes: Bytes, port: &Port) -> bool {
        let sender = self.0.lock().expect("no holder panics").clone();
        sender.is_some_and(|sender| crate::port::send(&sender, bytes, port).is_ok())
    }

    /// Nothing more will come. If something is missing, the run ends with an error.
    pub fn end(&self) {
        *self.0.lock().expect("no holder panics") = None;
    }
}

/// The engine's end.
pub struct Frames {
    pieces: Receiver<Bytes>,
    piece: Option<Bytes>,
    at: usize,
    port: Arc<Port>,
}

/// Both ends.
pub fn line(port: &Arc<Port>) -> (Inlet, Frames) {
    let (sender, pieces) = bounded(PIECES_MAX);
    (Inlet(Mutex::new(Some(sender))), Frames { pieces, piece: None, at: 0, port: Arc::clone(port) })
}

impl Frames {
    /// Appends `count` bytes to `out`; waits for them.
    fn read(&mut self, count: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
        let end = out.len() + count;
        while out.len() < end {
            let piece = match self.piece.take() {
                Some(piece) => piece,
                None => self.next_piece()?,
            };
            let rest = &(*piece).as_ref()[self.at..];
            let taken = rest.len().min(end - out.len());
            out.extend_from_slice(&rest[..taken]);
            (self.at, self.piece) = if taken < rest.len() { (self.at + taken, Some(piece)) } else { (0, None) };
        }
        Ok(())
    }

    fn next_piece(&self) -> Result<Bytes, Stop> {
        let gone = || self.port.fail(EngineError::Peer("the agent went away before it was done".into()));
        receive(&self.pieces, &self.port)?.ok_or_else(gone)
    }

    /// The next frame. A kind or a length that the protocol does not know ends the run.
    pub fn next_frame(&mut self) -> Result<(FrameKind, Vec<u8>), Stop> {
        let mut head = Vec::with_capacity(HEAD_LENGTH);
        self.read(HEAD_LENGTH, &mut head)?;
        let head = *head.first_chunk().expect("so many were read");
        let (kind, length) = decode_head(head).map_err(|error| self.port.fail(peer(error)))?;
        // The length is the agent's word: memory follows what has arrived.
        let mut body = Vec::with_capacity(length.min(1 << 20));
        self.read(length, &mut body)?;
        Ok((kind, body))
    }
}

/// Sends a frame to the agent.
pub fn send_frame(port: &Port, kind: FrameKind, body: &[u8]) -> Result<(), Stop> {
    let mut frame = Vec::with_capacity(body.len() + HEAD_LENGTH);
    put_frame(&mut frame, kind, body);
    port.emit(Event::Send(frame))
}

/// The body of a compressed frame.
pub fn close_body(plain: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut compressor = body_compressor().map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(put_body(&mut compressor, plain))
}

/// Opens the body of a compressed frame, which has at most `length_max` plain bytes.
pub fn open_body(body: &[u8], length_max: usize, opener: &mut Decompressor) -> Result<Vec<u8>, EngineError> {
    frame::open_body(body, length_max, opener).map_err(|error| match error {
        BodyError::TooLong(_) => peer("the plain body of a frame is too long"),
        error => peer(error),
    })
}

/// Room for leaves at the agent. Unit: bytes.
pub struct Credit {
    left: Mutex<i64>,
    more: Condvar,
}

impl Credit {
    /// So much at first.
    pub fn new(bytes: usize) -> Self {
        Credit { left: Mutex::new(bytes as i64), more: Condvar::new() }
    }

    /// The agent has taken so many bytes.
    pub fn grant(&self, bytes: u64) {
        let mut left = self.left.lock().expect("no holder panics");
        *left = left.saturating_add_unsigned(bytes).min(bork_format::pull::LEAF_CREDIT as i64);
        self.more.notify_all();
    }

    /// Takes room for a leaf; one that is longer than all room goes when nothing else is under way.
    pub fn take(&self, bytes: usize, port: &Port) -> Result<(), Stop> {
        let mut left = self.left.lock().expect("no holder panics");
        let wanted = (bytes as i64).min(bork_format::pull::LEAF_CREDIT as i64);
        while *left < wanted {
            if port.is_stopped() {
                return Err(Stop);
            }
            left = self.more.wait_timeout(left, POLL).expect("no holder panics").0;
        }
        *left -= bytes as i64;
        Ok(())
    }
}
