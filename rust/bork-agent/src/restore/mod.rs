//! A restore: entries and their content come from the server, and are written below one directory.
//!
//! One thread reads frames and does what they say. The server sends entries ahead of content, so that no file costs a
//! round trip; what waits here is bounded: batches by number and bytes, directories by the descriptors there are.

mod content;
mod survey;
mod tree;

use crate::backup::wire_problem;
use crate::link::{Link, open_body, read_frame};
use crate::options::names;
use crate::serve::NO_MORE_TIME;
use bork_core::descriptors::allow_open_files;
use bork_core::metadata::NameCache;
use bork_core::problem::Problem;
use bork_core::seam::Stop;
use bork_core::writer::{Options, Places, Writer};
use bork_format::codec::put_varint;
use bork_format::item::Item;
use bork_format::pull::{
    BATCHES_LENGTH_MAX, BATCHES_MAX, CONTENT_LENGTH_MAX, FrameKind, Problem as WireProblem, RestorePlan, Verdict,
    decode_batch, for_each_run,
};
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use survey::Survey;
use tree::Tree;

const POLL: Duration = Duration::from_millis(50);
/// How often the server hears that this side is there.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// A frame of problems is sent at this length. Unit: bytes.
const PROBLEMS_LENGTH: usize = 256 << 10;
/// Bytes that a batch may have as a frame has them: it is sent alone if it is longer.
const BATCH_PLAIN_MAX: usize = 17 << 20;

/// Everything that happens with entries.
enum Hand {
    Write(Box<Tree>),
    Look(Survey),
}

/// A restore that is about to begin.
pub struct Restore {
    hand: Hand,
    link: Arc<Link>,
    /// Batches that there was no room for yet.
    waiting: VecDeque<Vec<u8>>,
    entries: Arc<AtomicU64>,
}

impl Restore {
    /// To be made before the process is confined. `target`: the directory; none in a dry run where there is none.
    /// Errors: words for a person.
    pub fn new(plan: &RestorePlan, target: Option<OwnedFd>, link: Arc<Link>) -> Result<Self, String> {
        let options = Options {
            numeric_ids: plan.has("numeric_ids"),
            xattrs: plan.has("xattrs"),
            acls: plan.has("acls"),
            flags: plan.has("flags"),
        };
        let writer = Writer::new(options, NameCache::new(Some(names())));
        let failed = |problem: Problem| problem.message;
        let hand = match target {
            Some(target) if !plan.has("dry_run") => {
                let open_max = open_max();
                rustix::process::umask(rustix::fs::Mode::empty());
                Hand::Write(Box::new(Tree::new(Places::below(writer, target).map_err(failed)?, open_max)))
            }
            target => {
                let root = target.map(|target| writer.root_at(target)).transpose().map_err(failed)?;
                Hand::Look(Survey::new(writer, root))
            }
        };
        Ok(Restore { hand, link, waiting: VecDeque::new(), entries: Arc::default() })
    }

    /// Does everything that comes. `Err(Stop)`: the link knows why. A file that is not whole by then is removed.
    pub fn run(mut self, input: &mut impl Read, time_max: Duration) -> Result<(), Stop> {
        let (done, link, entries) = (AtomicBool::new(false), Arc::clone(&self.link), Arc::clone(&self.entries));
        std::thread::scope(|scope| {
            scope.spawn(|| tick(&link, &entries, &done, time_max));
            let result = self.take_all(input).and_then(|()| self.finish());
            done.store(true, Ordering::Relaxed);
            result
        })
    }

    fn take_all(&mut self, input: &mut impl Read) -> Result<(), Stop> {
        loop {
            let frame = read_frame(input).map_err(|error| self.link.fail(error.to_string()))?;
            let (kind, body) = frame.ok_or_else(|| self.link.fail("the server went away"))?;
            match kind {
                FrameKind::Entries => self.take_batch(body)?,
                FrameKind::Content => self.take_content(&body)?,
                FrameKind::EntriesEnd if self.in_flight() == 0 => return Ok(()),
                FrameKind::EntriesEnd => return Err(self.link.fail("the server left content out")),
                FrameKind::Fault => return Err(self.link.fail_by_server(&body)),
                other => return Err(self.link.fail(format!("the server sent {other:?} out of turn"))),
            }
            self.answer()?;
            self.report()?;
        }
    }

    /// Batches whose content has not come.
    fn in_flight(&self) -> usize {
        let open = match &self.hand {
            Hand::Write(tree) => tree.files.open_batches(),
            Hand::Look(_) => 0,
        };
        self.waiting.len() + open
    }

