//! The source half of a backup: workers that look at entries, read what changed, cut and identify it.
//!
//! ```text
//! walker --units--> workers --(id, bytes)--> sink          (dedup, compress, seal, pack: the other half)
//!                      |  ^--tasks: buffers of large files, work of the other half
//!                      +--results--> assembler              (items in tree order)
//! ```
//!
//! Every queue is bounded: units and tasks by their channels, results by the window of units that may be in flight,
//! buffers by their pool. A worker that waits for a buffer works on tasks meanwhile, so nothing can wait in a circle.
//! Memory: `threads + 2` buffers, 64 units, and the scratch buffer of each worker.

mod change;
mod file;
mod hardlinks;
mod list;
mod options;
mod regular;
mod shared;
mod status;
mod worker;

pub use change::{FilesCache, Unchanged};
pub use file::{ContentBuilder, Draft, FileJob, LargeReader, ReadFault, Task, content_of, put_whole, refuse_length};
pub use list::PathList;
pub use options::{Changed, FileSystemTrust, SourceOptions, Stdin};
pub use shared::{BodyBytes, Progress, Shared, SharedParts, UnitResult, UnitState, WINDOW_UNITS};
pub use status::{LineFormat, Status, printable};
pub use worker::Worker;
