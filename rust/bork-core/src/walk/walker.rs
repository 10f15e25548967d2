//! The walker: one thread that turns roots into a sequence of units.

use super::directory::{Dir, NameKind, Names};
use super::filesystem::{FileSystems, MetFileSystem, describe};
use super::join::{Body, Join};
use super::pseudo::{is_pseudo, is_remote_pseudo};
use super::roots::{Root, RootKind, below};
use crate::fence;
use crate::pattern::{Decision, Matcher};
use crate::problem::{Problem, ProblemKind};
use crate::seam::Previous;
use crate::stat::{Stat, stat_at, stat_fd};
use bork_format::item::TYPE_DIRECTORY;
use bork_format::node::{check_path, compare};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::cmp::Ordering;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Most entries of one unit: enough to make hand-overs cheap, few enough to spread a directory over workers.
pub const UNIT_ENTRIES_MAX: usize = 256;
const CACHE_TAG: &CStr = c"CACHEDIR.TAG";
const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What the walk leaves out.
#[derive(Default)]
pub struct WalkOptions {
    /// Stay on the file system of each root.
    pub one_file_system: bool,
    /// Leave out directories with a valid CACHEDIR.TAG.
    pub exclude_caches: bool,
    /// Leave out directories that hold one of these names.
    pub exclude_if_present: Vec<Vec<u8>>,
    /// Keep the tag files of directories that are left out.
    pub keep_exclude_tags: bool,
    /// Leave out directories with the nodump flag, and what is in them.
    pub exclude_nodump: bool,
    /// Directories that are passed over in silence, by device and inode: the repository itself, the cache.
    pub skip: Vec<(u64, u64)>,
    /// Patterns.
    pub matcher: Matcher,
    /// The foreign root in which paths to read have their meaning; `None`: this machine's.
    pub base: Option<OwnedFd>,
    /// File systems that the backup wants to know of.
    pub file_systems: FileSystems,
}

/// How a worker is to treat an entry.
pub enum EntryKind {
    /// A directory that is already open; it is an item of its own.
    Directory(Arc<Dir>),
    /// Not a directory, as far as known.
    Other(NameKind),
    /// The content of a descriptor.
    Stdin,
    /// Left out by a pattern or a tag: only reported.
    Excluded,
    /// Not readable: reported, nothing stored.
    Failed(Problem),
}

/// One entry of a directory.
pub struct Entry {
    /// The directory that it is in.
    pub dir: Arc<Dir>,
    name: u32,
    /// How to treat it.
    pub kind: EntryKind,
    /// Encoded body of the same path in the previous archive.
    pub previous: Option<Body>,
}

/// A run of entries in tree order.
#[derive(Default)]
pub struct Unit {
    /// Counts up from 0 without gaps.
    pub sequence: u64,
    /// At most [`UNIT_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// File systems that were met here first.
    pub met: Vec<MetFileSystem>,
    names: Vec<u8>,
}

impl Unit {
    fn push(&mut self, dir: &Arc<Dir>, name: &CStr, kind: EntryKind, previous: Option<Body>) {
        let start = self.names.len() as u32;
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push(Entry { dir: Arc::clone(dir), name: start, kind, previous });
    }

    /// Name of one of its entries; empty for a root that is its own directory.
    pub fn name(&self, entry: &Entry) -> &CStr {
        CStr::from_bytes_until_nul(&self.names[entry.name as usize..]).expect("stored with its zero byte")
    }
}

struct Frame {
    dir: Arc<Dir>,
    names: Names,
    device: u64,
    /// That of the root in which it lies.
    root_device: u64,
}

/// A root that is not there, in the directory where it should be.
struct Absent(Option<Dir>, CString, Problem);

impl Absent {
    fn report(self, unit: &mut Unit) {
        let Absent(Some(dir), name, problem) = self else { return };
        unit.push(&Arc::new(dir), &name, EntryKind::Failed(problem), None);
    }
}

