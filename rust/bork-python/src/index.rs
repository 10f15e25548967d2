//! The chunk index.

use crate::error::to_python;
use crate::events::PackBuffer;
use crate::id_from;
use crate::keys::Keys;
use bork_engine::index::{ChunkIndex as Index, IndexedPack, seal_index};
use bork_engine::pack::{open_toc, tail_length};
use bork_format::Id;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Where every chunk is.
#[pyclass(frozen, module = "bork.core._native")]
pub struct ChunkIndex(pub Arc<Index>);

#[pymethods]
impl ChunkIndex {
    #[new]
    fn new() -> Self {
        ChunkIndex(Arc::new(Index::default()))
    }

    fn add_sealed(
        &self,
        py: Python<'_>,
        keys: &Keys,
        name: &[u8],
        data: PyBackedBytes,
        table_path: Option<PathBuf>,
    ) -> PyResult<()> {
        let name = id_from(name, "name")?;
        py.detach(|| self.0.add_sealed(&keys.0, name, &data, table_path.as_deref())).map_err(to_python)
    }

    fn add_table(&self, py: Python<'_>, name: &[u8], table_path: PathBuf) -> PyResult<bool> {
        let name = id_from(name, "name")?;
        Ok(py.detach(|| self.0.add_table(name, &table_path)))
    }

    fn add_toc(
        &self,
        keys: &Keys,
        pack_name: &[u8],
        pack_length: u64,
        head: PyBackedBytes,
        tail: PyBackedBytes,
        to_index: bool,
    ) -> PyResult<()> {
        let name = id_from(pack_name, "pack_name")?;
        let (_, _, objects) = open_toc(&keys.0, pack_length, &head, &tail).map_err(to_python)?;
        self.0.adopt(IndexedPack { name, length: pack_length, objects }, to_index).map_err(to_python)
    }

    #[staticmethod]
    fn toc_length(trailer: &[u8]) -> PyResult<usize> {
        tail_length(trailer).map_err(to_python)
    }

    fn packs<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.packs().iter().map(|pack| PyBytes::new(py, &pack.name)).collect()
    }

    fn forget_packs(&self, names: Vec<PyBackedBytes>) -> PyResult<()> {
        self.0.forget_packs(&ids(&names)?);
        Ok(())
    }

    fn table_count(&self) -> usize {
        self.0.table_count()
    }

    fn condemn_packs(&self, names: Vec<PyBackedBytes>) -> PyResult<()> {
        self.0.condemn_packs(&ids(&names)?);
        Ok(())
    }

    fn tables<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u64, u64, u64)> {
        let tables = self.0.summaries();
        tables.iter().map(|table| (PyBytes::new(py, &table.name), table.chunks, table.packs, table.absent)).collect()
    }

    fn merge<'py>(
        &self,
        py: Python<'py>,
        keys: &Keys,
        names: Vec<PyBackedBytes>,
        dropped: Vec<PyBackedBytes>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, PackBuffer)>> {
        let names = names.iter().map(|name| id_from(name, "name")).collect::<PyResult<Vec<_>>>()?;
        let dropped = ids(&dropped)?;
        let sealed = py.detach(|| {
            let plain = self.0.merge(&names, &dropped)?;
            plain.map(|plain| seal_index(&keys.0, plain)).transpose()
        });
        let Some(sealed) = sealed.map_err(to_python)? else { return Ok(None) };
        let name = py.detach(|| *blake3::hash(&sealed).as_bytes());
        Ok(Some((PyBytes::new(py, &name), PackBuffer::owned(sealed))))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn totals(&self, py: Python<'_>) -> (u64, u64, u64) {
        py.detach(|| self.0.totals())
    }
}

/// 32 bytes each.
pub fn ids(names: &[PyBackedBytes]) -> PyResult<HashSet<Id>> {
    names.iter().map(|name| id_from(name, "name")).collect()
}
