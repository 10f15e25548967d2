//! The line to the server, as all threads of a backup share it.

use crate::outbox::Outbox;
use bork_core::compress::Decompressor;
use bork_core::frame::{self, BodyError, body_compressor, put_body};
use bork_core::seam::{Previous, Stop};
use bork_format::codec::{Writer, put_varint};
use bork_format::pull::{FrameKind, HEAD_LENGTH, LEAF_CREDIT, MAGIC, SHORT_LENGTH_MAX, TEXT_LENGTH_MAX, decode_head};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
/// Room that was taken is granted again in steps of this. Unit: bytes.
const CREDIT_STEP: usize = LEAF_CREDIT / 8;
/// Most words of the server that are passed on. Unit: bytes.
const WORDS_LENGTH_MAX: usize = 1024;

/// The line.
#[derive(Default)]
pub struct Link {
    /// To the server.
    pub outbox: Outbox,
    /// Set when the run is over before its end.
    stopped: AtomicBool,
    /// Why.
    reason: Mutex<Option<String>>,
    /// Who waits for the answer to a query, the oldest first.
    asking: Mutex<VecDeque<Sender<Vec<u8>>>>,
}

impl Link {
    /// Whether the run is over.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Ends the run; the first reason is kept.
    pub fn fail(&self, reason: impl Into<String>) -> Stop {
        self.reason.lock().expect("no holder panics").get_or_insert_with(|| reason.into());
        self.stopped.store(true, Ordering::Relaxed);
        self.outbox.stop();
        Stop
    }

    /// Why the run ended early.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().expect("no holder panics").clone()
    }

    /// Sends a frame whose body is compressed.
    pub fn send_compressed(&self, kind: FrameKind, plain: &[u8]) -> Result<(), Stop> {
        let mut compressor = body_compressor().map_err(|error| self.fail(error.to_string()))?;
        self.outbox.send(kind, &put_body(&mut compressor, plain))
    }

    /// Tells the server how far the work is.
    pub fn send_progress(&self, bytes: u64, files: u64, path: &[u8]) -> Result<(), Stop> {
        let mut body = Vec::new();
        let mut writer = Writer(&mut body);
        writer.array(3);
        writer.uint(bytes);
        writer.uint(files);
        writer.bin(&path[..path.len().min(TEXT_LENGTH_MAX)]);
        self.outbox.send(FrameKind::Progress, &body)
    }

    /// Ends the run with the words of the server.
    pub fn fail_by_server(&self, words: &[u8]) -> Stop {
        let words = &words[..words.len().min(WORDS_LENGTH_MAX)];
        self.fail(format!("the server: {}", words.escape_ascii()))
    }

    /// Asks whether the server holds some chunks; the answer comes through the receiver.
    pub fn ask(&self, ids: &[u8]) -> Result<Receiver<Vec<u8>>, Stop> {
        let (sender, receiver) = bounded(1);
        let mut asking = self.asking.lock().expect("no holder panics");
        self.outbox.send(FrameKind::Query, ids)?;
        asking.push_back(sender);
        Ok(receiver)
    }

    /// Waits for something that the server sends.
    pub fn wait<T>(&self, receiver: &Receiver<T>) -> Result<T, Stop> {
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Timeout) if !self.is_stopped() => {}
                Err(_) => return Err(Stop),
            }
        }
    }

    fn answer(&self, bits: Vec<u8>) -> Result<(), Stop> {
        let asking = self.asking.lock().expect("no holder panics").pop_front();
        let asking = asking.ok_or_else(|| self.fail("the server answered what was not asked"))?;
        let _ = asking.send(bits);
        Ok(())
    }

    /// Reads frames of a backup until the line ends.
    pub fn listen(&self, source: &mut impl Read, leaves: &mut Option<LeafQueue>) -> Result<(), Stop> {
        while let Some((kind, body)) = read_frame(source).map_err(|error| self.fail(error.to_string()))? {
            match kind {
                FrameKind::Answer => self.answer(body)?,
                FrameKind::Leaf => match leaves {
                    Some(queue) => queue.push(&body).map_err(|error| self.fail(error))?,
                    None => return Err(self.fail("the server sent a leaf after the last one")),
                },
                FrameKind::LeafEnd => *leaves = None,
                FrameKind::Fault => return Err(self.fail_by_server(&body)),
                other => return Err(self.fail(format!("the server sent {other:?} out of turn"))),
            }
        }
        Err(self.fail("the server went away"))
    }
}

/// Says who speaks, before the first frame.
pub fn greet(out: &mut impl io::Write) -> io::Result<()> {
    out.write_all(MAGIC)
}

/// The next frame, or `None` at the end of the line between two frames.
pub fn read_frame(source: &mut impl Read) -> io::Result<Option<(FrameKind, Vec<u8>)>> {
    let mut head = [0; HEAD_LENGTH];
    match source.read(&mut head[..1])? {
        0 => return Ok(None),
        _ => source.read_exact(&mut head[1..])?,
    }
    let (kind, length) = decode_head(head).map_err(io::Error::other)?;
    let mut body = Vec::with_capacity(length.min(1 << 20));
    if source.take(length as u64).read_to_end(&mut body)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, body)))
}

/// Opens the body of a compressed frame, which may have so many bytes.
pub fn open_body(body: &[u8], length_max: usize) -> Result<Vec<u8>, String> {
    frame::open_body(body, length_max, &mut Decompressor::new()).map_err(|error| match error {
        BodyError::TooLong(_) => format!("a frame is longer than it may be, {length_max} bytes"),
        error => error.to_string(),
    })
}

/// The sending end of the leaves of the previous archive; holds no more than the credit that was granted.
pub struct LeafQueue {
    leaves: Sender<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
}

/// The receiving end.
pub struct Leaves {
    leaves: Receiver<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
    taken: usize,
    link: Arc<Link>,
}

/// Both ends.
pub fn leaf_queue(link: &Arc<Link>) -> (LeafQueue, Leaves) {
    let ((sender, receiver), waiting) = (unbounded(), Arc::new(AtomicUsize::new(0)));
    let queue = LeafQueue { leaves: sender, waiting: Arc::clone(&waiting) };
    (queue, Leaves { leaves: receiver, waiting, taken: 0, link: Arc::clone(link) })
}

impl LeafQueue {
    fn push(&self, body: &[u8]) -> Result<(), String> {
        let leaf = open_body(body, SHORT_LENGTH_MAX)?;
        // One leaf may be longer than the credit: the server sends it when nothing else is under way.
        let before = self.waiting.fetch_add(leaf.len(), Ordering::AcqRel);
        if before > 0 && before + leaf.len() > LEAF_CREDIT {
            return Err("the server sent more leaves than there is room for".into());
        }
        let _ = self.leaves.send(leaf.into());
        Ok(())
    }
}

impl Previous for Leaves {
    fn next_leaf(&mut self) -> Option<Arc<[u8]>> {
        let leaf = self.link.wait(&self.leaves).ok()?;
        self.waiting.fetch_sub(leaf.len(), Ordering::AcqRel);
        self.taken += leaf.len();
        if self.taken >= CREDIT_STEP || self.leaves.is_empty() {
            let mut body = Vec::new();
            put_varint(&mut body, self.taken as u64);
            self.taken = 0;
            self.link.outbox.send(FrameKind::Credit, &body).ok()?;
        }
        Some(leaf)
    }
}
