//! The Python border: `bork.core._native`. Its types are described in `src/bork/core/_native.pyi`, and a test
//! compares the two. Only this crate knows of Python; it converts, and decides nothing.

mod check;
mod compact;
mod create;
mod diff;
mod error;
mod events;
mod fence;
mod import;
mod index;
mod keys;
mod plan;
mod pull;
mod push;
mod read;
mod recreate;

use pyo3::prelude::*;

/// The module and everything it exports.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::check::CheckEngine;
    #[pymodule_export]
    use super::compact::{MarkEngine, Marks, RewriteEngine};
    #[pymodule_export]
    use super::create::CreateEngine;
    #[pymodule_export]
    use super::diff::DiffEngine;
    #[pymodule_export]
    use super::events::{Data, Done, Fetch, FileSystem, Lines, PackBuffer, Problem, Send, StoreIndex, StorePack};
    #[pymodule_export]
    use super::fence::read_in_root;
    #[pymodule_export]
    use super::import::ImportEngine;
    #[pymodule_export]
    use super::index::ChunkIndex;
    #[pymodule_export]
    use super::keys::{Keys, digest};
    #[pymodule_export]
    use super::pull::{PullEngine, decode_agent_hello};
    #[pymodule_export]
    use super::push::PushEngine;
    #[pymodule_export]
    use super::read::ReadEngine;
    #[pymodule_export]
    use super::recreate::RecreateEngine;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("VERSION", env!("CARGO_PKG_VERSION"))
    }
}

/// 32 bytes, or a `ValueError` that names what they should have been.
fn id_from(bytes: &[u8], what: &str) -> PyResult<bork_format::Id> {
    bytes
        .try_into()
        .map_err(|_| pyo3::exceptions::PyValueError::new_err(format!("{what} has {} bytes, not 32", bytes.len())))
}
