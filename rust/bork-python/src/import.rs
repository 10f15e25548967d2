//! The import engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_core::metadata::MetadataOptions;
use bork_core::source::{Changed, FilesCache, SourceOptions};
use bork_engine::half::PackOptions;
use bork_engine::import::{ImportEngine as Engine, ImportPlan, RUN_LENGTH};
use bork_engine::port::Port;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::fs::File;
use std::sync::Arc;

/// Makes an archive of a tar stream.
#[pyclass(frozen, module = "bork.core._native")]
pub struct ImportEngine(Engine);

impl Driven for ImportEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        self.0.progress()
    }
}

engine_class!(ImportEngine writes {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(ImportEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<ImportPlan> {
    let mut p = Plan::new(dict);
    let chunker = plan::chunker(&mut p)?;
    let source = SourceOptions {
        metadata: MetadataOptions::default(),
        names: None,
        file_systems: Vec::new(),
        files_cache: FilesCache {
            ctime: false,
            mtime: false,
            size: false,
            inode: false,
            rechunk: false,
            disabled: true,
        },
        files_changed: Changed::Disabled,
        read_special: false,
        exclude_nodump: false,
        dry_run: false,
        stdin: None,
        start: plan::time(0),
        previous_start: None,
        chunker,
        lines: plan::lines(&mut p)?,
    };
    let packs = PackOptions {
        compression: plan::compression(&mut p)?,
        pack_length: p.get("pack_size")?,
        chunk_length: chunker.longest(),
        scratch: p.get("scratch_dir")?,
    };
    let plan = ImportPlan {
        threads: plan::threads(p.get("threads")?),
        file: File::from(plan::duplicate(p.get("fd")?)?),
        name: p.get("name")?,
        ignore_zeros: p.get("ignore_zeros")?,
        source,
        packs,
        run_length: RUN_LENGTH,
    };
    p.finish()?;
    Ok(plan)
}
