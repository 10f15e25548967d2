//! The create engine.

use crate::error::to_python;
use crate::events::{Counters, Driven, engine_class};
use crate::index::ChunkIndex;
use crate::keys::Keys;
use crate::plan::{self, Plan};
use bork_core::fence;
use bork_core::metadata::MetadataOptions;
use bork_core::source::{Changed, FileSystemTrust, FilesCache, SourceOptions, Stdin};
use bork_core::walk::{FileSystems, Root, RootKind, WalkOptions};
use bork_engine::create::{CreateEngine as Engine, CreatePlan};
use bork_engine::half::PackOptions;
use bork_engine::port::Port;
use bork_format::Id;
use bork_format::item::Time;
use bork_format::node::check_path;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::fs::File;
use std::sync::Arc;

/// Backs up.
#[pyclass(frozen, module = "bork.core._native")]
pub struct CreateEngine(Engine);

impl Driven for CreateEngine {
    fn port(&self) -> &Port {
        self.0.port()
    }

    fn counters(&self) -> Counters {
        self.0.progress()
    }
}

engine_class!(CreateEngine writes {
    #[new]
    fn new(py: Python<'_>, plan: &Bound<'_, PyDict>, keys: &Keys, index: &ChunkIndex) -> PyResult<Self> {
        let plan = compile(plan)?;
        let engine = py.detach(|| Engine::start(plan, Arc::clone(&keys.0), Arc::clone(&index.0)));
        Ok(CreateEngine(engine.map_err(to_python)?))
    }
});

fn compile(dict: &Bound<'_, PyDict>) -> PyResult<CreatePlan> {
    let mut p = Plan::new(dict);
    // Holes are always found and kept.
    let _: bool = p.get("sparse")?;
    let paths: Vec<(String, Vec<u8>)> = p.get("paths")?;
    if !paths.is_empty() {
        return Err(plan::invalid("create takes roots, not paths"));
    }
    let mut roots: Vec<Root> = p
        .get::<Vec<(Vec<u8>, Vec<u8>)>>("roots")?
        .into_iter()
        .map(|(source, stored)| Root { source, stored: stored_path(stored), kind: RootKind::Tree })
        .collect();
    let stdin = compile_stdin(&mut p, &mut roots)?;
    let path_list = compile_path_list(&mut p)?;
    let (previous, previous_start) = compile_previous(&mut p)?;
    let (magics, file_systems) = compile_file_systems(&mut p)?;
    let exclude_nodump = p.get("exclude_nodump")?;
    let walk = WalkOptions {
        one_file_system: p.get("one_file_system")?,
        exclude_caches: p.get("exclude_caches")?,
        exclude_if_present: p.get("exclude_if_present")?,
        keep_exclude_tags: p.get("keep_exclude_tags")?,
        exclude_nodump,
        skip: p.get("skip")?,
        matcher: plan::matcher(p.get("patterns")?)?,
        base: p.get::<Option<Vec<u8>>>("base")?.map(|path| fence::open_root(&path)).transpose()?,
        file_systems: FileSystems::new(magics),
    };
    let chunker = plan::chunker(&mut p)?;
    let source = SourceOptions {
        metadata: compile_metadata(&mut p)?,
        names: plan::names(&mut p)?,
        file_systems,
        files_cache: files_cache(&p.get::<String>("files_cache")?)?,
        files_changed: match p.get::<String>("files_changed")?.as_str() {
            "ctime" => Changed::Ctime,
            "mtime" => Changed::Mtime,
            "disabled" => Changed::Disabled,
            other => return Err(plan::invalid(format!("unknown files_changed {other:?}"))),
        },
        read_special: p.get("read_special")?,
        exclude_nodump,
        dry_run: p.get("dry_run")?,
        stdin,
        start: plan::time(p.get("start_ns")?),
        previous_start,
        chunker,
        lines: plan::lines(&mut p)?,
    };
    let packs = PackOptions {
        compression: plan::compression(&mut p)?,
        pack_length: p.get("pack_size")?,
        chunk_length: chunker.longest(),
        scratch: p.get("scratch_dir")?,
    };
    let threads = plan::threads(p.get("threads")?);
    p.finish()?;
    Ok(CreatePlan { threads, roots, path_list, walk, source, packs, previous })
}

