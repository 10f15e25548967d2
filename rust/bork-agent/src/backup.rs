//! A backup: walker and workers of the source half, with the line to the server where a local backup has a repository.

use crate::link::{LeafQueue, Leaves, Link, leaf_queue};
use crate::options::{chunker, compression, matcher, source};
use crate::sink::{Sent, SinkContext, WireSink};
use crate::sources::Sources;
use bork_core::identify::SourceKeys;
use bork_core::problem::ProblemKind;
use bork_core::seam::{NoPrevious, Previous, Stop};
use bork_core::source::{BodyBytes, Shared, Task, UnitResult, WINDOW_UNITS, Worker};
use bork_core::walk::{FileSystems, Root, RootKind, Unit, WalkOptions, Walker, sort_roots};
use bork_format::codec::put_varint;
use bork_format::pull::{Entry, FrameKind, Plan, Problem, Status, Unit as WireUnit};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
/// A buffer of a large file holds the longest chunk and this much more. Unit: bytes.
const BUFFER_ROOM: usize = 1 << 20;
/// A unit whose entries are longer is sent in parts. Unit: bytes.
const PART_LENGTH: usize = 2 << 20;
/// How often the server hears how far it is, and how long it may hear nothing.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A backup that is about to begin.
pub struct Backup {
    plan: Plan,
    link: Arc<Link>,
    threads: usize,
}

type Run = Shared<WireSink>;

impl Backup {
    /// `threads`: workers, at least 1.
    pub fn new(plan: Plan, link: Arc<Link>, threads: usize) -> Self {
        Backup { plan, link, threads: threads.max(1) }
    }

    /// Where the leaves of the previous archive are put, and where the walk finds them.
    pub fn leaves(&self) -> (Option<LeafQueue>, Option<Leaves>) {
        if self.plan.previous_start.is_none() {
            return (None, None);
        }
        let (queue, leaves) = leaf_queue(&self.link);
        (Some(queue), Some(leaves))
    }

    /// Walks, reads and sends everything. `Err(Stop)`: the link knows why.
    pub fn run(self, leaves: Option<Leaves>, time_max: Duration) -> Result<(), Stop> {
        let Backup { plan, link, threads } = self;
        let wrong = |text: String| link.fail(text);
        let matcher = matcher(&plan).map_err(wrong)?;
        let roots = plan.roots.iter().map(|(source, stored)| Root {
            source: source.clone(),
            stored: stored.clone(),
            kind: RootKind::Tree,
        });
        let roots = sort_roots(roots.collect()).map_err(|error| wrong(error.to_string()))?;
        let sources = Sources::of(&roots);
        let walk = WalkOptions {
            one_file_system: plan.has("one_file_system"),
            exclude_caches: plan.has("exclude_caches"),
            exclude_if_present: plan.exclude_if_present.clone(),
            keep_exclude_tags: plan.has("keep_exclude_tags"),
            exclude_nodump: plan.has("exclude_nodump"),
            skip: Vec::new(),
            matcher,
            base: None,
            file_systems: FileSystems::default(),
        };
        let keys = SourceKeys { id: plan.id_key.into(), chunker: plan.chunker_key.into() };
        let chunker = chunker(&plan).map_err(wrong)?;
        let compression = compression(&plan).map_err(wrong)?;
        let (shared, units, results) =
            Run::new(source(&plan, chunker), keys.clone(), threads, chunker.longest() + BUFFER_ROOM, Arc::default());
        let asks = plan.has("own_chunks");
        let context = Arc::new(SinkContext { link: Arc::clone(&link), keys, sent: Sent::default(), asks });
        let sinks: Vec<WireSink> = (0..threads)
            .map(|_| WireSink::new(Arc::clone(&context), compression))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        let total = OnceLock::new();
        std::thread::scope(|scope| {
            let run = Threads { scope, shared: &shared, link: &link };
            let workers: Vec<_> = sinks.into_iter().map(|sink| run.worker(sink)).collect();
            let (window, total) = (bounded(WINDOW_UNITS), &total);
            match leaves {
                Some(leaves) => run.walker(|| Walker::new(roots, walk, leaves), units, window.0, total),
                None => run.walker(|| Walker::new(roots, walk, NoPrevious), units, window.0, total),
            };
            run.reporter(time_max);
            let result = assemble(&shared, &link, &results, &window.1, total, workers)
                .and_then(|sent| sources.verify().map(|()| sent).map_err(|text| link.fail(text)))
                .and_then(|sent| finish(&link, sent));
            if result.is_err() {
                let _ = link.fail("a thread ended early");
            }
            shared.stop.store(true, Ordering::Relaxed);
            result
        })
    }
}

/// Starts threads; whatever ends one early ends the run.
struct Threads<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Arc<Run>,
    link: &'env Arc<Link>,
}