/// Walks roots in tree order.
pub struct Walker<P> {
    options: WalkOptions,
    roots: std::vec::IntoIter<Root>,
    frames: Vec<Frame>,
    previous: Join<P>,
    sequence: u64,
    root_device: u64,
    /// The entry of a path list is visited: it is stored whatever patterns and tags say, without what is in it.
    is_alone: bool,
}

impl<P: Previous> Walker<P> {
    /// `roots` come from [`super::sort_roots`].
    pub fn new(roots: Vec<Root>, options: WalkOptions, previous: P) -> Self {
        let previous = Join::new(previous);
        Walker {
            options,
            roots: roots.into_iter(),
            frames: Vec::new(),
            previous,
            sequence: 0,
            root_device: 0,
            is_alone: false,
        }
    }

    /// The next run of entries; `None` at the end.
    pub fn next_unit(&mut self) -> Option<Unit> {
        let mut unit = Unit { sequence: self.sequence, ..Unit::default() };
        while unit.entries.len() < UNIT_ENTRIES_MAX {
            if let Some(order) = self.next_is_root() {
                let depth = self.frames.len() - 1;
                let is_there = self.start_next_root(&mut unit);
                if order == Ordering::Equal && is_there {
                    self.frames[depth].names.advance();
                }
                continue;
            }
            let Some(frame) = self.frames.last_mut() else {
                if self.roots.as_slice().is_empty() {
                    break;
                }
                self.start_next_root(&mut unit);
                continue;
            };
            let Some((name, kind)) = frame.names.advance() else {
                self.frames.pop();
                continue;
            };
            let (dir, name) = (Arc::clone(&frame.dir), CString::from(name));
            self.root_device = frame.root_device;
            let device = Some(frame.device);
            self.visit(&dir, &name, kind, device, &mut unit);
        }
        self.sequence += 1;
        (!unit.entries.is_empty()).then_some(unit)
    }

    /// Whether the next root has its place inside the one that is walked, and before the next name (`Less`) or instead
    /// of it (`Equal`).
    fn next_is_root(&self) -> Option<Ordering> {
        let root = self.roots.as_slice().first()?;
        below(&self.frames.first()?.dir.path, &root.stored)?;
        let frame = self.frames.last()?;
        let next = frame.dir.stored(frame.names.peek()?.to_bytes());
        Some(compare(&root.stored, &next)).filter(|order| order.is_le())
    }

    /// Whether it is there.
    fn start_next_root(&mut self, unit: &mut Unit) -> bool {
        let Some(root) = self.roots.next() else { return false };
        if root.kind == RootKind::Stdin {
            start_stdin(&root, unit);
            return true;
        }
        let (mut dir, name, stat) = match self.find(&root) {
            Ok(found) => found,
            Err(absent) => {
                absent.report(unit);
                return false;
            }
        };
        self.root_device = stat.device;
        let is_directory = stat.mode & 0o170_000 == TYPE_DIRECTORY;
        if !is_directory {
            dir.class = self.classify(&dir, stat.device, unit);
        }
        let dir = Arc::new(dir);
        let kind = if is_directory { NameKind::Directory } else { NameKind::Other };
        let depth = self.frames.len();
        self.is_alone = root.kind == RootKind::Entry;
        self.visit(&dir, &name, kind, None, unit);
        if std::mem::take(&mut self.is_alone) {
            self.frames.truncate(depth);
        }
        true
    }

