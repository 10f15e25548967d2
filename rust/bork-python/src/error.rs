//! The one mapping from errors of the engine to classes of `bork.errors`.

use bork_engine::error::EngineError;
use pyo3::prelude::*;

/// A Python exception for an engine error.
pub fn to_python(error: EngineError) -> PyErr {
    let text = error.to_string();
    match error {
        EngineError::Format(bork_format::Error::Unknown { .. }) => raise("UnsupportedFormat", (text,)),
        EngineError::Format(_) | EngineError::Damaged { .. } => raise("IntegrityError", (text,)),
        EngineError::PassphraseWrong => raise_bare("PassphraseWrong"),
        EngineError::KeyMismatch => raise_bare("KeyMismatch"),
        EngineError::KeyInvalid(_) => raise("KeyInvalid", (text,)),
        EngineError::Storage(_) => raise("StorageFault", (text,)),
        EngineError::Plan(_) => raise("CommandError", (text,)),
        EngineError::Pattern { pattern, why } => raise("PatternInvalid", (pattern, why)),
        EngineError::Tar { name, why } => raise("TarInvalid", (name, why)),
        EngineError::Scratch { path, why } => raise("CacheFault", (path, why)),
        EngineError::Peer(_) => raise("AgentFault", (text,)),
        EngineError::Cancelled => raise_bare("CancelledByUser"),
        EngineError::NoMemory(_) => pyo3::exceptions::PyMemoryError::new_err(text),
        EngineError::Internal(detail) => raise("InternalError", (detail,)),
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("bork.errors")?.getattr(name)
}

fn raise(name: &str, fields: impl for<'py> pyo3::call::PyCallArgs<'py>) -> PyErr {
    Python::attach(|py| match class(py, name).and_then(|class| class.call1(fields)) {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    })
}

fn raise_bare(name: &str) -> PyErr {
    Python::attach(|py| match class(py, name).and_then(|class| class.call0()) {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    })
}
