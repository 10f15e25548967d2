//! The recreate engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_core::chunker::ChunkerParams;
use bork_core::pattern::ItemFilter;
use bork_engine::half::PackOptions;
use bork_engine::port::Port;
use bork_engine::recreate::{Recompress, RecreateEngine as Engine, RecreatePlan, TagOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// Makes an archive of another one.
#[pyclass(frozen, module = "bork.core._native")]
pub struct RecreateEngine(Engine);

impl Driven for RecreateEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        self.0.progress()
    }
}

engine_class!(RecreateEngine writes {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(RecreateEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<RecreatePlan> {
    let mut p = Plan::new(dict);
    let root = crate::id_from(&p.get::<Vec<u8>>("root")?, "root")?;
    let filter = ItemFilter { patterns: plan::matcher(p.get("patterns")?)?, paths: plan::selection(p.get("paths")?)? };
    let tags = TagOptions {
        exclude_caches: p.get("exclude_caches")?,
        exclude_if_present: p.get("exclude_if_present")?,
        keep_exclude_tags: p.get("keep_exclude_tags")?,
    };
    let recompress = match p.get::<String>("recompress")?.as_str() {
        "never" => Recompress::Never,
        "if-different" => Recompress::IfDifferent,
        "always" => Recompress::Always,
        other => return Err(plan::invalid(format!("unknown recompress {other:?}"))),
    };
    let chunker = plan::chunker(&mut p)?;
    let rechunk: bool = p.get("rechunk")?;
    let packs = PackOptions {
        compression: plan::compression(&mut p)?,
        pack_length: p.get("pack_size")?,
        chunk_length: longest(chunker, rechunk),
        scratch: p.get("scratch_dir")?,
    };
    let plan = RecreatePlan {
        threads: plan::threads(p.get("threads")?),
        root,
        filter,
        tags,
        dry_run: p.get("dry_run")?,
        lines: plan::lines(&mut p)?,
        recompress,
        chunker: rechunk.then_some(chunker),
        packs,
        tables: p.get("tables")?,
    };
    p.finish()?;
    Ok(plan)
}

/// Chunks that are only compressed anew may have been cut by any chunker.
fn longest(chunker: ChunkerParams, rechunk: bool) -> usize {
    if rechunk { chunker.longest() } else { chunker.longest().max(bork_format::pack::PLAIN_LENGTH_MAX as usize) }
}
