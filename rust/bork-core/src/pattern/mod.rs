//! Borg's pattern language: which paths to take, which to leave, and into which directories not to look.
//!
//! Patterns and paths are raw bytes. A regular expression needs characters, so bytes that are not UTF-8 are shown to
//! it as private ones, one for each byte, in pattern and path alike (`text.rs`); a path that is UTF-8 is matched where
//! it lies. Five styles:
//!
//! | style | matches |
//! |---|---|
//! | `fm` | a glob whose `*` crosses `/`: a path or a directory above it; with `/` at the end only its content |
//! | `sh` | the same, but `*` does not cross `/`, and `**/` is any number of directories, or none |
//! | `re` | a regular expression in Python's syntax, anywhere in the path (`python.rs`) |
//! | `pp` | this path and all below it |
//! | `pf` | exactly this path; wins over all other patterns, wherever it stands |
//!
//! Otherwise the first pattern that matches decides. A `/` at the beginning of a pattern or path is dropped.
//! Tests compare thousands of pattern and path pairs with what Borg 1.4.5 answered.
//!
//! All matching is linear in the length of the path. Patterns without wildcards are looked up, not tried; if there
//! are several others, one automaton of all of them first answers the common case, that none matches.

mod glob;
mod literals;
mod python;
mod selection;
mod text;

pub use selection::{ItemFilter, PathSelection};

use literals::Literals;
use regex::{Regex, RegexBuilder};
use std::collections::HashMap;
use text::{normalize, text, without_slashes};

/// Largest compiled form of one regular expression, and of their union. Unit: bytes.
const REGEX_LENGTH_MAX: usize = 64 << 20;

/// What a pattern asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `+`
    Include,
    /// `-`: exclude, but look into a directory, as something in it may be included.
    Exclude,
    /// `!`: exclude, and do not look into a directory.
    ExcludeNoRecurse,
}

/// The language of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `fm:`
    Fnmatch,
    /// `sh:`
    Shell,
    /// `re:`
    Regex,
    /// `pp:`
    PathPrefix,
    /// `pf:`
    PathFull,
}

/// What the patterns say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decision {
    /// No pattern matches.
    #[default]
    Default,
    /// Included by a pattern.
    Include,
    /// Excluded, but look into a directory.
    Exclude,
    /// Excluded with everything below.
    ExcludeNoRecurse,
}

impl From<Action> for Decision {
    fn from(action: Action) -> Decision {
        match action {
            Action::Include => Decision::Include,
            Action::Exclude => Decision::Exclude,
            Action::ExcludeNoRecurse => Decision::ExcludeNoRecurse,
        }
    }
}

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?}: {why}")]
pub struct PatternError {
    /// The pattern, without its style.
    pub pattern: String,
    /// One sentence.
    pub why: String,
}

/// What a pattern becomes.
enum Compiled {
    /// Matches every path.
    Everything,
    /// Matches this path (unless `content_only`) and all below it.
    Below { directory: Vec<u8>, content_only: bool },
    /// Matches exactly this path.
    Full(Vec<u8>),
    /// Matches what this expression finds in the [`text`] of a path.
    Expression(String),
}

fn compile(style: Style, pattern: &[u8]) -> Result<Compiled, PatternError> {
    let complaint = |why: String| PatternError { pattern: String::from_utf8_lossy(pattern).into_owned(), why };
    Ok(match style {
        Style::Fnmatch => glob::compile(pattern, true).map_err(complaint)?,
        Style::Shell => glob::compile(pattern, false).map_err(complaint)?,
        Style::Regex => Compiled::Expression(python::translate(&text(pattern)).map_err(complaint)?),
        Style::PathFull => Compiled::Full(normalize(pattern)),
        Style::PathPrefix => match normalize(pattern) {
            root if root.is_empty() => Compiled::Everything,
            directory => Compiled::Below { directory, content_only: false },
        },
    })
}

fn build(pattern: &[u8], expression: &str, length_max: usize) -> Result<Regex, PatternError> {
    RegexBuilder::new(expression).size_limit(length_max).build().map_err(|error| PatternError {
        pattern: String::from_utf8_lossy(pattern).into_owned(),
        why: match error {
            regex::Error::CompiledTooBig(limit) => format!("it needs more than {limit} bytes"),
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        },
    })
}