impl<'scope> Threads<'scope, '_> {
    fn spawn(&self, work: impl FnOnce() -> Result<(), Stop> + Send + 'scope) -> ScopedJoinHandle<'scope, ()> {
        let (shared, link) = (Arc::clone(self.shared), Arc::clone(self.link));
        self.scope.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            if !matches!(result, Ok(Ok(()))) {
                let _ = link.fail("internal error: a thread panicked");
                shared.stop.store(true, Ordering::Relaxed);
            }
        })
    }

    fn worker(&self, sink: WireSink) -> ScopedJoinHandle<'scope, ()> {
        let shared = Arc::clone(self.shared);
        self.spawn(move || Worker::new(&shared, sink).run().map(drop))
    }

    fn walker<P: Previous + 'scope>(
        &self,
        make: impl FnOnce() -> Walker<P> + Send + 'scope,
        units: Sender<Unit>,
        window: Sender<()>,
        total: &'scope OnceLock<u64>,
    ) -> ScopedJoinHandle<'scope, ()> {
        let link = Arc::clone(self.link);
        self.spawn(move || {
            let mut walker = make(); // waits for the first leaf
            let mut count = 0;
            while let Some(unit) = walker.next_unit() {
                count += 1;
                send(&window, (), &link)?;
                send(&units, unit, &link)?;
            }
            let _ = total.set(count);
            Ok(())
        })
    }

    /// Tells the server now and then how far it is, and stops everything when the line or the time has ended.
    fn reporter(&self, time_max: Duration) {
        let (shared, link) = (Arc::clone(self.shared), Arc::clone(self.link));
        self.spawn(move || {
            let (start, mut last, mut told) = (Instant::now(), Instant::now(), (0, 0));
            while !shared.is_stopped() {
                std::thread::sleep(POLL);
                if !time_max.is_zero() && start.elapsed() > time_max {
                    let _ = link.fail(crate::serve::NO_MORE_TIME);
                }
                if link.is_stopped() {
                    shared.stop.store(true, Ordering::Relaxed);
                    break;
                }
                let (bytes, files, path) = shared.progress.read();
                let is_news = (bytes, files) != told && last.elapsed() >= PROGRESS_EVERY;
                if is_news || last.elapsed() >= SILENCE_MAX {
                    (last, told) = (Instant::now(), (bytes, files));
                    link.send_progress(bytes, files, &path)?;
                }
            }
            Ok(())
        });
    }
}

fn send<T>(channel: &Sender<T>, mut value: T, link: &Link) -> Result<(), Stop> {
    loop {
        if link.is_stopped() {
            return Err(Stop);
        }
        match channel.send_timeout(value, POLL) {
            Ok(()) => return Ok(()),
            Err(crossbeam_channel::SendTimeoutError::Timeout(back)) => value = back,
            Err(crossbeam_channel::SendTimeoutError::Disconnected(_)) => return Err(Stop),
        }
    }
}

/// Sends what the workers have found, in order. The result is the number of units.
fn assemble(
    shared: &Run,
    link: &Link,
    results: &Receiver<UnitResult>,
    window: &Receiver<()>,
    total: &OnceLock<u64>,
    workers: Vec<ScopedJoinHandle<'_, ()>>,
) -> Result<u64, Stop> {
    let filter = shared.options.lines.as_ref().and_then(|lines| lines.filter.as_deref());
    let mut sent = 0;
    shared.in_order(results, window, total, |result| {
        parts(wire_unit(result, filter)).into_iter().try_for_each(|unit| {
            sent += 1;
            link.send_compressed(FrameKind::Unit, &unit.encode())
        })
    })?;
    for _ in &workers {
        send(&shared.tasks.0, Task::Exit, link)?;
    }
    for worker in workers {
        let _ = worker.join();
    }
    if shared.is_stopped() || link.is_stopped() {
        return Err(Stop);
    }
    Ok(sent)
}

/// All units are sent: so many.
fn finish(link: &Link, sent: u64) -> Result<(), Stop> {
    let mut count = Vec::new();
    put_varint(&mut count, sent);
    link.outbox.send(FrameKind::Done, &count)
}

/// A result as the server gets it: entries of the previous archive by their numbers, and only statuses that it wants.
fn wire_unit(result: UnitResult, filter: Option<&[u8]>) -> WireUnit {
    let mut entries: Vec<Entry> = Vec::with_capacity(result.items.len());
    for (path, body, _) in result.items {
        match body {
            BodyBytes::New(body) => entries.push(Entry::New(path, body)),
            BodyBytes::Kept(body) => match entries.last_mut() {
                Some(Entry::Kept { ordinal, count }) if *ordinal + *count == body.ordinal() => *count += 1,
                _ => entries.push(Entry::Kept { ordinal: body.ordinal(), count: 1 }),
            },
        }
    }
    let is_wanted = |letter| filter.is_none_or(|wanted| wanted.is_empty() || wanted.contains(&letter));
    let statuses = result.statuses.into_iter().filter(|status| status.link.is_some() || is_wanted(status.letter));
    let statuses = statuses.map(|s| Status { letter: s.letter, path: s.path, linked: s.link.is_some() }).collect();
    let problems = result.problems.into_iter().map(|(path, problem)| wire_problem(path, &problem)).collect();
    WireUnit { files: result.files, entries, links: result.links, statuses, problems }
}

/// The unit in frames that are not too long: the last part has what is not entries.
fn parts(mut unit: WireUnit) -> Vec<WireUnit> {
    let (mut parts, mut entries, mut length) = (Vec::new(), Vec::new(), 0);
    for entry in std::mem::take(&mut unit.entries) {
        if let Entry::New(path, body) = &entry {
            length += path.len() + body.len();
        }
        entries.push(entry);
        if length >= PART_LENGTH {
            parts.push(WireUnit { entries: std::mem::take(&mut entries), ..WireUnit::default() });
            length = 0;
        }
    }
    parts.push(WireUnit { entries, ..unit });
    parts
}

/// A problem as the server gets it.
pub fn wire_problem(path: Vec<u8>, problem: &bork_core::problem::Problem) -> Problem {
    let kind = ProblemKind::ALL.iter().position(|kind| *kind == problem.kind).unwrap_or_default();
    Problem { path, kind, message: problem.message.clone().into_bytes() }
}
