//! Plans: dicts from the control plane, compiled once into the engines' own structures. Unknown keys are refused, so
//! that a misspelt option cannot be dropped without a word.

use crate::error::to_python;
use bork_core::chunker::ChunkerParams;
use bork_core::compress::CompressionSpec;
use bork_core::metadata::NameTables;
use bork_core::pattern::{Action, Matcher, PathSelection, PatternError, Style};
use bork_core::source::LineFormat;
use bork_engine::error::EngineError;
use bork_format::item::Time;
use bork_format::pack::Codec;
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashSet;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A plan that is being taken apart.
pub struct Plan<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    taken: HashSet<String>,
}

impl<'a, 'py> Plan<'a, 'py> {
    /// Starts.
    pub fn new(dict: &'a Bound<'py, PyDict>) -> Self {
        Plan { dict, taken: HashSet::new() }
    }

    /// A value that must be there.
    pub fn get<T: FromPyObjectOwned<'py>>(&mut self, key: &str) -> PyResult<T> {
        self.taken.insert(key.to_string());
        let value = self.dict.get_item(key)?.ok_or_else(|| invalid(format!("the plan lacks {key:?}")))?;
        value.extract::<T>().map_err(|error| {
            let error: PyErr = error.into();
            invalid(format!("the plan's {key:?} is of the wrong type: {error}"))
        })
    }

    /// A dict inside the plan, or `None`.
    pub fn inner(&mut self, key: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.taken.insert(key.to_string());
        match self.dict.get_item(key)? {
            Some(value) if !value.is_none() => Ok(Some(value.cast_into::<PyDict>().map_err(PyErr::from)?)),
            _ => Ok(None),
        }
    }

    /// Refuses keys that nobody took.
    pub fn finish(self) -> PyResult<()> {
        for key in self.dict.keys() {
            let key: String = key.extract()?;
            if !self.taken.contains(&key) {
                return Err(invalid(format!("the plan has an unknown key {key:?}")));
            }
        }
        Ok(())
    }
}

/// A `ValueError`.
pub fn invalid(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

/// The style that two letters name.
pub fn style(word: &str) -> PyResult<Style> {
    Ok(match word {
        "fm" => Style::Fnmatch,
        "sh" => Style::Shell,
        "re" => Style::Regex,
        "pp" => Style::PathPrefix,
        "pf" => Style::PathFull,
        _ => return Err(invalid(format!("unknown pattern style {word:?}"))),
    })
}

fn pattern_error(error: PatternError) -> PyErr {
    to_python(EngineError::Pattern { pattern: error.pattern, why: error.why })
}

/// Patterns: `(action, style, text)`.
pub fn matcher(patterns: Vec<(String, String, Vec<u8>)>) -> PyResult<Matcher> {
    let patterns = patterns
        .into_iter()
        .map(|(action, word, text)| {
            let action = match action.as_str() {
                "+" => Action::Include,
                "-" => Action::Exclude,
                "!" => Action::ExcludeNoRecurse,
                _ => return Err(invalid(format!("unknown pattern action {action:?}"))),
            };
            Ok((action, style(&word)?, text))
        })
        .collect::<PyResult<Vec<_>>>()?;
    Matcher::new(patterns).map_err(pattern_error)
}

/// PATH arguments: `(style, text)`.
pub fn selection(paths: Vec<(String, Vec<u8>)>) -> PyResult<PathSelection> {
    let paths = paths.into_iter().map(|(word, text)| Ok((style(&word)?, text))).collect::<PyResult<Vec<_>>>()?;
    PathSelection::new(paths).map_err(pattern_error)
}

/// `lines`: None, or format and filter.
pub fn lines(plan: &mut Plan<'_, '_>) -> PyResult<Option<LineFormat>> {
    let Some(dict) = plan.inner("lines")? else { return Ok(None) };
    let mut inner = Plan::new(&dict);
    let format: String = inner.get("format")?;
    let filter: Option<Vec<u8>> = inner.get("filter")?;
    inner.finish()?;
    Ok(Some(LineFormat { json: format == "json", filter }))
}

/// `compression`.
pub fn compression(plan: &mut Plan<'_, '_>) -> PyResult<CompressionSpec> {
    let dict = plan.inner("compression")?.ok_or_else(|| invalid("the plan lacks \"compression\""))?;
    let mut inner = Plan::new(&dict);
    let word: String = inner.get("codec")?;
    let codec = match word.as_str() {
        "none" => Codec::None,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        "zlib" => Codec::Zlib,
        "lzma" => Codec::Lzma,
        _ => return Err(invalid(format!("unknown codec {word:?}"))),
    };
    let (level, auto, obfuscate) = (inner.get("level")?, inner.get("auto")?, inner.get("obfuscate")?);
    inner.finish()?;
    Ok(CompressionSpec { codec, level, auto, obfuscate })
}

/// `chunker`: `("gear", min, max, average exponent)` or `("fixed", block, header)`.
pub fn chunker(plan: &mut Plan<'_, '_>) -> PyResult<ChunkerParams> {
    let value: Bound<'_, PyAny> = plan.get("chunker")?;
    let params = if let Ok((name, min_exponent, max_exponent, mask_bits)) = value.extract::<(String, u8, u8, u8)>() {
        (name == "gear").then_some(ChunkerParams::Gear { min_exponent, max_exponent, mask_bits })
    } else if let Ok((name, block, header)) = value.extract::<(String, u32, u32)>() {
        (name == "fixed").then_some(ChunkerParams::Fixed { block, header })
    } else {
        None
    };
    params.filter(ChunkerParams::is_valid).ok_or_else(|| invalid("the plan's \"chunker\" is not one that bork knows"))
}

/// `names`: None, or what the `passwd` and the `group` of a foreign root hold.
pub fn names(plan: &mut Plan<'_, '_>) -> PyResult<Option<Arc<NameTables>>> {
    let files: Option<(Vec<u8>, Vec<u8>)> = plan.get("names")?;
    Ok(files.map(|(passwd, group)| Arc::new(NameTables::parse(&passwd, &group))))
}

/// Number of worker threads; 0 asks for as many as the machine has cores.
pub fn threads(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        threads => threads,
    }
}

/// Nanoseconds since 1970 as a time.
pub fn time(ns: i64) -> Time {
    Time { seconds: ns.div_euclid(1_000_000_000), nanoseconds: ns.rem_euclid(1_000_000_000) as u32 }
}

/// A duplicate of a descriptor that Python owns.
pub fn duplicate(fd: i32) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(invalid("a descriptor is negative"));
    }
    // SAFETY: the caller holds the descriptor open during this call; it is only duplicated.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(borrowed.try_clone_to_owned()?)
}