    /// The directory that holds a root, the name of the root in it (empty for a root that is its own directory), and
    /// what it is.
    fn find(&self, root: &Root) -> Result<(Dir, CString, Stat), Absent> {
        let (parent, name) = split(&root.source);
        let (parent, name) = if root.stored.is_empty() { (&root.source[..], &b""[..]) } else { (parent, name) };
        let stored_parent = if root.stored.is_empty() { &b""[..] } else { split_stored(&root.stored) };
        let shown_parent = if parent == b"." { Vec::new() } else { parent.to_vec() };
        let name = match CString::new(name) {
            Ok(name) => name,
            Err(error) => return Err(Absent(None, CString::default(), Problem::from_io("open", error))),
        };
        let dir = |fd| Dir::new(fd, stored_parent.to_vec(), shown_parent, None);
        let fd = match self.open_parent(parent) {
            Ok(fd) => fd,
            // Reported at the root's own path, through an entry without a place.
            Err(error) => {
                let here = openat(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                return Err(Absent(here.ok().map(dir), name, Problem::from_io("open", error)));
            }
        };
        let dir = dir(fd);
        let stat = if name.is_empty() { stat_fd(dir.fd()) } else { stat_at(dir.fd(), &name) };
        match stat {
            Ok(stat) => Ok((dir, name, stat)),
            Err(error) => Err(Absent(Some(dir), name, Problem::of_io("stat", &error))),
        }
    }

    /// Opens the directory that holds a root. Links in the way to it are followed.
    fn open_parent(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        match &self.options.base {
            Some(base) => fence::pin(base.as_fd(), path, OFlags::DIRECTORY),
            None => Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?),
        }
    }

    /// Which file system of the list a directory lies on. What is met for the first time goes with the unit.
    fn classify(&mut self, dir: &Dir, device: u64, unit: &mut Unit) -> Option<u8> {
        let is_new = !self.options.file_systems.knows(device);
        let class = self.options.file_systems.class(dir.fd(), device)?;
        if is_new {
            unit.met.push(describe(dir.fd(), dir.shown(b""), class, device));
        }
        Some(class)
    }

    /// `device`: that of the directory; `None` for an entry that the user named.
    fn visit(&mut self, dir: &Arc<Dir>, name: &CStr, kind: NameKind, device: Option<u64>, unit: &mut Unit) {
        let hidden_directory = kind == NameKind::Unknown
            && stat_at(dir.fd(), name).is_ok_and(|stat| stat.mode & 0o170_000 == TYPE_DIRECTORY);
        let kind = if hidden_directory { NameKind::Directory } else { kind };
        let decision = self.decide(dir, name);
        let is_excluded = matches!(decision, Decision::Exclude | Decision::ExcludeNoRecurse);
        let stored = dir.stored(name.to_bytes());
        if check_path(&stored).is_err() {
            let problem = Problem::new(ProblemKind::Io, "its path is longer than 65,535 bytes");
            unit.push(dir, name, EntryKind::Failed(problem), None);
            return;
        }
        if kind == NameKind::Directory && decision != Decision::ExcludeNoRecurse {
            self.enter(dir, name, stored, device, is_excluded, unit);
        } else if is_excluded {
            unit.push(dir, name, EntryKind::Excluded, None);
        } else {
            let previous = self.previous.find(&stored);
            unit.push(dir, name, EntryKind::Other(kind), previous);
        }
    }

    fn decide(&self, dir: &Dir, name: &CStr) -> Decision {
        if self.is_alone || self.options.matcher.is_empty() {
            return Decision::Default;
        }
        let shown = dir.shown(name.to_bytes());
        self.options.matcher.decide(shown.strip_prefix(b"/").unwrap_or(&shown))
    }

