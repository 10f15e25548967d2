//! Reading files of a foreign root.

use bork_core::fence;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::os::fd::AsFd;

/// A regular file of a foreign root, in which no link leads out.
#[pyfunction]
pub fn read_in_root<'py>(
    py: Python<'py>,
    root: Vec<u8>,
    path: Vec<u8>,
    length_max: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let content = py.detach(|| {
        let root = fence::open_root(&root)?;
        fence::read(root.as_fd(), &path, length_max)
    });
    let content = content.map_err(|error: std::io::Error| match error.raw_os_error() {
        Some(code) => PyOSError::new_err((code, "")), // Python knows its class, and the words
        None => PyOSError::new_err(error.to_string()),
    })?;
    Ok(PyBytes::new(py, &content))
}
