//! Tar streams, which come from anywhere.

use crate::meter::bounded;
use crate::nodes;
use bork_core::metadata::NameCache;
use bork_engine::tar::item::{Meaning, clean, interpret};
use bork_engine::tar::read::Reader;
use bork_format::item::{Content, TYPE_MASK};
use bork_format::node::check_path;
use std::io::Read;

/// What a reader may hold beside a multiple of the input: its buffer, and that of the test. Unit: bytes.
const MEMORY: usize = 4 << 20;

/// A source that gives few bytes at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(73);
        self.0.read(&mut out[..count])
    }
}

/// A stream is read the same however its bytes arrive; what it makes of a member can be stored.
pub fn tar(data: &[u8]) -> bool {
    let mut accepted = false;
    for ignore_zeros in [false, true] {
        let limit = MEMORY + data.len() * 64;
        let whole = bounded(limit, || members(Reader::new(data, ignore_zeros)));
        let slow = members(Reader::new(Slow(data), ignore_zeros));
        assert_eq!(whole, slow);
        accepted |= whole.1.is_empty() && !whole.0.is_empty();
    }
    accepted
}

/// Kind, path and length of the data of every member, and the complaint at the end.
fn members<R: Read>(mut reader: Reader<R>) -> (Vec<(u8, Vec<u8>, u64)>, String) {
    let (mut found, mut buffer) = (Vec::new(), vec![0; 4096]);
    loop {
        let member = match reader.next_member() {
            Ok(Some(member)) => member,
            Ok(None) => return (found, String::new()),
            Err(fault) => return (found, fault.to_string()),
        };
        if let Ok(path) = clean(&member.path) {
            assert!(check_path(&path).is_ok());
        }
        if let Ok((meaning, _)) = interpret(&member, &mut NameCache::default()) {
            match meaning {
                Meaning::Item(mut item) => {
                    // Content comes later, and the size with it.
                    (item.size, item.content) = (0, Content::default());
                    let mut body = Vec::new();
                    item.encode(&mut body);
                    assert!(nodes::item(&body), "an item of type {:o} cannot be stored", item.mode & TYPE_MASK);
                }
                Meaning::Link(target) => assert!(check_path(&target).is_ok()),
                Meaning::Nothing => {}
            }
        }
        let mut length = 0;
        loop {
            match reader.read_data(&mut buffer) {
                Ok(0) => break,
                Ok(count) => length += count as u64,
                Err(fault) => return (found, fault.to_string()),
            }
        }
        found.push((member.kind, member.path, length));
    }
}
