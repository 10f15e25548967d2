//! The port between an engine's threads and its driver, who performs all I/O on the repository.
//!
//! Threads emit events into a bounded queue and wait for answers; the driver takes events out, does what they ask
//! for, and answers. When a thread fails, or the driver cancels or goes away, every wait ends with [`Stop`].

use crate::buffer::PackBuffer;
use crate::error::EngineError;
use bork_core::problem::Problem;
use bork_core::seam::Stop;
use bork_core::walk::MetFileSystem;
use bork_format::Id;
use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Bytes that the driver read; whoever owns them, they are only borrowed here.
pub type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// One range of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Name of the pack.
    pub pack: Id,
    /// First byte.
    pub offset: u64,
    /// Unit: bytes.
    pub length: u64,
}

/// What the driver is asked to do or told.
pub enum Event {
    /// Store a pack.
    StorePack(u64, Id, PackBuffer),
    /// Store an index object.
    StoreIndex(u64, Id, PackBuffer),
    /// Read ranges.
    Fetch(u64, Vec<Range>),
    /// Rendered lines.
    Lines(Vec<u8>),
    /// Content for stdout.
    Data(Vec<u8>),
    /// Bytes for the other half of the engine.
    Send(Vec<u8>),
    /// A problem with one path.
    Problem(&'static str, Vec<u8>, String),
    /// A file system of the plan's list was met for the first time.
    FileSystem(MetFileSystem),
    /// The end, with numbers.
    Done(Outcome),
}

/// Numbers of a finished run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Root node of a new archive.
    pub root: Option<Id>,
    /// Named numbers.
    pub numbers: Vec<(&'static str, u64)>,
}

/// Events that may wait for the driver.
const EVENTS_MAX: usize = 4;
const POLL: Duration = Duration::from_millis(50);
/// How long the error of a run that is over may take to arrive.
const REASON_MAX: Duration = Duration::from_secs(5);

type Answer = Result<Vec<Bytes>, String>;

/// Both ends of the port.
pub struct Port {
    events: (Sender<Event>, Receiver<Event>),
    /// The run is over.
    stop: Arc<AtomicBool>,
    /// By the driver's wish: what fails from then on is no news.
    is_cancelled: AtomicBool,
    next_token: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<Answer>>>,
    unstored: (Mutex<u64>, Condvar),
    error: Mutex<Option<EngineError>>,
}

impl Port {
    /// A new port.
    pub fn new() -> Arc<Self> {
        Arc::new(Port {
            events: bounded(EVENTS_MAX),
            stop: Arc::default(),
            is_cancelled: AtomicBool::new(false),
            next_token: AtomicU64::new(1),
            waiting: Mutex::default(),
            unstored: (Mutex::new(0), Condvar::new()),
            error: Mutex::new(None),
        })
    }

    // ---- the engine's side ----

    /// Whether the run is over.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The flag that [`Port::is_stopped`] reads, for the source half, which knows no port.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Hands an event to the driver; waits while the queue is full.
    pub fn emit(&self, mut event: Event) -> Result<(), Stop> {
        loop {
            if self.is_stopped() {
                return Err(Stop);
            }
            match self.events.0.send_timeout(event, POLL) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => event = back,
                Err(SendTimeoutError::Disconnected(_)) => return Err(Stop),
            }
        }
    }

    /// Reports a problem with one path.
    pub fn problem(&self, path: &[u8], problem: Problem) -> Result<(), Stop> {
        self.emit(Event::Problem(problem.kind.as_str(), path.to_vec(), problem.message))
    }

    /// Has a pack or an index object stored. Returns as soon as the driver has been asked.
    pub fn store(&self, make: fn(u64, Id, PackBuffer) -> Event, name: Id, data: PackBuffer) -> Result<(), Stop> {
        *self.unstored.0.lock().expect("no holder panics") += 1;
        self.emit(make(self.next_token.fetch_add(1, Ordering::Relaxed), name, data))
    }

