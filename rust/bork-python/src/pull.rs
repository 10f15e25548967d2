//! The pull engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, borrowed, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_engine::half::PackOptions;
use bork_engine::port::Port;
use bork_engine::pull::{PullEngine as Engine, PullPlan};
use bork_format::Id;
use bork_format::item::Time;
use bork_format::pull::{Hello, Plan as WirePlan, Wire};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::Arc;

/// Backs up what an agent on another host reads.
#[pyclass(frozen, module = "bork.core._native")]
pub struct PullEngine(Engine);

impl Driven for PullEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        self.0.progress()
    }
}

engine_class!(PullEngine writes {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(PullEngine(engine.map_err(to_python)?))
    }

    fn received(&self, py: Python<'_>, data: PyBackedBytes) -> bool {
        let data = borrowed(data);
        py.detach(|| self.0.received(data))
    }

    fn ended(&self) {
        self.0.ended();
    }

    fn remember(&self, py: Python<'_>) {
        py.detach(|| self.0.remember());
    }

    fn forget(&self) {
        self.0.forget();
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<PullPlan> {
    let mut p = Plan::new(dict);
    let wire = compile_wire(&mut p)?;
    let chunker = plan::chunker(&mut p)?;
    let scratch: PathBuf = p.get("scratch_dir")?;
    let packs = PackOptions {
        compression: plan::compression(&mut p)?,
        pack_length: p.get("pack_size")?,
        chunk_length: chunker.longest(),
        scratch: Some(scratch.clone()),
    };
    let previous: Option<Id> = match p.inner("previous")? {
        Some(dict) => Some(crate::id_from(&Plan::new(&dict).get::<Vec<u8>>("root")?, "root")?),
        None => None,
    };
    let (lines, threads) = (plan::lines(&mut p)?, plan::threads(p.get("threads")?));
    let (share_dedup, memory) = (p.get("share_dedup")?, p.get("memory")?);
    p.finish()?;
    Ok(PullPlan { threads, wire, chunker, packs, lines, previous, share_dedup, scratch, memory })
}

/// What the agent is told.
fn compile_wire(p: &mut Plan<'_, '_>) -> PyResult<WirePlan> {
    let roots: Vec<(Vec<u8>, Vec<u8>)> = p.get("roots")?;
    let patterns: Vec<(String, String, Vec<u8>)> = p.get("patterns")?;
    plan::matcher(patterns.clone())?; // a pattern that cannot be understood is the user's to mend, not the agent's
    let patterns = patterns.into_iter().map(|(action, style, text)| {
        let style = <[u8; 2]>::try_from(style.as_bytes()).map_err(|_| plan::invalid("a style has two letters"))?;
        Ok((action.as_bytes().first().copied().unwrap_or(b'-'), style, text))
    });
    let statuses = match p.inner("lines")? {
        Some(lines) => Some(Plan::new(&lines).get::<Option<Vec<u8>>>("filter")?.unwrap_or_default()),
        None => None,
    };
    let chunking = plan::chunker(p)?;
    let compression = plan::compression(p)?;
    let wire = Wire { codec: compression.codec as u8, level: u32::from(compression.level), auto: compression.auto };
    let previous_start: Option<Time> = match p.inner("previous")? {
        Some(dict) => Some(plan::time(Plan::new(&dict).get("start_ns")?)),
        None => None,
    };
    Ok(WirePlan {
        roots: roots
            .into_iter()
            .map(|(source, stored)| (source, if stored == b"." { vec![] } else { stored }))
            .collect(),
        patterns: patterns.collect::<PyResult<_>>()?,
        exclude_if_present: p.get("exclude_if_present")?,
        flags: flags(p)?,
        files_cache: cache_bits(&p.get::<String>("files_cache")?)?,
        files_changed: match p.get::<String>("files_changed")?.as_str() {
            "ctime" => 0,
            "mtime" => 1,
            _ => 2,
        },
        statuses,
        start: plan::time(p.get("start_ns")?),
        previous_start,
        chunking,
        wire,
        id_key: [0; 32],
        chunker_key: [0; 32],
        rate: p.get("rate")?,
    })
}

fn flags(p: &mut Plan<'_, '_>) -> PyResult<u64> {
    let mut bits = 0;
    for (bit, name) in WirePlan::FLAGS.iter().enumerate() {
        let is_set = match *name {
            "own_chunks" => false, // the engine knows
            "xattrs" | "acls" | "flags" | "ctime" | "birthtime" => !p.get::<bool>(&format!("no{name}"))?,
            name => p.get(name)?,
        };
        bits |= u64::from(is_set) << bit;
    }
    Ok(bits)
}

fn cache_bits(words: &str) -> PyResult<u64> {
    words.split(',').try_fold(0, |bits, word| {
        let bit = WirePlan::CACHE_WORDS.iter().position(|known| *known == word);
        bit.map(|bit| bits | 1 << bit).ok_or_else(|| plan::invalid(format!("unknown files_cache word {word:?}")))
    })
}

/// What an agent says of itself, as a dict.
#[pyfunction]
pub fn decode_agent_hello<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let hello = Hello::decode(data).map_err(|error| to_python(error.into()))?;
    let dict = PyDict::new(py);
    let texts = |values: &[Vec<u8>]| values.iter().map(|value| PyBytes::new(py, value)).collect::<Vec<_>>();
    dict.set_item("program", PyBytes::new(py, &hello.program))?;
    dict.set_item("hostname", PyBytes::new(py, &hello.hostname))?;
    dict.set_item("uid", hello.uid)?;
    dict.set_item("reads_all", hello.reads_all)?;
    dict.set_item("confinement", PyBytes::new(py, &hello.confinement))?;
    dict.set_item("read", texts(&hello.read))?;
    dict.set_item("write", texts(&hello.write))?;
    dict.set_item("writes_all", hello.writes_all)?;
    let clock = i128::from(hello.clock.seconds) * 1_000_000_000 + i128::from(hello.clock.nanoseconds);
    dict.set_item("clock_ns", clock)?;
    Ok(dict)
}
