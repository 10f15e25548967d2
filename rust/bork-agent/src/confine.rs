//! Give up what a session does not need, for good: capabilities, system calls (seccomp), files (Landlock).
//!
//! A session that reads opens nothing for writing, changes nothing, starts nothing, and opens no socket; where the
//! kernel has Landlock it opens only what is below its roots. One that writes starts nothing and opens no socket
//! either, and opens and makes only what is below its target. All of this comes on top of the checks of
//! [`crate::fence`], which hold without it.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

/// Newest Landlock that this was written for; older kernels give what they have.
const LANDLOCK: ABI = ABI::V5;

/// Most memory that the agent ever has. Unit: bytes.
const DATA_LENGTH_MAX: u64 = 512 << 20;

/// What reading takes: everything else fails as if the kernel did not know it.
const READING: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_fadvise64,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_geteuid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_ppoll,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
/// Calls that only some machines have.
#[cfg(target_arch = "x86_64")]
const READING_HERE: &[i64] = &[libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const READING_HERE: &[i64] = &[];

/// What writing takes besides.
const WRITING: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];
#[cfg(target_arch = "x86_64")]
const WRITING_HERE: &[i64] = &[libc::SYS_chmod];
#[cfg(not(target_arch = "x86_64"))]
const WRITING_HERE: &[i64] = &[];

/// Whether this process may read what its user may not.
pub fn reads_all() -> bool {
    let wanted = CapabilitySet::DAC_READ_SEARCH;
    let override_ = CapabilitySet::DAC_OVERRIDE;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.intersects(wanted | override_))
}

/// What the kernel has, for a person.
pub fn available() -> String {
    let landlock = Ruleset::default().handle_access(AccessFs::ReadFile).and_then(Ruleset::create).is_ok();
    let seccomp = std::path::Path::new("/proc/sys/kernel/seccomp").exists();
    let words = [("landlock", landlock), ("seccomp", seccomp)];
    words.iter().filter(|(_, has)| *has).map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
}

/// From now on this process only reads, and only below `roots` and, if there are any, below one of `fences`. Call it
/// before any thread is started.
///
/// Errors: a kernel that has the means refuses them; then nothing may go on.
pub fn to_read(roots: &[&[u8]], fences: &[Vec<u8>]) -> Result<(), String> {
    // A backstop: what a server asks for has limits of its own, which together are less.
    let limit = Rlimit { current: Some(DATA_LENGTH_MAX), maximum: Some(DATA_LENGTH_MAX) };
    let _ = rustix::process::setrlimit(Resource::Data, limit); // refused where the limit is lower already
    drop_capabilities(CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER | CapabilitySet::SYS_ADMIN)?;
    // Two layers: a root that became a link meanwhile leads to no more than the administrator allows.
    if !fences.is_empty() {
        read_below(&fences.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    }
    read_below(roots)?;
    filter(reading_calls()?)
}

/// From now on this process writes only below `target`, an open directory. Call it before any thread is started.
///
/// Errors: as [`to_read`].
pub fn to_write(target: BorrowedFd<'_>) -> Result<(), String> {
    let owners = CapabilitySet::CHOWN | CapabilitySet::FOWNER | CapabilitySet::FSETID | CapabilitySet::SETFCAP;
    let files = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::MKNOD;
    drop_capabilities(owners | files | CapabilitySet::LINUX_IMMUTABLE | CapabilitySet::SYS_ADMIN)?;
    write_below(target)?;
    let mut rules = reading_calls()?;
    rules.extend(WRITING.iter().chain(WRITING_HERE).map(|call| (*call, Vec::new())));
    let flags = [libc::FS_IOC_GETFLAGS, libc::FS_IOC_SETFLAGS];
    rules.insert(libc::SYS_ioctl, flags.iter().map(|call| equal(1, *call as u32)).collect::<Result<_, _>>()?);
    filter(rules)
}

/// Keeps reading everything, not updating access times, and trusted attributes: whatever of it the process has.
fn drop_capabilities(kept: CapabilitySet) -> Result<(), String> {
    let Ok(sets) = rustix::thread::capabilities(None) else { return Ok(()) };
    let kept = CapabilitySets {
        effective: sets.effective & kept,
        permitted: sets.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, kept).map_err(|error| format!("giving up capabilities: {error}"))
}

fn read_below(roots: &[&[u8]]) -> Result<(), String> {
    let denied = |error: landlock::RulesetError| format!("Landlock: {error}");
    let all = AccessFs::from_all(LANDLOCK);
    let mut ruleset = Ruleset::default().handle_access(all).and_then(Ruleset::create).map_err(denied)?;
    for root in roots {
        // What cannot be opened is reported by the walk. Of a link nothing but itself is read.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(fd) = rustix::fs::open(OsStr::from_bytes(root), flags, Mode::empty()) else { continue };
        let access = match rustix::fs::fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) => AccessFs::ReadFile | AccessFs::ReadDir,
            Ok(FileType::Symlink) | Err(_) => continue,
            Ok(_) => AccessFs::ReadFile.into(),
        };
        ruleset = ruleset.add_rule(PathBeneath::new(fd, access)).map_err(denied)?;
    }
    let status = ruleset.restrict_self().map_err(denied)?;
    let _: RulesetStatus = status.ruleset; // a kernel without Landlock: the fence alone holds
    Ok(())
}

fn write_below(target: BorrowedFd<'_>) -> Result<(), String> {
    let denied = |error: landlock::RulesetError| format!("Landlock: {error}");
    // The first Landlock forbids hard links between directories altogether.
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if ruleset.handle_access(AccessFs::Refer).is_err() {
        return Ok(());
    }
    let all = AccessFs::from_all(LANDLOCK);
    let allowed = all & !(AccessFs::Execute | AccessFs::MakeSock);
    let ruleset = Ruleset::default().handle_access(all).and_then(Ruleset::create).map_err(denied)?;
    let ruleset = ruleset.add_rule(PathBeneath::new(target, allowed)).map_err(denied)?;
    let status = ruleset.restrict_self().map_err(denied)?;
    let _: RulesetStatus = status.ruleset; // a kernel without Landlock: openat2 and the writer alone hold
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The calls of a session that reads.
fn reading_calls() -> Result<Rules, String> {
    let mut rules: Rules = READING.iter().chain(READING_HERE).map(|call| (*call, Vec::new())).collect();
    let changing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
    rules.insert(libc::SYS_openat, vec![masked(2, changing as u64, 0)?]);
    // Flags of files are read; nothing is changed, and no terminal is steered.
    rules.insert(libc::SYS_ioctl, vec![equal(1, libc::FS_IOC_GETFLAGS as u32)?]);
    rules.insert(libc::SYS_clone, vec![masked(0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)?]);
    Ok(rules)
}

/// Whether the lower half of the argument is `value`.
fn equal(argument: u8, value: u32) -> Result<SeccompRule, String> {
    masked(argument, u64::from(u32::MAX), u64::from(value))
}

/// Whether `argument & mask == value`.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, String> {
    let operation = SeccompCmpOp::MaskedEq(mask);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| error.to_string())
}

fn filter(rules: Rules) -> Result<(), String> {
    let Ok(machine) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let program: BpfProgram = SeccompFilter::new(rules, unknown, SeccompAction::Allow, machine)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("seccomp: {error}"))?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(()),
        // A kernel without seccomp.
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(())
        }
        Err(error) => Err(format!("seccomp: {error}")),
    }
}