    /// Waits until all that was to be stored is stored.
    pub fn wait_stored(&self) -> Result<(), Stop> {
        let mut unstored = self.unstored.0.lock().expect("no holder panics");
        while *unstored > 0 {
            if self.is_stopped() {
                return Err(Stop);
            }
            unstored = self.unstored.1.wait_timeout(unstored, POLL).expect("no holder panics").0;
        }
        Ok(())
    }

    /// Reads ranges, in order. `Ok(Err(message))` if the driver could not.
    pub fn fetch(&self, ranges: Vec<Range>) -> Result<Answer, Stop> {
        let pending = self.start_fetch(ranges)?;
        pending.wait(self)
    }

    /// Asks for ranges without waiting for them.
    pub fn start_fetch(&self, ranges: Vec<Range>) -> Result<PendingFetch, Stop> {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = bounded(1);
        self.waiting.lock().expect("no holder panics").insert(token, sender);
        self.emit(Event::Fetch(token, ranges))?;
        Ok(PendingFetch(receiver))
    }

    /// Ends the run with an error, the first of which is kept.
    pub fn fail(&self, error: EngineError) -> Stop {
        if !self.is_cancelled.load(Ordering::Relaxed) {
            self.error.lock().expect("no holder panics").get_or_insert(error);
        }
        self.stop();
        Stop
    }

    /// Ends the run. Whoever does that without an error knows that another thread has one, or is about to.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    // ---- the driver's side ----

    /// The next event, or `None` if there is none within the time. An error ends the run.
    pub fn next_event(&self, timeout: Duration) -> Result<Option<Event>, EngineError> {
        let deadline = std::time::Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match self.events.1.recv_timeout(left.min(POLL)) {
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.is_stopped() {
                return Err(self.reason());
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// Why the run is over. A thread that panics lets go of what others wait for before its panic becomes an error.
    fn reason(&self) -> EngineError {
        let deadline = std::time::Instant::now() + REASON_MAX;
        loop {
            if let Some(error) = self.error.lock().expect("no holder panics").take() {
                return error;
            }
            if self.is_cancelled.load(Ordering::Relaxed) {
                return EngineError::Cancelled;
            }
            if std::time::Instant::now() >= deadline {
                return EngineError::Internal("the run ended early, and nothing said why".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// One object has been stored.
    pub fn stored(&self) {
        let mut unstored = self.unstored.0.lock().expect("no holder panics");
        *unstored = unstored.saturating_sub(1);
        self.unstored.1.notify_all();
    }

    /// The answer to a fetch.
    pub fn answer(&self, token: u64, answer: Answer) {
        if let Some(sender) = self.waiting.lock().expect("no holder panics").remove(&token) {
            let _ = sender.send(answer);
        }
    }

    /// Makes all threads stop soon, and for no reason of theirs.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.stop();
    }
}

/// Runs the work of a thread; a panic or a stop ends the whole run.
pub fn guard(port: &Port, work: impl FnOnce() -> Result<(), Stop>) {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(())) => return,
        Ok(Err(Stop)) => {}
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
            port.fail(EngineError::Internal(text.unwrap_or_else(|| "a thread panicked".into())));
        }
    }
    port.stop();
}

/// Sends into a bounded queue; gives up when the run is over.
pub fn send<T>(channel: &Sender<T>, mut value: T, port: &Port) -> Result<(), Stop> {
    loop {
        if port.is_stopped() {
            return Err(Stop);
        }
        match channel.send_timeout(value, POLL) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Timeout(back)) => value = back,
            Err(SendTimeoutError::Disconnected(_)) => return Err(Stop),
        }
    }
}

/// Takes from a bounded queue: `None` when nobody can send to it any more. Gives up when the run is over.
pub fn receive<T>(channel: &Receiver<T>, port: &Port) -> Result<Option<T>, Stop> {
    loop {
        if port.is_stopped() {
            return Err(Stop);
        }
        match channel.recv_timeout(POLL) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// A fetch whose answer has not been taken yet.
pub struct PendingFetch(Receiver<Answer>);

impl PendingFetch {
    /// Waits for the answer.
    pub fn wait(self, port: &Port) -> Result<Answer, Stop> {
        receive(&self.0, port)?.ok_or(Stop)
    }
}
