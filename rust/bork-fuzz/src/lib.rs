//! What must hold for every input of every decoder.
//!
//! A *target* is a function of bytes that panics when a promise is broken: a decoder that accepts must have read
//! exactly what the encoder writes, memory is bounded by the length of the input, look-ups find what is there and
//! nothing else, two ways to the same answer agree. `fuzz/` hands the targets to a fuzzer; the test of this crate hands
//! them every file of `fuzz/corpus/<target>/`, all prefixes and all flipped bits of those. No crate of the program
//! depends on this one.

pub mod accepted;
pub mod compressed;
pub mod meter;
pub mod nodes;
pub mod pulled;
pub mod sealed;
pub mod tables;
pub mod tapes;
pub mod words;

/// A function that panics if a promise is broken for this input, and says whether the input was accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 22] = [
    ("acl", words::acl),
    ("content_list", nodes::content_list),
    ("decompress", compressed::decompress),
    ("header", sealed::header),
    ("inner", nodes::inner),
    ("item", nodes::item),
    ("key", sealed::key),
    ("leaf", nodes::leaf),
    ("msgpack", accepted::msgpack),
    ("pattern", words::pattern),
    ("pull_head", pulled::head),
    ("pull_hello", pulled::hello),
    ("pull_object", pulled::object),
    ("pull_plan", pulled::plan),
    ("pull_problems", pulled::problems),
    ("pull_unit", pulled::unit),
    ("record", sealed::record),
    ("render", words::render),
    ("table", tables::table),
    ("tar", tapes::tar),
    ("toc", sealed::toc),
    ("trailer", sealed::trailer),
];
