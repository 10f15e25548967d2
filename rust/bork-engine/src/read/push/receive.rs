//! What the agent says while entries and content are sent to it.

use crate::error::EngineError;
use crate::port::Port;
use crate::pull::line::Frames;
use crate::pull::peer;
use crate::pull::resolve::{problem_of, words};
use crate::threads::Threads;
use bork_core::problem::Problem;
use bork_core::seam::Stop;
use bork_format::codec::{Reader, take_varint};
use bork_format::pull::{BATCH_COUNT_MAX, BATCHES_MAX, FrameKind, Problem as WireProblem};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(20);
/// Problems that may wait for the driver: far more than the entries on their way can have. Unit: bytes.
const PROBLEMS_LENGTH_MAX: usize = 64 << 20;

#[derive(Default)]
struct Problems {
    waiting: Vec<(Vec<u8>, Problem)>,
    length: usize,
}

/// What has been heard and not been dealt with. The thread that listens never waits for the driver, who may be waiting
/// for the agent to take something.
pub struct Heard {
    port: Arc<Port>,
    answers: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    problems: Mutex<Problems>,
    done: OnceLock<u64>,
}

impl Heard {
    /// Nothing yet.
    pub fn new(port: Arc<Port>) -> Self {
        Heard { port, answers: unbounded(), problems: Mutex::default(), done: OnceLock::new() }
    }

    /// The answer to the oldest batch, if it comes in time.
    pub fn answer(&self, timeout: Duration) -> Option<Vec<u8>> {
        self.answers.1.recv_timeout(timeout).ok()
    }

    /// Problems that nobody has taken.
    pub fn take_problems(&self) -> Vec<(Vec<u8>, Problem)> {
        let mut problems = self.problems.lock().expect("no holder panics");
        problems.length = 0;
        std::mem::take(&mut problems.waiting)
    }

    /// Whether the agent has said that it is done. It has nothing more to say then.
    pub fn is_done(&self) -> bool {
        self.done.get().is_some()
    }

    /// Waits until the agent is done with so many entries.
    pub fn wait_done(&self, entries: u64) -> Result<(), Stop> {
        loop {
            match self.done.get() {
                Some(count) if *count == entries & u64::from(u32::MAX) => return Ok(()),
                Some(_) => return Err(self.port.fail(peer("it counts its entries wrong"))),
                None if self.port.is_stopped() => return Err(Stop),
                None => std::thread::sleep(POLL),
            }
        }
    }

    fn listen(&self, mut frames: Frames) -> Result<(), Stop> {
        loop {
            let (kind, body) = frames.next_frame()?;
            match kind {
                FrameKind::Wanted if body.len() <= BATCH_COUNT_MAX && self.answers.0.len() < BATCHES_MAX => {
                    let _ = self.answers.0.send(body);
                }
                FrameKind::Wanted => return Err(self.port.fail(peer("it answers more than it was asked"))),
                FrameKind::Problems => self.add_problems(&body).map_err(|error| self.port.fail(error))?,
                FrameKind::Progress => {} // the line is alive
                FrameKind::Done => {
                    let count = take_varint(&mut Reader::new(&body, "done"));
                    let _ = self.done.set(count.map_err(|error| self.port.fail(peer(error)))?);
                    return Ok(());
                }
                FrameKind::Fault => {
                    return Err(self.port.fail(EngineError::Peer(format!("the agent: {}", words(&body)))));
                }
                other => return Err(self.port.fail(peer(format!("{other:?} is nothing that an agent says here")))),
            }
        }
    }

    fn add_problems(&self, body: &[u8]) -> Result<(), EngineError> {
        let new = WireProblem::decode_all(body).map_err(peer)?;
        let mut problems = self.problems.lock().expect("no holder panics");
        problems.length += new.iter().map(|problem| problem.path.len() + problem.message.len() + 64).sum::<usize>();
        if problems.length > PROBLEMS_LENGTH_MAX {
            return Err(peer("it has more problems than entries"));
        }
        problems.waiting.extend(new.into_iter().map(problem_of));
        Ok(())
    }
}

/// Starts to listen.
pub fn start(frames: Frames, heard: &Arc<Heard>) -> Result<Threads, Stop> {
    let (mut threads, shared) = (Threads::new(&heard.port), Arc::clone(heard));
    threads.start("receiver", move || shared.listen(frames)).map_err(|error| heard.port.fail(error))?;
    Ok(threads)
}
