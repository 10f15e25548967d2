//! What went wrong with one entry of the file system, while the rest goes on.
//!
//! A problem is a value, not an error that unwinds: a backup with an unreadable file goes on, and its exit code is 1
//! in the end. The caller knows the path and adds it; the message says what was tried and what the system answered.
//! Nothing here describes a fault of the repository, which is another type and ends the run (design.md, section 6).

use std::fmt;
use std::io;

/// Why an entry was not read or written as it should be. The words are part of the JSON output and stay stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The entry changed while it was read.
    Changed,
    /// The system reported an error that has no kind of its own.
    Io,
    /// The process lacks a right.
    Permission,
    /// The entry is not there, or vanished.
    NotFound,
    /// Something else replaced the entry between two of our steps.
    Race,
    /// The entry is there, but one of its attributes could not be read or set.
    Metadata,
    /// A symbolic link stands where a parent directory should be.
    SymlinkParent,
    /// A name would lead out of the target.
    PathTraversal,
    /// The repository does not hold its content whole any more.
    Damaged,
}

impl ProblemKind {
    /// All kinds, in the order of their numbers in the pull protocol.
    pub const ALL: [ProblemKind; 9] = {
        use ProblemKind::*;
        [Changed, Io, Permission, NotFound, Race, Metadata, SymlinkParent, PathTraversal, Damaged]
    };

    /// The stable word for this kind.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::Changed => "changed",
            ProblemKind::Io => "io",
            ProblemKind::Permission => "permission",
            ProblemKind::NotFound => "not_found",
            ProblemKind::Race => "race",
            ProblemKind::Metadata => "metadata",
            ProblemKind::SymlinkParent => "symlink_parent",
            ProblemKind::PathTraversal => "path_traversal",
            ProblemKind::Damaged => "damaged",
        }
    }

    /// The kind for an error of the system: missing entry, missing right, or anything else.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => ProblemKind::NotFound,
            io::ErrorKind::PermissionDenied => ProblemKind::Permission,
            _ => ProblemKind::Io,
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that went wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Problem {
    /// Why.
    pub kind: ProblemKind,
    /// What was tried, and what the system answered; without the path.
    pub message: String,
}

impl Problem {
    /// A problem with these words.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Problem { kind, message: message.into() }
    }

    /// A problem from an error of the system; `what` is the step that failed, such as "open".
    pub fn from_io(what: &str, error: impl Into<io::Error>) -> Self {
        Problem::of_io(what, &error.into())
    }

    /// The same from a borrowed error.
    pub fn of_io(what: &str, error: &io::Error) -> Self {
        Problem { kind: ProblemKind::of(error), message: format!("{what}: {}", words(error)) }
    }

    /// A problem with one attribute of an entry that is otherwise there; always of kind [`ProblemKind::Metadata`].
    pub fn metadata(what: &str, error: impl Into<io::Error>) -> Self {
        Problem { kind: ProblemKind::Metadata, message: format!("{what}: {}", words(&error.into())) }
    }
}

/// The system's words, without the number that Rust adds.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => text[..end].to_string(),
        _ => text,
    }
}

/// Bytes of a name as a person can read them, without control characters: `\n` becomes `\n`, `0xff` becomes `\xff`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_stable_word() {
        let words = ProblemKind::ALL.map(ProblemKind::as_str);
        let expected = [
            "changed",
            "io",
            "permission",
            "not_found",
            "race",
            "metadata",
            "symlink_parent",
            "path_traversal",
            "damaged",
        ];
        assert_eq!(words, expected);
        assert_eq!(words, bork_format::pull::PROBLEM_KINDS);
    }

    #[test]
    fn errors_of_the_system_are_sorted_into_kinds() {
        let kind = |code| Problem::from_io("open", io::Error::from_raw_os_error(code)).kind;
        assert_eq!(kind(2), ProblemKind::NotFound);
        assert_eq!(kind(13), ProblemKind::Permission);
        assert_eq!(kind(1), ProblemKind::Permission);
        assert_eq!(kind(5), ProblemKind::Io);
        assert_eq!(Problem::metadata("chown", io::Error::from_raw_os_error(1)).kind, ProblemKind::Metadata);
    }

    #[test]
    fn a_problem_prints_its_kind_and_no_control_characters_of_a_name() {
        let problem = Problem::new(ProblemKind::Io, format!("open {}", printable(b"a\nb\x1b\xff")));
        assert_eq!(problem.to_string(), "io: open a\\nb\\x1b\\xff");
    }
}
