//! The read engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_core::pattern::ItemFilter;
use bork_core::render::{ArchiveKeys, Format};
use bork_core::writer::Options as WriteOptions;
use bork_engine::error::EngineError;
use bork_engine::port::Port;
use bork_engine::read::{ListFormat, Mode, ReadEngine as Engine, ReadPlan, TarFormat};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

/// Reads an archive.
#[pyclass(frozen, module = "bork.core._native")]
pub struct ReadEngine(Engine);

impl Driven for ReadEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        let (done, total, count, name) = self.0.progress();
        (done, total, 0, count, name)
    }
}

engine_class!(ReadEngine {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(ReadEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<ReadPlan> {
    let mut p = Plan::new(dict);
    let plan = compile_plan(&mut p)?;
    p.finish()?;
    Ok(plan)
}

/// A plan, of a dict that may hold more.
pub fn compile_plan(p: &mut Plan<'_, '_>) -> PyResult<ReadPlan> {
    let root = crate::id_from(&p.get::<Vec<u8>>("root")?, "root")?;
    let filter = ItemFilter { patterns: plan::matcher(p.get("patterns")?)?, paths: plan::selection(p.get("paths")?)? };
    let no = |p: &mut Plan<'_, '_>, key: &str| p.get::<bool>(key).map(|value| !value);
    let write = WriteOptions {
        numeric_ids: p.get("numeric_ids")?,
        xattrs: no(p, "noxattrs")?,
        acls: no(p, "noacls")?,
        flags: no(p, "noflags")?,
    };
    let target: PathBuf = p.get("target")?;
    let (format, json_lines): (String, bool) = (p.get("format")?, p.get("json_lines")?);
    let (name, id): (Vec<u8>, String) = (p.get("archive_name")?, p.get("archive_id")?);
    let tar_format = TarFormat::named(&p.get::<String>("tar_format")?);
    let mode = match p.get::<String>("mode")?.as_str() {
        "extract" => Mode::Extract(target),
        "dry_run" => Mode::DryRun,
        "stdout" => Mode::Stdout,
        "tar" => Mode::Tar(tar_format.ok_or_else(|| plan::invalid("unknown tar_format"))?),
        "list" => {
            let archive = ArchiveKeys { name: &name, id: &id };
            let format = Format::new(&format, &archive)
                .map_err(|error| to_python(EngineError::Plan(format!("--format {format}: {error}"))))?;
            Mode::List(ListFormat { format: Mutex::new(Some(format)), json_lines })
        }
        other => return Err(plan::invalid(format!("unknown mode {other:?}"))),
    };
    Ok(ReadPlan {
        threads: plan::threads(p.get("threads")?),
        root,
        filter,
        strip_components: p.get("strip_components")?,
        mode,
        write,
        names: plan::names(p)?,
        file_systems: p.get("file_systems")?,
        sparse: p.get("sparse")?,
        lines: plan::lines(p)?,
        need_total: p.get("need_total")?,
    })
}
