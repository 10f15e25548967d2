//! The half of the engine that also runs on a pulled client.
//!
//! It walks, chunks, identifies and reads, and it is the writing half of a restore: `walk` and [`stat`] find
//! entries, [`metadata`] reads what is not content, [`writer`] puts entries back below a directory that nothing in an
//! archive can leave, and [`direct`] moves large files past the page cache. It knows no key of encryption, no
//! repository, no socket and nothing of Python; what it meets on the way is a [`problem::Problem`], a value.

pub mod chunker;
pub mod compress;
pub mod descriptors;
pub mod direct;
pub mod fence;
pub mod frame;
pub mod identify;
pub mod metadata;
pub mod pattern;
pub mod problem;
pub mod render;
pub mod seam;
pub mod source;
pub mod stat;
pub mod walk;
pub mod writer;