/// An ordered list of patterns, compiled. `Send` and `Sync`; threads that share one contend for its caches, so give
/// each thread a clone (cheap: the compiled expressions are shared).
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    decisions: Vec<Decision>,
    full: HashMap<Vec<u8>, Decision>,
    rules: Rules,
}

/// The patterns that stand in order, by position: all but `pf`.
#[derive(Debug, Clone, Default)]
struct Rules {
    everything: Option<usize>,
    literals: Literals,
    expressions: Vec<(usize, Regex)>,
    union: Option<Regex>,
}

impl Matcher {
    /// Compiles patterns; the first that matches wins, and of equal `pf` patterns the last.
    ///
    /// # Errors
    /// A `re` pattern that is no regular expression or needs what takes more than linear time (look-around, back
    /// references), a backward range in a `sh` pattern, or an expression that is too large.
    pub fn new(patterns: Vec<(Action, Style, Vec<u8>)>) -> Result<Matcher, PatternError> {
        Matcher::within(patterns, REGEX_LENGTH_MAX)
    }

    /// The same, for patterns of somebody who is not trusted: each expression, and the union of all, takes at most
    /// `length_max` bytes when compiled.
    ///
    /// # Errors
    /// As above.
    pub fn within(patterns: Vec<(Action, Style, Vec<u8>)>, length_max: usize) -> Result<Matcher, PatternError> {
        let mut matcher = Matcher::default();
        for (action, style, pattern) in &patterns {
            let place = matcher.decisions.len();
            match compile(*style, pattern)? {
                Compiled::Full(path) => {
                    matcher.full.insert(path, Decision::from(*action));
                    continue;
                }
                other => matcher.rules.add(place, pattern, other, length_max)?,
            }
            matcher.decisions.push(Decision::from(*action));
        }
        matcher.rules.finish(length_max);
        Ok(matcher)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty() && self.full.is_empty()
    }

    /// What the patterns say of `path`. Cost: none without patterns; no allocation if `path` is UTF-8.
    pub fn decide(&self, path: &[u8]) -> Decision {
        if self.is_empty() {
            return Decision::Default;
        }
        let path = without_slashes(path);
        if !self.full.is_empty()
            && let Some(decision) = self.full.get(path)
        {
            return *decision;
        }
        self.rules.first(path).map_or(Decision::Default, |place| self.decisions[place])
    }
}

impl Rules {
    /// `place` must not fall from call to call.
    fn add(&mut self, place: usize, pattern: &[u8], compiled: Compiled, length_max: usize) -> Result<(), PatternError> {
        match compiled {
            Compiled::Everything => {
                self.everything.get_or_insert(place);
            }
            Compiled::Below { directory, content_only } => self.literals.add(place, directory, content_only),
            Compiled::Expression(expression) => {
                self.expressions.push((place, build(pattern, &expression, length_max)?))
            }
            Compiled::Full(_) => {}
        }
        Ok(())
    }

    /// Builds the union. It is only a shortcut: if it is too large, or group names collide, there is none.
    fn finish(&mut self, length_max: usize) {
        if self.expressions.len() > 1 {
            let parts: Vec<_> = self.expressions.iter().map(|(_, regex)| format!("(?:{})", regex.as_str())).collect();
            self.union = build(b"", &parts.join("|"), length_max).ok();
        }
    }

    /// Place of the first pattern that matches a path without leading slashes.
    fn first(&self, path: &[u8]) -> Option<usize> {
        let best = [self.everything, self.literals.first(path)].into_iter().flatten().min();
        let limit = best.unwrap_or(usize::MAX);
        if self.expressions.first().is_none_or(|(place, _)| *place > limit) {
            return best;
        }
        let text = text(path);
        if self.union.as_ref().is_some_and(|union| !union.is_match(&text)) {
            return best;
        }
        let mut candidates = self.expressions.iter().take_while(|(place, _)| *place < limit);
        candidates.find(|(_, regex)| regex.is_match(&text)).map(|(place, _)| *place).or(best)
    }
}

#[cfg(test)]
mod tests;
