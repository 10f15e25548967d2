//! Frames on their way to the server.

use bork_core::seam::Stop;
use bork_format::pull::{FrameKind, put_frame};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Bytes that may wait: enough to keep a fast line busy while workers compress.
const WAITING_MAX: usize = 4 << 20;
const POLL: Duration = Duration::from_millis(50);

/// What the administrator of the client, or the server, allows at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a second; 0 for no limit.
    pub rate: u64,
    /// Bytes in all; 0 for no limit.
    pub bytes: u64,
    /// Time in all; zero for no limit.
    pub time: Duration,
}

impl Limits {
    /// Most that is written at a time: a slow line is never silent for long.
    fn piece(&self) -> usize {
        if self.rate == 0 { usize::MAX } else { self.rate.clamp(1, 64 << 10) as usize }
    }

    /// Waits until so many bytes may have been written since `start`.
    fn wait(&self, written: u64, start: Instant) {
        if self.rate > 0 {
            let due = Duration::from_secs_f64(written as f64 / self.rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
}

#[derive(Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    is_closed: bool,
    is_stopped: bool,
}

/// A queue of frames, bounded by bytes.
#[derive(Default)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Queues a frame; waits while too much is waiting.
    pub fn send(&self, kind: FrameKind, body: &[u8]) -> Result<(), Stop> {
        let mut frame = Vec::with_capacity(body.len() + bork_format::pull::HEAD_LENGTH);
        put_frame(&mut frame, kind, body);
        self.send_frame(frame)
    }

    /// Queues a whole frame; waits while too much is waiting.
    pub fn send_frame(&self, frame: Vec<u8>) -> Result<(), Stop> {
        let mut state = self.lock();
        while state.bytes > 0 && state.bytes + frame.len() > WAITING_MAX && !state.is_stopped {
            state = self.changed.wait_timeout(state, POLL).expect("no holder panics").0;
        }
        if state.is_stopped {
            return Err(Stop);
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        self.changed.notify_all();
        Ok(())
    }

    /// A last frame, whatever waits: why the run ends.
    pub fn fault(&self, text: &str) {
        let mut frame = Vec::new();
        put_frame(&mut frame, FrameKind::Fault, &text.as_bytes()[..text.len().min(4096)]);
        let mut state = self.lock();
        state.frames.clear();
        state.frames.push_back(frame);
        state.is_closed = true;
        self.changed.notify_all();
    }

    /// Nothing more will be sent.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Senders give up.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if let Some(frame) = state.frames.pop_front() {
                return Some(frame);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait_timeout(state, POLL).expect("no holder panics").0;
        }
    }

    /// Writes until the outbox is closed and empty. Errors: those of `out`, and of the limits.
    pub fn write(&self, out: &mut impl Write, limits: Limits) -> io::Result<()> {
        let (start, mut sent, mut written) = (Instant::now(), 0u64, 0u64);
        while let Some(frame) = self.take() {
            sent += frame.len() as u64;
            if limits.bytes > 0 && sent > limits.bytes {
                return Err(io::Error::other("this client allows no more bytes (--max-bytes)"));
            }
            for piece in frame.chunks(limits.piece()) {
                out.write_all(piece)?;
                out.flush()?;
                written += piece.len() as u64;
                limits.wait(written, start);
            }
            let mut state = self.lock();
            state.bytes = state.bytes.saturating_sub(frame.len());
            self.changed.notify_all();
        }
        Ok(())
    }
}
