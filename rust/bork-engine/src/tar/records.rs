//! The records that hold for a member: its own, and behind them those of global headers, which hold for all members
//! that follow.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Most bytes of global records: each member that they give an attribute costs as much again. Real ones hold a label,
/// or a comment, which does not count. Unit: bytes.
const GLOBALS_MAX: usize = 1 << 20;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Records of one member by their keys.
#[derive(Default)]
pub struct Records {
    own: Map,
    globals: Arc<Map>,
}

/// What global headers have said so far. Members share it: a copy for each would make their number and its length a
/// product.
#[derive(Default)]
pub struct Globals {
    map: Arc<Map>,
    length: usize,
}

impl Records {
    /// Adds one of the member's own. The last one with a key counts.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.own.insert(key.to_vec(), value.to_vec());
    }

    /// Puts global ones behind them.
    pub fn before(self, globals: &Globals) -> Self {
        Records { globals: Arc::clone(&globals.map), ..self }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.globals.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.own.get(key).or_else(|| self.globals.get(key)).map(Vec::as_slice)
    }

    /// Keys that begin so, without that beginning, and their values. First come the member's own.
    pub fn below<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let globals = below(&self.globals, prefix).filter(|(key, _)| !self.own.contains_key(*key));
        below(&self.own, prefix).chain(globals).map(move |(key, value)| (&key[prefix.len()..], &value[..]))
    }
}

impl Globals {
    /// Adds one, for the members behind it. `None` if they get too long.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.length += key.len() + value.len();
        if let Some(replaced) = Arc::make_mut(&mut self.map).insert(key.to_vec(), value.to_vec()) {
            self.length -= key.len() + replaced.len();
        }
        (self.length <= GLOBALS_MAX).then_some(())
    }
}

fn below<'a>(map: &'a Map, prefix: &'a [u8]) -> impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    map.range::<[u8], _>(from).take_while(move |(key, _)| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_records_win_and_global_ones_hold_for_members_behind_them() {
        let mut globals = Globals::default();
        let earlier = Records::default().before(&globals);
        for (key, value) in [("a", "1"), ("x.a", "2"), ("x.b", "3"), ("xy", "4")] {
            globals.insert(key.as_bytes(), value.as_bytes()).unwrap();
        }
        let mut records = Records::default();
        records.insert(b"x.b", b"own");
        let records = records.before(&globals);
        assert_eq!(
            (earlier.get(b"a"), records.get(b"a"), records.get(b"x.b")),
            (None, Some(&b"1"[..]), Some(&b"own"[..]))
        );
        let below: Vec<_> = records.below(b"x.").collect();
        assert_eq!(below, [(&b"b"[..], &b"own"[..]), (b"a", b"2")]);
    }

    #[test]
    fn members_share_global_records_and_those_are_not_too_many() {
        let mut globals = Globals::default();
        for _ in 0..3 {
            globals.insert(b"key", &vec![0; GLOBALS_MAX - 3]).unwrap();
        }
        let (one, other) = (Records::default().before(&globals), Records::default().before(&globals));
        assert!(std::ptr::eq(one.get(b"key").unwrap(), other.get(b"key").unwrap()));
        assert!(globals.insert(b"k", b"").is_none());
    }
}
