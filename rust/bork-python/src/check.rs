//! The check engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::id_from;
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_engine::check::{CheckEngine as Engine, CheckPlan};
use bork_engine::port::Port;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Checks packs and archives.
#[pyclass(frozen, module = "bork.core._native")]
pub struct CheckEngine(Engine);

impl Driven for CheckEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        let (done, total, count, name) = self.0.progress();
        (done, total, 0, count, name)
    }
}

engine_class!(CheckEngine {
    #[new]
    #[pyo3(signature = (plan, keys, index))]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: Option<&Keys>, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let keys = keys.map(|keys| Arc::clone(&keys.0));
        let engine = py.detach(|| Engine::start(plan, keys, Arc::clone(&index.0)));
        Ok(CheckEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<CheckPlan> {
    let mut p = Plan::new(dict);
    let packs: Vec<(Vec<u8>, u64)> = p.get("packs")?;
    let archives: Vec<(String, Vec<u8>)> = p.get("archives")?;
    let plan = CheckPlan {
        threads: plan::threads(p.get("threads")?),
        packs: packs.iter().map(|(name, length)| Ok((id_from(name, "pack")?, *length))).collect::<PyResult<_>>()?,
        archives: archives
            .into_iter()
            .map(|(name, root)| Ok((name, id_from(&root, "root")?)))
            .collect::<PyResult<_>>()?,
        verify_data: p.get("verify_data")?,
    };
    p.finish()?;
    Ok(plan)
}
