//! A restore whose writing half is an agent on another host.
//!
//! ```text
//! coordinator --entries--> driver --bytes--> agent
//!      ^  +--- content that is wanted, in order --> stream --runs--> driver --bytes--> agent
//!      +------ verdicts, problems --- receiver <--pieces-- driver <--bytes-- agent
//! ```
//!
//! Entries go ahead of the content: the agent says which files it wants while those before are on their way. Nothing
//! that it says matters for anything but what it is sent of this archive. Memory: the batches on their way, and those
//! of the stream.

mod batch;
mod receive;
mod runs;

use super::items::{for_each, for_each_slice, object_reader, tell};
use super::stream::Stream;
use super::{Mode, ReadEngine, ReadPlan, Reading};
use crate::error::EngineError;
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::{Bytes, Event, Port};
use crate::pull::line::{Frames, Inlet, line, send_frame};
use crate::pull::peer;
use crate::secrets::Keys;
use batch::{Batch, Entry};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::item::Item;
use bork_format::pull::{BATCHES_LENGTH_MAX, BATCHES_MAX, FrameKind, RestorePlan, Verdict};
use receive::Heard;
use runs::{END_OF_BATCH, END_OF_FILE, FAILED, HOLE, Runs};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Batches that may wait for an answer: with content on the way the agent has up to [`BATCHES_MAX`].
const UNANSWERED_MAX: usize = 16;
const POLL: Duration = Duration::from_millis(50);
const SHORT_POLL: Duration = Duration::from_millis(1);

/// What is pushed where.
pub struct PushMode {
    wire: RestorePlan,
    frames: Mutex<Option<Frames>>,
}

/// A running push.
pub struct PushEngine {
    engine: ReadEngine,
    inlet: Inlet,
}

impl PushEngine {
    /// Starts the threads; the first event is the plan for the agent. The mode of `plan` does not matter.
    pub fn start(
        mut plan: ReadPlan,
        wire: RestorePlan,
        keys: Arc<Keys>,
        index: Arc<ChunkIndex>,
    ) -> Result<Self, EngineError> {
        let port = Port::new();
        let (inlet, frames) = line(&port);
        plan.mode = Mode::Push(PushMode { wire, frames: Mutex::new(Some(frames)) });
        let engine = ReadEngine::launch(plan, port, keys, index)?;
        Ok(PushEngine { engine, inlet })
    }

    /// Bytes that the agent sent; waits while the engine is busy. False: nobody wants to hear more.
    pub fn received(&self, bytes: Bytes) -> bool {
        self.inlet.push(bytes, self.engine.port())
    }

    /// The agent will send nothing more. If something is missing, the run ends with an error.
    pub fn ended(&self) {
        self.inlet.end();
    }

    /// The engine that reads: its port and its progress.
    pub fn reader(&self) -> &ReadEngine {
        &self.engine
    }
}

/// What became of the entries.
#[derive(Default)]
pub struct Counts {
    same: u64,
    corrected: u64,
    made: u64,
    replaced: u64,
    /// Bytes of content that were wanted.
    content: u64,
}

impl Counts {
    /// As numbers of the outcome.
    pub fn numbers(&self) -> Vec<(&'static str, u64)> {
        let (all, content) = ([self.same, self.corrected, self.made, self.replaced], self.content);
        let names = ["same", "corrected", "made", "replaced"];
        names.into_iter().zip(all).chain([("content", content)]).collect()
    }

    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::Corrected => self.corrected += 1,
            Verdict::Made | Verdict::MadeOfContent => self.made += 1,
            Verdict::Replaced | Verdict::ReplacedByContent => self.replaced += 1,
            Verdict::Refused => {}
        }
    }
}

struct Push<'a> {
    reading: &'a Arc<Reading>,
    dry_run: bool,
    heard: Arc<Heard>,
    stream: Stream,
    lists: ObjectReader,
    batch: Batch,
    /// Sent, and not answered.
    unanswered: VecDeque<Batch>,
    /// Answered, with content that went into the stream; and how many of them have left it.
    opened: usize,
    finished: Arc<AtomicUsize>,
    entries: u64,
    lines: Vec<u8>,
    counts: Counts,
}

/// Runs.
pub fn run(reading: &Arc<Reading>, mode: &PushMode) -> Result<Counts, Stop> {
    let Some(frames) = mode.frames.lock().expect("no holder panics").take() else { return Err(Stop) };
    send_frame(&reading.port, FrameKind::RestorePlan, &mode.wire.encode())?;
    let heard = Arc::new(Heard::new(Arc::clone(&reading.port)));
    let receiver = receive::start(frames, &heard)?;
    let finished = Arc::new(AtomicUsize::new(0));
    let runs = Runs::new(reading, Arc::clone(&finished))?;
    let mut push = Push {
        reading,
        dry_run: mode.wire.has("dry_run"),
        heard,
        stream: Stream::start(reading, runs, true)?,
        lists: object_reader(reading),
        batch: Batch::default(),
        unanswered: VecDeque::new(),
        opened: 0,
        finished,
        entries: 0,
        lines: Vec::new(),
        counts: Counts::default(),
    };
    let result = for_each(reading, tell, |path, item| push.item(path, item));
    let counts = result.and_then(|()| push.finish())?;
    receiver.join()?;
    Ok(counts)
}

