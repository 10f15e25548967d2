//! The read engine.

use pyo3::prelude::*;

/// In the making.
#[pyclass(frozen, module = "bork.core._native")]
pub struct ReadEngine;
