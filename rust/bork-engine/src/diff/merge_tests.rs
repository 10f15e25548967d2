//! The merge against the comparison of all items, on trees that are cut in odd ways; and how little it reads.

use super::*;
use bork_format::node::{Child, LeafBuilder, encode_inner, inner_is_complete, path_hash};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes by their ids, and which of them were read.
#[derive(Default)]
struct Memory {
    nodes: HashMap<Id, Vec<u8>>,
    read: Vec<Id>,
}

impl Memory {
    fn put(&mut self, bytes: Vec<u8>) -> Id {
        let id = *blake3::hash(&bytes).as_bytes();
        self.nodes.insert(id, bytes);
        id
    }
}

impl Nodes for &mut Memory {
    fn read(&mut self, ids: &[Id]) -> Result<Vec<Vec<u8>>, EngineError> {
        self.read.extend_from_slice(ids);
        ids.iter()
            .map(|id| self.nodes.get(id).cloned().ok_or_else(|| EngineError::damaged("node", "missing")))
            .collect()
    }
}

/// A path in an order that is the order of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path(Vec<u8>);

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

type Items = BTreeMap<Path, Vec<u8>>;

/// Where nodes end: `None` as the format has it, else where a hash of the path and a salt has some bits zero.
type Cuts = Option<(u64, u64)>;

fn build(items: &Items, cuts: Cuts, memory: &mut Memory) -> Id {
    let odd = |path: &[u8], level: u64| match cuts {
        None => false,
        Some((salt, mask)) => path_hash(path).wrapping_mul(salt | 1).wrapping_add(level) >> 7 & mask == 0,
    };
    let mut builder = LeafBuilder::default();
    let mut level: Vec<Child> = Vec::new();
    for (path, body) in items {
        if builder.push(&path.0, body, 1) || odd(&path.0, 0) {
            let (bytes, summary) = builder.finish();
            level.push(Child { id: memory.put(bytes), summary });
        }
    }
    if builder.items() > 0 || level.is_empty() {
        let (bytes, summary) = builder.finish();
        level.push(Child { id: memory.put(bytes), summary });
    }
    let mut number = 0;
    while level.len() > 1 {
        number += 1;
        let mut above = Vec::new();
        let mut children: Vec<Child> = Vec::new();
        let count = level.len();
        for (at, child) in level.into_iter().enumerate() {
            children.push(child);
            let last = children.last().expect("just pushed");
            // From the fifth level on all goes into one node, so that an odd tree ends, too.
            let is_cut = number < 5 && (cuts.is_some() && children.len() > 1 && odd(&last.summary.first, number));
            if at + 1 == count || is_cut || (cuts.is_none() && inner_is_complete(children.len(), &last.summary)) {
                let mut summary = children[0].summary.clone();
                summary.items = children.iter().map(|child| child.summary.items).sum();
                above.push(Child { id: memory.put(encode_inner(number as u8, &children)), summary });
                children.clear();
            }
        }
        level = above;
    }
    level[0].id
}

type Difference = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Default)]
struct Record(Vec<Difference>, u64);

impl Visitor for Record {
    fn differs(&mut self, path: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), EngineError> {
        self.0.push((path.to_vec(), old.map(<[u8]>::to_vec), new.map(<[u8]>::to_vec)));
        Ok(())
    }

    fn passed(&mut self, items: u64) {
        self.1 += items;
    }
}

fn merged(roots: [Id; 2], prefixes: Option<Vec<Vec<u8>>>, memory: &mut Memory) -> Result<(Record, u64), EngineError> {
    let mut record = Record::default();
    let mut merge = Merge::new(memory, roots[0], roots[1], prefixes);
    merge.run(&mut record)?;
    assert!(merge.ahead.is_empty(), "what was read ahead was needed");
    Ok((record, merge.nodes_read()))
}

fn naive(old: &Items, new: &Items, wanted: impl Fn(&[u8]) -> bool) -> Vec<Difference> {
    let paths: BTreeSet<&Path> = old.keys().chain(new.keys()).collect();
    let differs = |path: &&&Path| old.get(path) != new.get(path) && wanted(&path.0);
    paths.iter().filter(differs).map(|path| (path.0.clone(), old.get(path).cloned(), new.get(path).cloned())).collect()
}

fn items() -> impl Strategy<Value = Items> {
    let path = "[a-c.-]{1,2}(/[a-c-]{1,2}){0,3}"
        .prop_filter("no climbing", |path| path.split('/').all(|name| !matches!(name, "" | "." | "..")));
    prop::collection::btree_map(
        path.prop_map(|path| Path(path.into_bytes())),
        "[xy]{0,2}".prop_map(String::into_bytes),
        0..80,
    )
}

fn cuts() -> impl Strategy<Value = Cuts> {
    prop_oneof![Just(None), (any::<u64>(), prop_oneof![Just(0), Just(1), Just(3), Just(7)]).prop_map(Some)]
}