impl Push<'_> {
    fn item(&mut self, full_path: &[u8], item: Item) -> Result<(), Stop> {
        let Some(path) = super::strip(full_path, self.reading.plan.strip_components) else { return Ok(()) };
        self.reading.items.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut current) = self.reading.path.try_lock() {
            current.clear();
            current.extend_from_slice(full_path);
        }
        if self.batch.is_full_with(path, &item) {
            self.send_batch()?;
        }
        self.batch.push(path, full_path, item);
        Ok(())
    }

    fn send_batch(&mut self) -> Result<(), Stop> {
        let mut batch = std::mem::take(&mut self.batch);
        let body = batch.take_body().map_err(|error| self.reading.port.fail(error))?;
        batch.length = body.len();
        self.make_room(body.len())?;
        self.entries += batch.entries.len() as u64;
        self.unanswered.push_back(batch);
        send_frame(&self.reading.port, FrameKind::Entries, &body)
    }

    /// Waits until the agent may be sent another batch.
    fn make_room(&mut self, length: usize) -> Result<(), Stop> {
        loop {
            self.tell()?;
            while let Some(answer) = self.heard.answer(Duration::ZERO) {
                self.answered(&answer)?;
            }
            let waiting: usize = self.unanswered.iter().map(|batch| batch.length).sum();
            let open = self.opened - self.finished.load(Ordering::Acquire);
            let fits = self.unanswered.len() < UNANSWERED_MAX && self.unanswered.len() + open < BATCHES_MAX;
            if fits && (self.unanswered.is_empty() || waiting + length <= BATCHES_LENGTH_MAX) {
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Waits a moment for the agent. Nothing stays behind in the stream: the agent may need it before it answers.
    fn wait(&mut self) -> Result<(), Stop> {
        self.stream.flush()?;
        if self.reading.port.is_stopped() {
            return Err(Stop);
        }
        let moment = if self.unanswered.is_empty() { SHORT_POLL } else { POLL };
        match self.heard.answer(moment) {
            Some(answer) => self.answered(&answer),
            None if self.heard.is_done() => Err(self.reading.port.fail(peer("it is done before all was sent"))),
            None => Ok(()),
        }
    }

    /// The agent has looked at the oldest batch: what it wants goes into the stream.
    fn answered(&mut self, answer: &[u8]) -> Result<(), Stop> {
        let port = &self.reading.port;
        let batch = self.unanswered.pop_front().ok_or_else(|| port.fail(peer("it answers what was not asked")))?;
        let verdicts = Verdict::decode_all(answer, batch.entries.len()).map_err(|error| port.fail(peer(error)))?;
        let mut is_open = false;
        for (entry, verdict) in batch.entries.into_iter().zip(verdicts) {
            self.counts.add(verdict);
            if let Some(format) = &self.reading.plan.lines {
                let path = if entry.path.is_empty() { b"." } else { &entry.path[..] };
                format.write(verdict.letter(), path, &mut self.lines);
            }
            if !verdict.wants_content() {
                self.reading.done.fetch_add(entry.size, Ordering::Relaxed);
                continue;
            }
            if entry.content.is_none() {
                return Err(self.reading.port.fail(peer("it wants content of what has none")));
            }
            self.counts.content += entry.size;
            if !self.dry_run {
                is_open = true;
                self.content(entry)?;
            }
        }
        if is_open {
            self.opened += 1;
            self.stream.bytes(&[END_OF_BATCH])?;
        }
        self.tell()
    }

    fn content(&mut self, entry: Entry) -> Result<(), Stop> {
        let Entry { path, size, content } = entry;
        let (Some(content), true) = (content, size > 0) else { return Ok(()) };
        let (reading, stream, mut sent) = (self.reading, &mut self.stream, 0);
        let result = for_each_slice(&content, &mut self.lists, |slice| {
            sent += u64::from(slice.length);
            if slice.length == 0 {
                return Ok(());
            }
            if sent > size {
                return Err(EngineError::damaged("content", "its content lists do not add up to its size"));
            }
            if !slice.is_hole() {
                return stream.slice(slice, &path);
            }
            reading.done.fetch_add(u64::from(slice.length), Ordering::Relaxed);
            let mut hole = [HOLE, 0, 0, 0, 0];
            hole[1..].copy_from_slice(&slice.length.to_le_bytes());
            stream.bytes(&hole).map_err(|Stop| EngineError::Cancelled)
        });
        let problem = match result {
            Ok(()) if sent == size => None,
            Ok(()) => Some("its content lists do not add up to its size".to_string()),
            Err(EngineError::Cancelled) => return Err(Stop),
            Err(error) => Some(error.to_string()),
        };
        if let Some(message) = problem {
            self.reading.port.problem(&path, Problem::new(ProblemKind::Damaged, message))?;
            self.stream.bytes(&[FAILED])?;
        }
        self.stream.bytes(&[END_OF_FILE])
    }

    /// Hands lines and problems to the driver.
    fn tell(&mut self) -> Result<(), Stop> {
        for (path, problem) in self.heard.take_problems() {
            self.reading.port.problem(&path, problem)?;
        }
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() { Ok(()) } else { self.reading.port.emit(Event::Lines(lines)) }
    }

    fn finish(mut self) -> Result<Counts, Stop> {
        if !self.batch.entries.is_empty() {
            self.send_batch()?;
        }
        while !self.unanswered.is_empty() {
            self.wait()?;
        }
        self.tell()?;
        let Push { reading, heard, stream, entries, counts, .. } = self;
        stream.finish()?;
        send_frame(&reading.port, FrameKind::EntriesEnd, &[])?;
        let is_done = heard.wait_done(entries);
        for (path, problem) in heard.take_problems() {
            reading.port.problem(&path, problem)?;
        }
        is_done.map(|()| counts)
    }
}
