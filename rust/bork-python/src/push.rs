//! The push engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, borrowed, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::Plan;
use crate::read::compile_plan;
use bork_engine::port::Port;
use bork_engine::read::{PushEngine as Engine, ReadPlan};
use bork_format::pull::RestorePlan;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Restores an archive through an agent on another host.
#[pyclass(frozen, module = "bork.core._native")]
pub struct PushEngine(Engine);

impl Driven for PushEngine {
    fn port(&self) -> &Port {
        self.0.reader().port()
    }

    fn counters(&self) -> Counters {
        let (done, total, count, name) = self.0.reader().progress();
        (done, total, 0, count, name)
    }
}

engine_class!(PushEngine {
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

    #[expect(unused_variables, reason = "nothing is stored")]
    fn stored(&self, token: u64) {}
});

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
