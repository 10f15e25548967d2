//! Events of the engines as Python objects.

use bork_core::walk::MetFileSystem;
use bork_engine::buffer::PackBuffer as Buffer;
use bork_engine::port::{Bytes, Event, Port};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::ffi::c_int;
use std::sync::Arc;
use std::time::Duration;

/// The bytes of a finished pack, page aligned; read-only.
#[pyclass(frozen, module = "bork.core._native")]
pub struct PackBuffer(Buffer);

impl PackBuffer {
    /// Bytes that no engine has made.
    pub fn owned(bytes: Vec<u8>) -> Self {
        PackBuffer(Buffer::owned(bytes))
    }
}

#[pymethods]
impl PackBuffer {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view"));
        }
        let bytes: &[u8] = &slf.get().0;
        // SAFETY: the bytes live and stay where they are as long as the object, which the view keeps alive;
        // `PyBuffer_FillInfo` refuses a writable view because of the 1.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast(), bytes.len() as isize, 1, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

macro_rules! event {
    ($(#[$doc:meta])* $name:ident { $($field:ident : $type:ty),* }) => {
        $(#[$doc])*
        #[pyclass(frozen, get_all, module = "bork.core._native")]
        pub struct $name { $($field: $type),* }
    };
}

event!(/// Store a pack.
    StorePack { token: u64, name: Py<PyBytes>, data: Py<PackBuffer> });
event!(/// Store an index object.
    StoreIndex { token: u64, name: Py<PyBytes>, data: Py<PackBuffer> });
event!(/// Read ranges.
    Fetch { token: u64, ranges: Vec<(Py<PyBytes>, u64, u64)> });
event!(/// Rendered lines.
    Lines { data: Py<PyBytes> });
event!(/// Content for stdout.
    Data { data: Py<PyBytes> });
event!(/// Bytes for the other half of the engine.
    Send { data: Py<PyBytes> });
event!(/// A problem with one path.
    Problem { kind: &'static str, path: Py<PyBytes>, message: String });
event!(/// A file system of the plan's list was met.
FileSystem {
    path: Py<PyBytes>,
    number: usize,
    device: u64,
    xattrs: bool,
    acls: bool,
    capabilities: bool,
    flags: bool
});
event!(/// The end.
    Done { outcome: Py<PyDict> });

fn bytes(py: Python<'_>, data: &[u8]) -> Py<PyBytes> {
    PyBytes::new(py, data).unbind()
}

/// Waits for the next event without the GIL.
pub fn next_event(py: Python<'_>, port: &Port, timeout_s: f64) -> PyResult<Option<Py<PyAny>>> {
    let timeout = Duration::from_secs_f64(timeout_s.clamp(0.0, 3600.0));
    let event = py.detach(|| port.next_event(timeout)).map_err(crate::error::to_python)?;
    event.map(|event| to_python(py, event)).transpose()
}

fn to_python(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    Ok(match event {
        Event::StorePack(token, name, data) => {
            let (name, data) = (bytes(py, &name), Py::new(py, PackBuffer(data))?);
            Py::new(py, StorePack { token, name, data })?.into_any()
        }
        Event::StoreIndex(token, name, data) => {
            let (name, data) = (bytes(py, &name), Py::new(py, PackBuffer(data))?);
            Py::new(py, StoreIndex { token, name, data })?.into_any()
        }
        Event::Fetch(token, ranges) => {
            let ranges = ranges.iter().map(|range| (bytes(py, &range.pack), range.offset, range.length)).collect();
            Py::new(py, Fetch { token, ranges })?.into_any()
        }
        Event::Lines(data) => Py::new(py, Lines { data: bytes(py, &data) })?.into_any(),
        Event::Data(data) => Py::new(py, Data { data: bytes(py, &data) })?.into_any(),
        Event::Send(data) => Py::new(py, Send { data: bytes(py, &data) })?.into_any(),
        Event::Problem(kind, path, message) => {
            Py::new(py, Problem { kind, path: bytes(py, &path), message })?.into_any()
        }
        Event::FileSystem(met) => {
            let (path, number) = (bytes(py, &met.path), usize::from(met.class));
            let MetFileSystem { device, xattrs, acls, capabilities, flags, .. } = met;
            Py::new(py, FileSystem { path, number, device, xattrs, acls, capabilities, flags })?.into_any()
        }
        Event::Done(outcome) => {
            let dict = PyDict::new(py);
            if let Some(root) = outcome.root {
                dict.set_item("root", PyBytes::new(py, &root))?;
            }
            for (name, number) in outcome.numbers {
                dict.set_item(name, number)?;
            }
            Py::new(py, Done { outcome: dict.unbind() })?.into_any()
        }
    })
}

/// Bytes that Python read; they are borrowed, not copied.
struct Borrowed(PyBackedBytes);

impl AsRef<[u8]> for Borrowed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes for an engine that Python still owns.
pub fn borrowed(bytes: PyBackedBytes) -> Bytes {
    Arc::new(Borrowed(bytes))
}

/// The answer to a fetch.
pub fn fetched(port: &Port, token: u64, data: Vec<PyBackedBytes>) {
    let data = data.into_iter().map(borrowed).collect();
    port.answer(token, Ok(data));
}

/// Counters of an engine, and where it is.
pub type Counters = (u64, u64, u64, u64, Vec<u8>);

/// What drives an engine, whatever it does.
pub trait Driven {
    /// Events and answers.
    fn port(&self) -> &Port;
    /// Four numbers and a path, which each engine describes in `_native.pyi`.
    fn counters(&self) -> Counters;
}

/// The methods of an engine's class: its own, and those that all engines have. `writes` adds the answer to a store.
macro_rules! engine_class {
    ($class:ident writes { $($own:tt)* }) => {
        $crate::events::engine_class!($class {
            $($own)*

            #[expect(unused_variables, reason = "stores are answered in the order of their events")]
            fn stored(&self, token: u64) {
                $crate::events::Driven::port(self).stored();
            }
        });
    };
    ($class:ident { $($own:tt)* }) => {
        #[pyo3::pymethods]
        impl $class {
            $($own)*

            fn next_event(
                &self,
                py: pyo3::Python<'_>,
                timeout_s: f64,
            ) -> pyo3::PyResult<Option<pyo3::Py<pyo3::PyAny>>> {
                $crate::events::next_event(py, $crate::events::Driven::port(self), timeout_s)
            }

            fn fetched(&self, token: u64, data: Vec<pyo3::pybacked::PyBackedBytes>) {
                $crate::events::fetched($crate::events::Driven::port(self), token, data);
            }

            fn fetch_failed(&self, token: u64, message: String) {
                $crate::events::Driven::port(self).answer(token, Err(message));
            }

            fn progress<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> (u64, u64, u64, u64, pyo3::Bound<'py, pyo3::types::PyBytes>) {
                let (first, second, third, fourth, path) = $crate::events::Driven::counters(self);
                (first, second, third, fourth, pyo3::types::PyBytes::new(py, &path))
            }

            fn cancel(&self) {
                $crate::events::Driven::port(self).cancel();
            }
        }
    };
}
pub(crate) use engine_class;
