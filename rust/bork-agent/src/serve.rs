//! One session on standard input and output.

use crate::arguments::Arguments;
use crate::backup::Backup;
use crate::confine;
use crate::fence::Fence;
use crate::link::{Link, greet, read_frame};
use crate::options::names;
use crate::outbox::Limits;
use crate::restore::Restore;
use bork_core::descriptors::allow_open_files;
use bork_core::seam::Stop;
use bork_format::item::Time;
use bork_format::pull::{FrameKind, Hello, Plan, RestorePlan, put_frame};
use crossbeam_channel::bounded;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdir, openat, openat2};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the server has to take the reason why it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Longest reason. Unit: bytes.
const WORDS_LENGTH_MAX: usize = 4096;
/// The client's administrator has set a limit.
pub const NO_MORE_TIME: &str = "this client allows no more time (--max-time)";

/// Speaks with the server until one of them has had enough. Errors: words for a person.
pub fn serve(arguments: &Arguments) -> Result<(), String> {
    let mut input = descriptor(io::stdin().as_fd())?;
    let mut output = descriptor(io::stdout().as_fd())?;
    let fence = Fence::new(&arguments.read, &arguments.write)?;
    drop(names());
    let mut first = Vec::new();
    greet(&mut first).map_err(|error| error.to_string())?;
    put_frame(&mut first, FrameKind::Hello, &hello(arguments, &fence).encode());
    output.write_all(&first).map_err(gone)?;
    let patience = (!arguments.max_time.is_zero()).then(|| Instant::now() + arguments.max_time);
    match read_frame(&mut Patient(&mut input, patience)).map_err(|error| error.to_string())? {
        None => Ok(()), // the server only wanted to know who is there
        Some((FrameKind::Plan, body)) => {
            let plan = Plan::decode(&body).map_err(|error| error.to_string());
            let plan = plan.and_then(|plan| fence.narrow(plan));
            match plan {
                Ok(plan) => backup(plan, &fence, arguments, input, output),
                Err(text) => refuse(&mut output, text),
            }
        }
        Some((FrameKind::RestorePlan, body)) => {
            let plan = RestorePlan::decode(&body).map_err(|error| error.to_string());
            let restore = plan.and_then(|plan| prepare_restore(&plan, &fence));
            match restore {
                Ok((restore, link)) => run_restore(restore, &link, arguments, input, output),
                Err(text) => refuse(&mut output, text),
            }
        }
        Some((kind, _)) => refuse(&mut output, format!("the server began with {kind:?}")),
    }
}

fn gone(error: io::Error) -> String {
    format!("the server went away: {error}")
}

fn descriptor(fd: std::os::fd::BorrowedFd<'_>) -> Result<File, String> {
    fd.try_clone_to_owned().map(File::from).map_err(|error| error.to_string())
}

fn refuse(output: &mut impl Write, text: String) -> Result<(), String> {
    let mut frame = Vec::new();
    put_frame(&mut frame, FrameKind::Fault, &text.as_bytes()[..text.len().min(WORDS_LENGTH_MAX)]);
    let _ = output.write_all(&frame);
    Err(text)
}

fn hello(arguments: &Arguments, fence: &Fence) -> Hello {
    let hostname = rustix::system::uname().nodename().to_bytes().to_vec();
    let clock = clock_gettime(ClockId::Realtime);
    Hello {
        program: env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
        hostname: hostname[..hostname.len().min(255)].to_vec(),
        uid: rustix::process::geteuid().as_raw(),
        reads_all: confine::reads_all(),
        confinement: confine::available().into_bytes(),
        read: fence.read.clone(),
        write: fence.write.clone(),
        writes_all: arguments.write.iter().any(|path| path == b"/"),
        clock: Time { seconds: clock.tv_sec, nanoseconds: clock.tv_nsec as u32 },
    }
}

/// Reads no longer than until a point in time.
struct Patient<'a>(&'a mut File, Option<Instant>);

impl Read for Patient<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(end) = self.1 {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).map_err(io::Error::other)?;
            if poll(&mut [PollFd::new(self.0, PollFlags::IN)], Some(&left))? == 0 {
                return Err(io::Error::other(NO_MORE_TIME));
            }
        }
        self.0.read(out)
    }
}