fn compile_metadata(p: &mut Plan<'_, '_>) -> PyResult<MetadataOptions> {
    let mut no = |key: &str| p.get::<bool>(key).map(|value| !value);
    let [xattrs, acls, flags] = [no("noxattrs")?, no("noacls")?, no("noflags")?];
    let [ctime, birthtime] = [no("noctime")?, no("nobirthtime")?];
    let (atime, numeric_ids) = (p.get("atime")?, p.get("numeric_ids")?);
    Ok(MetadataOptions { xattrs, acls, flags, atime, ctime, birthtime, numeric_ids })
}

/// `file_systems`: `(magic, files_cache, whether its ctime is that of a kernel)`.
fn compile_file_systems(p: &mut Plan<'_, '_>) -> PyResult<(Vec<u32>, Vec<FileSystemTrust>)> {
    let mut lists = (Vec::new(), Vec::new());
    for (magic, words, ctime) in p.get::<Vec<(u32, String, bool)>>("file_systems")? {
        lists.0.push(magic);
        lists.1.push(FileSystemTrust { files_cache: files_cache(&words)?, ctime });
    }
    Ok(lists)
}

fn compile_path_list(p: &mut Plan<'_, '_>) -> PyResult<Option<(File, Vec<u8>)>> {
    let Some(dict) = p.inner("path_list")? else { return Ok(None) };
    let mut inner = Plan::new(&dict);
    let (fd, delimiter) = (inner.get("fd")?, inner.get("delimiter")?);
    inner.finish()?;
    Ok(Some((File::from(plan::duplicate(fd)?), delimiter)))
}

fn compile_previous(p: &mut Plan<'_, '_>) -> PyResult<(Option<Id>, Option<Time>)> {
    let Some(dict) = p.inner("previous")? else { return Ok((None, None)) };
    let mut inner = Plan::new(&dict);
    let (root, start): (Vec<u8>, i64) = (inner.get("root")?, inner.get("start_ns")?);
    inner.finish()?;
    Ok((Some(crate::id_from(&root, "root")?), Some(plan::time(start))))
}

fn compile_stdin(p: &mut Plan<'_, '_>, roots: &mut Vec<Root>) -> PyResult<Option<Stdin>> {
    let Some(dict) = p.inner("stdin")? else { return Ok(None) };
    let mut inner = Plan::new(&dict);
    let name: Vec<u8> = inner.get("name")?;
    let stdin = Stdin {
        fd: plan::duplicate(inner.get("fd")?)?,
        user: inner.get("user")?,
        group: inner.get("group")?,
        mode: inner.get("mode")?,
    };
    inner.finish()?;
    if name.is_empty() || check_path(&name).is_err() {
        return Err(plan::invalid(format!(
            "no file of an archive can be called {:?}",
            name.escape_ascii().to_string()
        )));
    }
    roots.push(Root { source: b"-".to_vec(), stored: name, kind: RootKind::Stdin });
    Ok(Some(stdin))
}

/// The root of the archive is `.` for a person and the empty path in the format.
fn stored_path(path: Vec<u8>) -> Vec<u8> {
    if path == b"." { Vec::new() } else { path }
}

fn files_cache(words: &str) -> PyResult<FilesCache> {
    let mut mode =
        FilesCache { ctime: false, mtime: false, size: false, inode: false, rechunk: false, disabled: false };
    for word in words.split(',') {
        match word {
            "ctime" => mode.ctime = true,
            "mtime" => mode.mtime = true,
            "size" => mode.size = true,
            "inode" => mode.inode = true,
            "rechunk" => mode.rechunk = true,
            "disabled" => mode.disabled = true,
            other => return Err(plan::invalid(format!("unknown files_cache word {other:?}"))),
        }
    }
    Ok(mode)
}
