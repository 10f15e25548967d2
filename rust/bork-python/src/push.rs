//! The push engine.

use crate::error::to_python;
use crate::events::{borrowed, fetched, next_event};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::Plan;
use crate::read::compile_plan;
use bork_engine::read::{PushEngine as Engine, ReadPlan};
use bork_format::pull::RestorePlan;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::sync::Arc;

/// Restores an archive through an agent on another host.
#[pyclass(frozen, module = "bork.core._native")]
pub struct PushEngine(Engine);

#[pymethods]
impl PushEngine {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let (plan, wire) = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, wire, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(PushEngine(engine.map_err(to_python)?))
    }

    fn received(&self, py: Python<'_>, data: PyBackedBytes) -> bool {
        let data = borrowed(data);
        py.detach(|| self.0.received(data))
    }

    fn ended(&self) {
        self.0.ended();
    }

    fn next_event(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Option<Py<PyAny>>> {
        next_event(py, self.0.reader().port(), timeout_s)
    }

    #[expect(unused_variables, reason = "nothing is stored")]
    fn stored(&self, token: u64) {}

    fn fetched(&self, token: u64, data: Vec<PyBackedBytes>) {
        fetched(self.0.reader().port(), token, data);
    }

    fn fetch_failed(&self, token: u64, message: String) {
        self.0.reader().port().answer(token, Err(message));
    }

    fn progress<'py>(&self, py: Python<'py>) -> (u64, u64, u64, u64, Bound<'py, PyBytes>) {
        let (done, total, count, name) = self.0.reader().progress();
        (done, total, 0, count, PyBytes::new(py, &name))
    }

    fn cancel(&self) {
        self.0.reader().port().cancel();
    }
}

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<(ReadPlan, RestorePlan)> {
    let mut p = Plan::new(dict);
    let plan = compile_plan(&mut p)?;
    let dry_run: bool = p.get("dry_run")?;
    let wire = RestorePlan { target: p.get("remote_target")?, flags: flags(&plan, dry_run) };
    p.finish()?;
    Ok((plan, wire))
}

fn flags(plan: &ReadPlan, dry_run: bool) -> u64 {
    let write = &plan.write;
    let is_set = |name: &str| match name {
        "numeric_ids" => write.numeric_ids,
        "xattrs" => write.xattrs,
        "acls" => write.acls,
        "flags" => write.flags,
        _ => dry_run,
    };
    RestorePlan::FLAGS.iter().enumerate().fold(0, |bits, (bit, name)| bits | u64::from(is_set(name)) << bit)
}