fn backup(plan: Plan, fence: &Fence, arguments: &Arguments, mut input: File, output: File) -> Result<(), String> {
    let sources: Vec<&[u8]> = plan.roots.iter().map(|(source, _)| source.as_slice()).collect();
    let rate = [plan.rate, arguments.rate].into_iter().filter(|rate| *rate > 0).min().unwrap_or(0);
    let limits = Limits { rate, bytes: arguments.max_bytes, time: arguments.max_time };
    allow_open_files(); // a deep tree, as in a local backup
    confine::to_read(&sources, &fence.read)?;
    watch(limits.time);
    let link = Arc::new(Link::default());
    let backup = Backup::new(plan, Arc::clone(&link), arguments.threads);
    let (mut queue, leaves) = backup.leaves();
    let listener = Arc::clone(&link);
    // Not joined: it sits in a read until the server closes its end.
    std::thread::spawn(move || listen(&listener, &mut input, &mut queue));
    session(&link, output, limits, || backup.run(leaves, limits.time))
}

/// Does the work of a session while what it sends is written. Errors: why it ended early.
fn session(
    link: &Arc<Link>,
    mut output: File,
    limits: Limits,
    work: impl FnOnce() -> Result<(), Stop>,
) -> Result<(), String> {
    let (writing, (done, written)) = (Arc::clone(link), bounded(1));
    // Not joined: it sits in a write as long as the server reads nothing.
    std::thread::spawn(move || {
        let result = writing.outbox.write(&mut output, limits).map_err(|error| {
            let _ = writing.fail(format!("writing to the server: {error}"));
            error.to_string()
        });
        let _ = done.send(result);
    });
    match work() {
        Ok(()) => {
            link.outbox.close();
            written.recv().unwrap_or_else(|_| Err("internal error: the writer panicked".into()))
        }
        Err(_) => {
            let reason = link.reason().unwrap_or_default();
            link.outbox.fault(&reason);
            let _ = written.recv_timeout(LAST_WORDS);
            Err(reason)
        }
    }
}

/// Ends the process when it has had all its time and some more, whatever its threads sit in: a read of a dead file
/// system, a write to a server that takes nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own: what its threads sit in cannot be ended otherwise"
)]
fn watch(time: Duration) {
    if !time.is_zero() {
        std::thread::spawn(move || {
            std::thread::sleep(time.saturating_add(2 * LAST_WORDS));
            eprintln!("bork-agent: {NO_MORE_TIME}");
            std::process::exit(2);
        });
    }
}

/// Opens the target and gives up everything that a restore into it does not need.
fn prepare_restore(plan: &RestorePlan, fence: &Fence) -> Result<(Restore, Arc<Link>), String> {
    let path = fence.narrow_target(&plan.target)?;
    let target = open_target(&path, plan.has("dry_run"))?;
    let link = Arc::new(Link::default());
    let copy = target.as_ref().map(|target| target.try_clone().map_err(|error| error.to_string())).transpose()?;
    let restore = Restore::new(plan, copy, Arc::clone(&link))?;
    match target {
        Some(target) if !plan.has("dry_run") => confine::to_write(target.as_fd())?,
        Some(_) => confine::to_read(&[&path], &fence.write)?,
        None => confine::to_read(&[], &fence.write)?,
    }
    Ok((restore, link))
}

/// The target of a restore, which is made if only its last component is missing; nothing in a dry run of that.
fn open_target(path: &[u8], dry_run: bool) -> Result<Option<OwnedFd>, String> {
    let wrong = |error: Errno| format!("{}: {}", path.escape_ascii(), io::Error::from(error));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = || match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, path, flags, Mode::empty()),
        result => result,
    };
    match open() {
        Err(Errno::NOENT) if dry_run => Ok(None),
        Err(Errno::NOENT) => {
            mkdir(path, Mode::from_raw_mode(0o755)).map_err(wrong)?;
            open().map(Some).map_err(wrong)
        }
        result => result.map(Some).map_err(wrong),
    }
}

fn run_restore(
    restore: Restore,
    link: &Arc<Link>,
    arguments: &Arguments,
    mut input: File,
    output: File,
) -> Result<(), String> {
    watch(arguments.max_time);
    let limits = Limits { rate: arguments.rate, bytes: arguments.max_bytes, time: arguments.max_time };
    session(link, output, limits, || restore.run(&mut input, limits.time))
}

fn listen(link: &Link, input: &mut impl Read, queue: &mut Option<crate::link::LeafQueue>) {
    let _ = link.listen(input, queue);
}
