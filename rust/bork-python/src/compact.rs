//! The two engines of a compaction, and the marks that pass from one to the other.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::id_from;
use crate::index::{ChunkIndex, ids};
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_engine::half::PackOptions;
use bork_engine::mark::{MarkEngine as Mark, MarkPlan, Marks as EngineMarks};
use bork_engine::port::Port;
use bork_engine::rewrite::{RewriteEngine as Rewrite, RewritePlan};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;

/// Longest chunk that a compaction can meet. Unit: bytes. See docs/format/pack.md.
const CHUNK_LENGTH_MAX: usize = bork_format::pack::PLAIN_LENGTH_MAX as usize;

/// Which chunks are needed.
#[pyclass(frozen, module = "bork.core._native")]
pub struct Marks(Arc<EngineMarks>);

#[pymethods]
impl Marks {
    #[new]
    fn new(py: Python<'_>, index: &ChunkIndex) -> Self {
        Marks(Arc::new(py.detach(|| EngineMarks::new(&index.0))))
    }

    fn mark_packs(&self, py: Python<'_>, names: Vec<PyBackedBytes>) -> PyResult<()> {
        let names = ids(&names)?;
        py.detach(|| self.0.mark_packs(&names));
        Ok(())
    }

    fn usage<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u64, u64, u64, u64)> {
        let usage = py.detach(|| self.0.usage());
        usage
            .into_iter()
            .map(|(name, usage)| (PyBytes::new(py, &name), usage.length, usage.stored, usage.needed, usage.chunks))
            .collect()
    }
}

/// Marks what archives need.
#[pyclass(frozen, module = "bork.core._native")]
pub struct MarkEngine(Mark);

impl Driven for MarkEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        (0, 0, 0, self.0.progress(), Vec::new())
    }
}

engine_class!(MarkEngine {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex, marks: &Marks) -> PyResult<Self> {
        let mut p = Plan::new(plan);
        let archives: Vec<(String, Vec<u8>)> = p.get("archives")?;
        let archives = archives.into_iter().map(|(name, root)| Ok((name, id_from(&root, "root")?)));
        let plan = MarkPlan { archives: archives.collect::<PyResult<_>>()?, threads: plan::threads(p.get("threads")?) };
        p.finish()?;
        let (keys, index, marks) = (Arc::clone(&keys.0), Arc::clone(&index.0), Arc::clone(&marks.0));
        Ok(MarkEngine(py.detach(|| Mark::start(plan, keys, index, marks)).map_err(to_python)?))
    }
});

/// Moves needed chunks into new packs.
#[pyclass(frozen, module = "bork.core._native")]
pub struct RewriteEngine(Rewrite);

impl Driven for RewriteEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        let (done, total, objects) = self.0.progress();
        (done, total, 0, objects, Vec::new())
    }
}

engine_class!(RewriteEngine writes {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex, marks: &Marks) -> PyResult<Self> {
        let mut p = Plan::new(plan);
        let packs: Vec<Vec<u8>> = p.get("packs")?;
        let options = PackOptions {
            compression: plan::compression(&mut p)?,
            pack_length: p.get("pack_size")?,
            chunk_length: CHUNK_LENGTH_MAX,
            scratch: p.get("scratch_dir")?,
        };
        let packs = packs.iter().map(|name| id_from(name, "pack")).collect::<PyResult<_>>()?;
        let verify = p.get("verify")?;
        let plan = RewritePlan { packs, threads: plan::threads(p.get("threads")?), verify, options };
        p.finish()?;
        let (keys, index, marks) = (Arc::clone(&keys.0), Arc::clone(&index.0), Arc::clone(&marks.0));
        Ok(RewriteEngine(py.detach(|| Rewrite::start(plan, keys, index, marks)).map_err(to_python)?))
    }

    fn kept<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.kept().iter().map(|name| PyBytes::new(py, name)).collect()
    }
});
