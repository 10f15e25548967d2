//! Files that wait for their content, in the order in which it comes.

use bork_core::problem::{Problem, ProblemKind};
use bork_core::writer::{Directory, Writer, set_length, write_at};
use bork_format::item::Item;
use bork_format::pull::Run;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What the server must not send.
pub struct Wrong(pub String);

impl From<bork_format::Error> for Wrong {
    fn from(error: bork_format::Error) -> Self {
        Wrong(error.to_string())
    }
}

/// A file whose content is on its way. What has its name until then stays.
pub struct Pending {
    directory: Arc<Directory>,
    name: Vec<u8>,
    item: Item,
    /// Further names, made when it is whole.
    pub names: Vec<(Arc<Directory>, Vec<u8>)>,
    /// No file of its batch comes after it.
    is_last: bool,
}

impl Pending {
    /// A file of this name.
    pub fn new(directory: Arc<Directory>, name: Vec<u8>, item: Item) -> Self {
        Pending { directory, name, item, names: Vec::new(), is_last: false }
    }
}

/// How far the first file is.
#[derive(Default)]
struct State {
    file: Option<OwnedFd>,
    at: u64,
    ends_in_hole: bool,
    /// It is left out; the problem, unless the server knows it.
    failed: Option<Option<Problem>>,
}

/// A file that is complete, or left out.
pub struct Finished {
    /// Its item.
    pub item: Item,
    /// Whether it is there.
    pub is_whole: bool,
    /// With it and its further names.
    pub problems: Vec<(Vec<u8>, Problem)>,
}

/// All that wait.
#[derive(Default)]
pub struct Files {
    queue: VecDeque<Pending>,
    /// Number of the first in the queue.
    first: u64,
    open_batches: usize,
    state: State,
    /// So that what is cut short can be removed whatever happens.
    writer: Option<Writer>,
}

impl Files {
    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Batches that have files here.
    pub fn open_batches(&self) -> usize {
        self.open_batches
    }

    /// Further names that wait for a first one.
    pub fn names(&self) -> usize {
        self.queue.iter().map(|pending| pending.names.len()).sum()
    }

    /// Number of the file that is pushed next.
    pub fn next_number(&self) -> u64 {
        self.first + self.queue.len() as u64
    }

    /// Behind all others.
    pub fn push(&mut self, pending: Pending) {
        self.queue.push_back(pending);
    }

    /// The file with a number, while it waits.
    pub fn waiting(&mut self, number: u64) -> Option<&mut Pending> {
        self.queue.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// All files of a batch have been pushed.
    pub fn end_batch(&mut self) {
        if let Some(last) = self.queue.back_mut().filter(|last| !last.is_last) {
            last.is_last = true;
            self.open_batches += 1;
        }
    }

    /// The next run, of the first file. What goes wrong with the file itself is told when it has ended.
    pub fn run(&mut self, run: Run<'_>, writer: &Writer) -> Result<(), Wrong> {
        let pending = self.queue.front().ok_or_else(|| Wrong("it is of no file".into()))?;
        let length = match run {
            Run::Failed => {
                self.state.failed.get_or_insert(None);
                self.state.at = pending.item.size;
                return Ok(());
            }
            Run::Data(bytes) => bytes.len() as u64,
            Run::Hole(length) => u64::from(length),
        };
        if length > pending.item.size - self.state.at {
            return Err(Wrong("it is longer than its file".into()));
        }
        self.writer.get_or_insert_with(|| writer.clone());
        if self.state.failed.is_none()
            && let Err(problem) = self.state.write(pending, run, writer)
        {
            self.state.failed = Some(Some(problem));
        }
        self.state.at += length;
        Ok(())
    }

    /// Completes the first file, if its content has come.
    pub fn take_done(&mut self, writer: &Writer) -> Option<Finished> {
        if self.queue.front()?.item.size != self.state.at {
            return None;
        }
        let pending = self.queue.pop_front()?;
        self.first += 1;
        self.open_batches -= usize::from(pending.is_last);
        let mut state = std::mem::take(&mut self.state);
        if state.failed.is_none()
            && let Err(problem) = state.finish(&pending, writer)
        {
            state.failed = Some(Some(problem));
        }
        if let Some(file) = state.file.take() {
            writer.abandon(&pending.directory, &pending.name, file);
        }
        let mut problems = Vec::new();
        if let Some(Some(problem)) = &state.failed {
            problems.push((pending.directory.path_of(&pending.name), problem.clone()));
        }
        for (directory, name) in &pending.names {
            let made = match state.failed {
                None => writer.hard_link(directory, name, &pending.directory, &pending.name),
                Some(_) => Err(Problem::new(ProblemKind::NotFound, "the file that it is a name of was not restored")),
            };
            problems.extend(made.err().map(|problem| (directory.path_of(name), problem)));
        }
        Some(Finished { item: pending.item, is_whole: state.failed.is_none(), problems })
    }
}

impl Drop for Files {
    /// Half a file must not look like one.
    fn drop(&mut self) {
        if let (Some(file), Some(pending), Some(writer)) = (self.state.file.take(), self.queue.front(), &self.writer) {
            writer.abandon(&pending.directory, &pending.name, file);
        }
    }
}

impl State {
    fn open(&mut self, pending: &Pending, writer: &Writer) -> Result<&OwnedFd, Problem> {
        if self.file.is_none() {
            self.file = Some(writer.create_file(&pending.directory, &pending.name, &pending.item)?);
        }
        self.file.as_ref().ok_or_else(|| Problem::new(ProblemKind::Io, "it is not open"))
    }

    fn write(&mut self, pending: &Pending, run: Run<'_>, writer: &Writer) -> Result<(), Problem> {
        let at = self.at;
        self.ends_in_hole = matches!(run, Run::Hole(_));
        let file = self.open(pending, writer)?;
        match run {
            Run::Data(bytes) => write_at(file.as_fd(), at, bytes).map_err(|error| Problem::from_io("write", error)),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, pending: &Pending, writer: &Writer) -> Result<(), Problem> {
        let ends_in_hole = self.ends_in_hole;
        let file = self.open(pending, writer)?;
        if ends_in_hole {
            set_length(file.as_fd(), pending.item.size).map_err(|error| Problem::from_io("set length", error))?;
        }
        match self.file.take() {
            Some(file) => writer.finish_file(&pending.directory, &pending.name, file, &pending.item),
            None => Ok(()),
        }
    }
}
