//! The PATH arguments of extract, list and their like, and both kinds of filter together.

use super::text::{normalize, text, without_slashes};
use super::{Compiled, Decision, Matcher, PatternError, REGEX_LENGTH_MAX, Style, build, compile};
use regex::Regex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Paths and patterns of which an item must match one. It remembers which of them did.
///
/// Shared between threads; the memory is one flag for each selection, written once.
#[derive(Debug, Default)]
pub struct PathSelection {
    selections: Vec<Selection>,
}

#[derive(Debug)]
struct Selection {
    style: Style,
    original: Vec<u8>,
    test: Test,
    matched: AtomicBool,
}

#[derive(Debug)]
enum Test {
    Everything,
    Below { directory: Vec<u8>, content_only: bool },
    Full(Vec<u8>),
    Expression(Regex),
}

impl Test {
    /// `path` is without leading slashes, `shown` its text.
    fn matches(&self, path: &[u8], shown: &str) -> bool {
        match self {
            Test::Everything => true,
            Test::Full(full) => path == full,
            Test::Below { directory, content_only } => match path.strip_prefix(&directory[..]) {
                Some([]) => !content_only,
                Some(rest) => rest[0] == b'/',
                None => false,
            },
            Test::Expression(regex) => regex.is_match(shown),
        }
    }
}

impl PathSelection {
    /// Compiles the arguments. With none, every path is selected.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn new(paths: Vec<(Style, Vec<u8>)>) -> Result<PathSelection, PatternError> {
        let selection = |(style, original): (Style, Vec<u8>)| {
            let test = match compile(style, &original)? {
                Compiled::Everything => Test::Everything,
                Compiled::Below { directory, content_only } => Test::Below { directory, content_only },
                Compiled::Full(path) => Test::Full(path),
                Compiled::Expression(expression) => Test::Expression(build(&original, &expression, REGEX_LENGTH_MAX)?),
            };
            Ok(Selection { style, original, test, matched: AtomicBool::new(false) })
        };
        Ok(PathSelection { selections: paths.into_iter().map(selection).collect::<Result<_, _>>()? })
    }

    /// Whether there is no argument, so that every path is selected.
    pub fn is_empty(&self) -> bool {
        self.selections.is_empty()
    }

    /// Whether one of the arguments matches. All that match are remembered, not only the first: Borg would say of
    /// `a/b` after `a` that it never matched.
    pub fn selects(&self, path: &[u8]) -> bool {
        if self.selections.is_empty() {
            return true;
        }
        let path = without_slashes(path);
        let shown = text(path);
        let mut selected = false;
        for selection in &self.selections {
            let known = selection.matched.load(Ordering::Relaxed);
            if !(known && selected) && selection.test.matches(path, &shown) {
                selected = true;
                if !known {
                    selection.matched.store(true, Ordering::Relaxed);
                }
            }
        }
        selected
    }

    /// Whether one of the arguments is `pf` and names exactly this path.
    fn selects_full(&self, path: &[u8]) -> bool {
        let path = without_slashes(path);
        let mut full =
            self.selections.iter().filter(|selection| matches!(&selection.test, Test::Full(full) if full == path));
        full.next().inspect(|selection| selection.matched.store(true, Ordering::Relaxed)).is_some()
    }

    /// The arguments that matched no path so far, as they were given, without their style. Unlike Borg, which does
    /// not count them, this names `pf` paths too: what was asked for by name and is not there must not pass unsaid.
    pub fn never_matched(&self) -> Vec<Vec<u8>> {
        let missed = self.selections.iter().filter(|selection| !selection.matched.load(Ordering::Relaxed));
        missed.map(|selection| selection.original.clone()).collect()
    }

    /// Paths such that all that is selected is one of them or below, in tree order and none below another. None if
    /// that could be anywhere. Not all below them needs to be selected: ask [`Self::selects`].
    ///
    /// A path is named by `pp` and `pf`, and by the directories before the first wildcard of `fm` and `sh`.
    pub fn prefixes(&self) -> Option<Vec<Vec<u8>>> {
        let mut all: Vec<_> = self.selections.iter().map(Selection::prefix).collect::<Option<_>>()?;
        all.sort_by(|left, right| left.split(is_slash).cmp(right.split(is_slash)));
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for path in all {
            let covers =
                |above: &Vec<u8>| path.strip_prefix(&above[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
            if !kept.last().is_some_and(covers) {
                kept.push(path);
            }
        }
        (!kept.is_empty()).then_some(kept)
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

impl Selection {
    fn prefix(&self) -> Option<Vec<u8>> {
        match &self.test {
            Test::Everything => None,
            Test::Below { directory, .. } => Some(directory.clone()),
            Test::Full(path) => Some(path.clone()),
            Test::Expression(_) if self.style == Style::Regex => None,
            Test::Expression(_) => {
                let base = normalize(&self.original);
                let wildcard = base.iter().position(|byte| b"*?[".contains(byte))?;
                let end = base[..wildcard].iter().rposition(is_slash)?;
                Some(base[..end].to_vec())
            }
        }
    }
}

/// Which items of an archive a command works on: exclude patterns first, then PATH arguments, as in Borg.
#[derive(Debug, Default)]
pub struct ItemFilter {
    /// `--exclude`, `--pattern` and their files.
    pub patterns: Matcher,
    /// PATH arguments.
    pub paths: PathSelection,
}

impl ItemFilter {
    /// Whether the item is wanted: a `pf` argument decides first, then the patterns, then the other arguments.
    pub fn wants(&self, path: &[u8]) -> bool {
        if self.patterns.is_empty() {
            return self.paths.selects(path);
        }
        if self.paths.selects_full(path) {
            return true;
        }
        match self.patterns.decide(path) {
            Decision::Include => true,
            Decision::Exclude | Decision::ExcludeNoRecurse => false,
            Decision::Default => self.paths.selects(path),
        }
    }
}