    /// `device`: that of the parent, or `None` for a directory that the user named.
    fn enter(
        &mut self,
        dir: &Arc<Dir>,
        name: &CStr,
        stored: Vec<u8>,
        device: Option<u64>,
        excluded: bool,
        unit: &mut Unit,
    ) {
        let is_root = device.is_none();
        let opened = Dir::open_at(dir.fd(), if name.is_empty() { c"." } else { name }).and_then(|fd| {
            // The root of relative paths has no name in front of theirs.
            let shown = if name.is_empty() { dir.source.clone() } else { dir.shown(name.to_bytes()) };
            let child = Dir::new(fd, stored, shown, dir.class);
            let stat = stat_fd(child.fd())?;
            Ok((child, stat))
        });
        let (mut child, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(dir, name, &error, excluded, unit),
        };
        if self.options.skip.contains(&(stat.device, stat.inode)) {
            return;
        }
        if self.options.exclude_nodump && stat.nodump {
            unit.push(dir, name, EntryKind::Excluded, None);
            return;
        }
        let child_device = stat.device;
        let other_device = device.is_some_and(|device| child_device != device);
        if is_root || other_device {
            child.class = self.classify(&child, child_device, unit);
        }
        let stays_empty = !is_root
            && other_device
            && ((self.options.one_file_system && child_device != self.root_device) || is_pseudo(child.fd()));
        let names = if stays_empty || self.is_alone { Ok(Names::default()) } else { Names::read(child.fd()) };
        let mut names = match names {
            Ok(names) => names,
            Err(error) => {
                unit.push(dir, name, EntryKind::Failed(Problem::from_io("readdir", error)), None);
                Names::default()
            }
        };
        if child.class.is_some() && !is_root && is_remote_pseudo(&names) {
            names = Names::default();
        }
        let tags = self.tags(&child, &names);
        if !tags.is_empty() {
            if excluded || !self.options.keep_exclude_tags {
                unit.push(dir, name, EntryKind::Excluded, None);
                return;
            }
            names.retain(|name| tags.iter().any(|tag| tag == name));
            child.is_tagged = true;
        }
        let child = Arc::new(child);
        if excluded {
            unit.push(dir, name, EntryKind::Excluded, None);
        } else {
            let previous = self.previous.find(&child.path);
            unit.push(dir, name, EntryKind::Directory(Arc::clone(&child)), previous);
        }
        let root_device = self.root_device;
        self.frames.push(Frame { dir: child, names, device: child_device, root_device });
    }

    /// A directory that cannot be opened still is an item (its metadata can be read); its content is a problem.
    fn unreadable(&mut self, dir: &Arc<Dir>, name: &CStr, error: &io::Error, excluded: bool, unit: &mut Unit) {
        if excluded {
            unit.push(dir, name, EntryKind::Excluded, None);
            return;
        }
        unit.push(dir, name, EntryKind::Failed(Problem::of_io("dir_open", error)), None);
    }

    /// The tag files that make the directory one to be left out.
    fn tags(&self, dir: &Dir, names: &Names) -> Vec<Vec<u8>> {
        let mut tags = Vec::new();
        if self.options.exclude_caches && names.contains(CACHE_TAG.to_bytes()) && has_cache_signature(dir) {
            tags.push(CACHE_TAG.to_bytes().to_vec());
        }
        tags.extend(self.options.exclude_if_present.iter().filter(|tag| names.contains(tag)).cloned());
        tags
    }
}

fn start_stdin(root: &Root, unit: &mut Unit) {
    let parent = split_stored(&root.stored);
    let name = root.stored.strip_prefix(parent).unwrap_or(&root.stored);
    let name = CString::new(name.strip_prefix(b"/").unwrap_or(name));
    let here = openat(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    if let (Ok(name), Ok(here)) = (name, here) {
        let dir = Arc::new(Dir::new(here, parent.to_vec(), parent.to_vec(), None));
        unit.push(&dir, &name, EntryKind::Stdin, None);
    }
}

fn has_cache_signature(dir: &Dir) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut start = [0; CACHE_TAG_SIGNATURE.len()];
    openat(dir.fd(), CACHE_TAG, flags, Mode::empty())
        .and_then(|fd| rustix::io::pread(&fd, &mut start, 0))
        .is_ok_and(|length| start[..length] == *CACHE_TAG_SIGNATURE)
}

/// Parent and last component of a path on the machine.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let path = match path.iter().rposition(|byte| *byte != b'/') {
        Some(last) => &path[..=last],
        None => path,
    };
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn split_stored(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}
