//! Secrets, behind an object that never gives them to Python.

use crate::error::to_python;
use crate::id_from;
use bork_engine::kdf::KdfCost;
use bork_engine::secrets::Keys as Secrets;
use bork_format::pack::Suite;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// The secrets of one repository.
#[pyclass(frozen, module = "bork.core._native")]
pub struct Keys(pub Arc<Secrets>);

#[pymethods]
impl Keys {
    #[staticmethod]
    #[pyo3(signature = (repository_id, suite, related=None))]
    fn generate(repository_id: &[u8], suite: u8, related: Option<&[u8]>) -> PyResult<Self> {
        let suite = Suite::from_byte(suite).map_err(|error| to_python(error.into()))?;
        let id = id_from(repository_id, "repository_id")?;
        let keys = match related {
            Some(secret) => Secrets::generate_related(id, suite, id_from(secret, "related")?),
            None => Secrets::generate(id, suite),
        };
        Ok(Keys(Arc::new(keys.map_err(to_python)?)))
    }

    fn related_secret<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.id_secret())
    }

    #[staticmethod]
    fn public(repository_id: &[u8]) -> PyResult<Self> {
        Ok(Keys(Arc::new(Secrets::public(id_from(repository_id, "repository_id")?))))
    }

    #[staticmethod]
    fn repeatable(repository_id: &[u8], seed: &[u8]) -> PyResult<Self> {
        Ok(Keys(Arc::new(Secrets::repeatable(id_from(repository_id, "repository_id")?, seed))))
    }

    #[staticmethod]
    fn open(
        py: Python<'_>,
        key_object: PyBackedBytes,
        passphrase: PyBackedBytes,
        repository_id: &[u8],
    ) -> PyResult<Self> {
        let id = id_from(repository_id, "repository_id")?;
        let keys = py.detach(|| Secrets::open(&key_object, &passphrase, &id)).map_err(to_python)?;
        Ok(Keys(Arc::new(keys)))
    }

    #[pyo3(signature = (passphrase, *, memory_kib, passes, lanes))]
    fn seal<'py>(
        &self,
        py: Python<'py>,
        passphrase: PyBackedBytes,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let cost = KdfCost { memory_kib, passes, lanes };
        let sealed = py.detach(|| self.0.seal(&passphrase, cost)).map_err(to_python)?;
        Ok(PyBytes::new(py, &sealed))
    }

    #[getter]
    fn suite(&self) -> u8 {
        self.0.suite() as u8
    }

    fn archive_name<'py>(&self, py: Python<'py>, name: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.archive_name(name))
    }

    fn seal_head<'py>(&self, py: Python<'py>, name: &[u8], plain: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.seal_head(name, plain).map_err(to_python)?))
    }

    fn open_head<'py>(&self, py: Python<'py>, object_name: &[u8], data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let name = id_from(object_name, "object_name")?;
        Ok(PyBytes::new(py, &self.0.open_head(&name, data).map_err(to_python)?))
    }

    fn seal_generation<'py>(&self, py: Python<'py>, number: u64, plain: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.seal_generation(number, plain).map_err(to_python)?))
    }

    fn open_generation<'py>(&self, py: Python<'py>, number: u64, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.open_generation(number, data).map_err(to_python)?))
    }
}

/// BLAKE3 of `data`.
#[pyfunction]
pub fn digest<'py>(py: Python<'py>, data: PyBuffer<u8>) -> PyResult<Bound<'py, PyBytes>> {
    if !data.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not contiguous"));
    }
    if data.len_bytes() == 0 {
        return Ok(PyBytes::new(py, blake3::hash(b"").as_bytes()));
    }
    // SAFETY: the export keeps the memory where it is until `data` is dropped, it is contiguous and not empty, and
    // callers do not change a buffer while they have it hashed.
    let bytes = unsafe { std::slice::from_raw_parts(data.buf_ptr().cast::<u8>(), data.len_bytes()) };
    let sum = py.detach(|| blake3::hash(bytes));
    Ok(PyBytes::new(py, sum.as_bytes()))
}
