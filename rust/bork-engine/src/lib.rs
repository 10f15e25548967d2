//! The repository half of the engine, and the engines that the control plane drives.
//!
//! An engine is a state machine with threads behind it. It never touches a repository: it emits events ("store this
//! pack", "read these ranges") through its [`port`] and is told the results, so every storage fault can be injected
//! in one place and every engine can run against memory.

pub mod assemble;
pub mod buffer;
pub mod check;
pub mod claims;
pub mod collect;
pub mod create;
pub mod diff;
pub mod error;
pub mod filter;
pub mod half;
pub mod import;
pub mod index;
pub mod kdf;
pub mod mark;
pub mod merge;
pub mod objects;
pub mod pack;
pub mod port;
pub mod pull;
pub mod read;
pub mod recreate;
pub mod rewrite;
pub mod seal;
pub mod secrets;
pub mod tar;
pub mod threads;
pub mod tree;
