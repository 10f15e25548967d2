//! The diff engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_core::pattern::ItemFilter;
use bork_engine::diff::{DiffEngine as Engine, DiffPlan, FIELDS, Rules, SortKey};
use bork_engine::port::Port;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Compares two archives.
#[pyclass(frozen, module = "bork.core._native")]
pub struct DiffEngine(Engine);

impl Driven for DiffEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        let (items, path) = self.0.progress();
        (items, 0, 0, 0, path)
    }
}

engine_class!(DiffEngine {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(DiffEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<DiffPlan> {
    let mut p = Plan::new(dict);
    let roots = [
        crate::id_from(&p.get::<Vec<u8>>("old_root")?, "root")?,
        crate::id_from(&p.get::<Vec<u8>>("new_root")?, "root")?,
    ];
    let texts: Vec<(String, Vec<u8>)> = p.get("paths")?;
    let plan = DiffPlan {
        roots,
        filter: ItemFilter { patterns: plan::matcher(p.get("patterns")?)?, paths: plan::selection(texts.clone())? },
        paths: texts.into_iter().map(|(word, text)| Ok((plan::style(&word)?, text))).collect::<PyResult<_>>()?,
        rules: Rules { numeric_ids: p.get("numeric_ids")?, content_only: p.get("content_only")? },
        compare_chunks: p.get("compare_chunks")?,
        json_lines: p.get("json_lines")?,
        sort_by: p.get::<Vec<(String, bool)>>("sort_by")?.into_iter().map(sort_key).collect::<PyResult<_>>()?,
    };
    p.finish()?;
    Ok(plan)
}

fn sort_key((name, is_descending): (String, bool)) -> PyResult<SortKey> {
    let found = FIELDS.iter().find(|(field, _)| *field == name);
    found.map(|(_, field)| (*field, is_descending)).ok_or_else(|| plan::invalid(format!("no sort field {name:?}")))
}