    fn take_batch(&mut self, body: Vec<u8>) -> Result<(), Stop> {
        let bytes: usize = self.waiting.iter().map(Vec::len).sum();
        let is_long = !self.waiting.is_empty() && bytes + body.len() > BATCHES_LENGTH_MAX;
        if is_long || self.in_flight() >= BATCHES_MAX {
            return Err(self.link.fail("the server sent more entries than there is room for"));
        }
        self.waiting.push_back(body);
        Ok(())
    }

    /// Deals with the entries that there is room for. What there is no room for is dealt with when content has come,
    /// which the server sends without another answer.
    fn answer(&mut self) -> Result<(), Stop> {
        while self.has_room()
            && let Some(body) = self.waiting.pop_front()
        {
            let wrong = |error: String| self.link.fail(format!("the server's entries: {error}"));
            let plain = open_body(&body, BATCH_PLAIN_MAX).map_err(wrong)?;
            let batch = decode_batch(&plain).map_err(|error| wrong(error.to_string()))?;
            self.entries.fetch_add(batch.len() as u64, Ordering::Relaxed);
            let verdicts: Vec<u8> = batch.into_iter().map(|(path, item)| self.entry(&path, item) as u8).collect();
            if let Hand::Write(tree) = &mut self.hand {
                tree.end_batch();
            }
            self.link.outbox.send(FrameKind::Wanted, &verdicts)?;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        match &self.hand {
            Hand::Write(tree) => tree.has_room(),
            Hand::Look(_) => true,
        }
    }

    fn entry(&mut self, path: &[u8], item: Item) -> Verdict {
        match &mut self.hand {
            Hand::Write(tree) => tree.entry(path, item),
            Hand::Look(survey) => survey.entry(path, &item),
        }
    }

    fn take_content(&mut self, body: &[u8]) -> Result<(), Stop> {
        let wrong = |error: String| self.link.fail(format!("the server's content: {error}"));
        let Hand::Write(tree) = &mut self.hand else { return Err(wrong("this is a dry run".into())) };
        let plain = open_body(body, CONTENT_LENGTH_MAX).map_err(wrong)?;
        for_each_run(&plain, |run| tree.run(run)).map_err(|content::Wrong(error)| wrong(error))
    }

    /// Sends the problems met so far.
    fn report(&mut self) -> Result<(), Stop> {
        let problems = match &mut self.hand {
            Hand::Write(tree) => tree.take_problems(),
            Hand::Look(survey) => survey.take_problems(),
        };
        send_problems(&self.link, problems)
    }

    fn finish(self) -> Result<(), Stop> {
        let problems = match self.hand {
            Hand::Write(tree) => tree.finish(),
            Hand::Look(mut survey) => survey.take_problems(),
        };
        send_problems(&self.link, problems)?;
        let mut count = Vec::new();
        put_varint(&mut count, self.entries.load(Ordering::Relaxed) & u64::from(u32::MAX));
        self.link.outbox.send(FrameKind::Done, &count)
    }
}

fn send_problems(link: &Link, problems: Vec<(Vec<u8>, Problem)>) -> Result<(), Stop> {
    let (mut frame, mut length) = (Vec::<WireProblem>::new(), 0);
    for (path, problem) in problems {
        length += path.len() + problem.message.len();
        frame.push(wire_problem(path, &problem));
        if length >= PROBLEMS_LENGTH || frame.len() >= 1024 {
            link.outbox.send(FrameKind::Problems, &WireProblem::encode_all(&frame))?;
            (frame, length) = (Vec::new(), 0);
        }
    }
    if frame.is_empty() { Ok(()) } else { link.outbox.send(FrameKind::Problems, &WireProblem::encode_all(&frame)) }
}

/// Tells the server now and then that this side is at work, and ends it when its time is over.
fn tick(link: &Link, entries: &AtomicU64, done: &AtomicBool, time_max: Duration) {
    let (start, mut last) = (Instant::now(), Instant::now());
    while !done.load(Ordering::Relaxed) && !link.is_stopped() {
        std::thread::sleep(POLL);
        if !time_max.is_zero() && start.elapsed() > time_max {
            let _ = link.fail(NO_MORE_TIME);
            link.outbox.fault(NO_MORE_TIME); // the other thread waits for the server, which goes away when it has read this
        }
        if last.elapsed() >= PROGRESS_EVERY {
            last = Instant::now();
            let _ = link.send_progress(0, entries.load(Ordering::Relaxed), b"");
        }
    }
}

/// Lets this process open as many files as it may. Returns how many directories may wait for content: a quarter.
fn open_max() -> usize {
    allow_open_files();
    getrlimit(Resource::Nofile).current.map_or(1 << 16, |limit| (limit as usize / 4).clamp(64, 1 << 16))
}