/// `old` with some items left out, added and changed.
fn edited(old: &Items, edits: &Items) -> Items {
    let mut new = old.clone();
    for (at, (path, body)) in edits.iter().enumerate() {
        let nth = new.keys().nth(at * 7 % new.len().max(1)).cloned();
        match (at % 3, nth) {
            (0, Some(gone)) => drop(new.remove(&gone)),
            (1, Some(changed)) => drop(new.insert(changed, body.clone())),
            _ => drop(new.insert(path.clone(), body.clone())),
        }
    }
    new
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_merge_finds_what_a_full_comparison_finds_wherever_nodes_are_cut(
        old in items(), edits in items(), count in 0_usize..12, old_cuts in cuts(), new_cuts in cuts(),
    ) {
        let new = edited(&old, &edits.into_iter().take(count).collect());
        let mut memory = Memory::default();
        let roots = [build(&old, old_cuts, &mut memory), build(&new, new_cuts, &mut memory)];
        let (record, _) = merged(roots, None, &mut memory).expect("valid trees");
        prop_assert_eq!(record.0, naive(&old, &new, |_| true));
        prop_assert!(roots[0] == roots[1] || record.1 == new.len() as u64, "all items were passed");
    }

    #[test]
    fn with_the_same_cuts_no_node_that_both_trees_have_is_read(
        old in items(), edits in items(), count in 0_usize..6, salt in any::<u64>(),
    ) {
        let new = edited(&old, &edits.into_iter().take(count).collect());
        let mut memory = Memory::default();
        let roots = [&old, &new].map(|items| build(items, Some((salt, 3)), &mut memory));
        let [mut shared, other] = roots.map(|root| {
            let mut alone = Memory { nodes: memory.nodes.clone(), read: Vec::new() };
            let empty = build(&Items::new(), None, &mut alone);
            merged([root, empty], None, &mut alone).expect("valid trees");
            alone.read.into_iter().collect::<HashSet<Id>>()
        });
        merged(roots, None, &mut memory).expect("valid trees");
        shared.retain(|id| other.contains(id));
        let both: Vec<&Id> = memory.read.iter().filter(|id| shared.contains(*id)).collect();
        // A tree that is one level lower can be a node of the other: its root is read before that can be seen.
        prop_assert!(both.iter().all(|id| roots.contains(id)), "{} nodes that both have were read", both.len());
        let mut once = memory.read.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert!(once.len() + 1 >= memory.read.len(), "nodes were read twice");
    }

    #[test]
    fn with_prefixes_only_what_is_below_them_is_told(
        old in items(), new in items(), old_cuts in cuts(), new_cuts in cuts(), prefix in "[a-c]{1,2}(/[a-c]{1,2})?",
    ) {
        let mut memory = Memory::default();
        let roots = [build(&old, old_cuts, &mut memory), build(&new, new_cuts, &mut memory)];
        let prefixes = Some(vec![prefix.clone().into_bytes()]);
        let (record, _) = merged(roots, prefixes, &mut memory).expect("valid trees");
        prop_assert_eq!(record.0, naive(&old, &new, |path| is_below(prefix.as_bytes(), path)));
    }
}

fn many(count: usize) -> Items {
    (0..count)
        .map(|number| {
            let path = format!("folder{:03}/file{number:07}", number / 1000);
            (Path(path.into_bytes()), blake3::hash(&number.to_le_bytes()).to_hex().as_bytes().repeat(2))
        })
        .collect()
}

#[test]
fn ten_changes_among_two_hundred_thousand_items_take_a_handful_of_nodes() {
    let old = many(200_000);
    let mut new = old.clone();
    for (at, body) in new.values_mut().step_by(20_011).enumerate() {
        body[at] = b'!';
    }
    let removed = new.keys().nth(77_777).cloned().expect("there are more");
    new.remove(&removed);
    new.insert(Path(b"folder050/file0050500-more".to_vec()), b"new".to_vec());
    let mut memory = Memory::default();
    let roots = [build(&old, None, &mut memory), build(&new, None, &mut memory)];
    let (record, read) = merged(roots, None, &mut memory).expect("valid trees");
    assert_eq!(record.0, naive(&old, &new, |_| true));
    assert_eq!(record.0.len(), 12);
    // On each side a leaf for each difference, and the few nodes above; a difference at a cut takes another leaf.
    assert!((20..=40).contains(&read), "{read} of {} nodes", memory.nodes.len());
    assert!(memory.nodes.len() > 400, "{} nodes", memory.nodes.len());
}

#[test]
fn equal_archives_are_not_read_at_all() {
    let mut memory = Memory::default();
    let root = build(&many(10), None, &mut memory);
    let (record, read) = merged([root, root], None, &mut memory).expect("valid trees");
    assert_eq!((record.0.len(), read), (0, 0));
}

fn inner(level: u8, children: &[(Id, &str)]) -> Vec<u8> {
    let child = |(id, first): &(Id, &str)| Child {
        id: *id,
        summary: bork_format::node::Summary { first: first.as_bytes().to_vec(), items: 1, size: 1 },
    };
    encode_inner(level, &children.iter().map(child).collect::<Vec<_>>())
}

#[test]
fn nodes_that_do_not_fit_their_places_are_refused() {
    let mut memory = Memory::default();
    let items = |paths: &[&str]| paths.iter().map(|path| (Path(path.as_bytes().to_vec()), vec![])).collect::<Items>();
    let empty = build(&items(&[]), None, &mut memory);
    let (ab, bc) = (build(&items(&["a", "b"]), None, &mut memory), build(&items(&["b", "c"]), None, &mut memory));
    let below = memory.put(inner(1, &[(ab, "a")]));
    for (what, bytes) in [
        ("overlapping leaves", inner(1, &[(ab, "a"), (bc, "b")])),
        ("another first path", inner(1, &[(ab, "0")])),
        ("a leaf in place of a node", inner(2, &[(ab, "a")])),
        ("a node in place of a leaf", inner(1, &[(below, "a")])),
        ("an empty leaf", inner(1, &[(empty, "a")])),
        ("an unknown kind", vec![9, 1]),
        ("a leaf cut off", memory.nodes[&ab][..4].to_vec()),
    ] {
        let root = memory.put(bytes);
        assert!(merged([root, empty], None, &mut memory).is_err(), "{what}, old");
        assert!(merged([empty, root], None, &mut memory).is_err(), "{what}, new");
    }
    assert!(merged([below, empty], None, &mut memory).is_ok());
    let missing = [7; 32];
    assert!(merged([missing, empty], None, &mut memory).is_err());
}
