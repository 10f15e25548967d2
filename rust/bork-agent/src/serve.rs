//! One session on standard input and output.

use crate::arguments::Arguments;
use crate::backup::Backup;
use crate::confine;
use crate::fence::Fence;
use crate::link::{Link, greet, read_frame};
use crate::options::names;
use crate::outbox::Limits;
use crate::restore::Restore;
use bork_core::seam::Stop;
use bork_format::item::Time;
use bork_format::pull::{FrameKind, Hello, Plan, RestorePlan, put_frame};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdir, openat, openat2};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

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
    match read_frame(&mut input).map_err(|error| error.to_string())? {
        None => Ok(()), // the server only wanted to know who is there
        Some((FrameKind::Plan, body)) => {
            let plan = Plan::decode(&body).map_err(|error| error.to_string());
            let plan = plan.and_then(|plan| fence.narrow(plan));
            match plan {
                Ok(plan) => backup(plan, arguments, input, &mut output),
                Err(text) => refuse(&mut output, text),
            }
        }
        Some((FrameKind::RestorePlan, body)) => {
            let plan = RestorePlan::decode(&body).map_err(|error| error.to_string());
            let restore = plan.and_then(|plan| prepare_restore(&plan, &fence));
            match restore {
                Ok((restore, link)) => run_restore(restore, &link, arguments, input, &mut output),
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
    put_frame(&mut frame, FrameKind::Fault, text.as_bytes());
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

fn backup(plan: Plan, arguments: &Arguments, mut input: File, output: &mut File) -> Result<(), String> {
    let sources: Vec<&[u8]> = plan.roots.iter().map(|(source, _)| source.as_slice()).collect();
    let rate = [plan.rate, arguments.rate].into_iter().filter(|rate| *rate > 0).min().unwrap_or(0);
    let limits = Limits { rate, bytes: arguments.max_bytes, time: arguments.max_time };
    confine::to_read(&sources)?;
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
    output: &mut File,
    limits: Limits,
    work: impl FnOnce() -> Result<(), Stop>,
) -> Result<(), String> {
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            link.outbox.write(output, limits).map_err(|error| {
                let _ = link.fail(format!("writing to the server: {error}"));
                error.to_string()
            })
        });
        let result = work();
        match result {
            Ok(()) => link.outbox.close(),
            Err(_) => link.outbox.fault(&link.reason().unwrap_or_default()),
        }
        let written = writer.join().unwrap_or_else(|_| Err("internal error".into()));
        match result {
            Ok(()) => written,
            Err(_) => Err(link.reason().unwrap_or_default()),
        }
    })
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
        Some(_) => confine::to_read(&[&path])?,
        None => confine::to_read(&[])?,
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
    output: &mut File,
) -> Result<(), String> {
    let limits = Limits { rate: arguments.rate, bytes: arguments.max_bytes, time: arguments.max_time };
    session(link, output, limits, || restore.run(&mut input, limits.time))
}

fn listen(link: &Link, input: &mut impl Read, queue: &mut Option<crate::link::LeafQueue>) {
    let _ = link.listen(input, queue);
}
