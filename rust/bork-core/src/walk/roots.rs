//! The roots of a backup: which paths of the machine, under which paths in the archive.

use bork_format::node::compare;

/// One root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Path to read, as given.
    pub source: Vec<u8>,
    /// Path in the archive; empty for a root that is the whole of it.
    pub stored: Vec<u8>,
    /// What it is.
    pub kind: RootKind,
}

/// What a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// A path; a directory with all that is in it.
    Tree,
    /// A path alone: an entry of a path list.
    Entry,
    /// Not a path but the descriptor that the options name.
    Stdin,
}

/// Two roots claim the same place in the archive with different sources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} and {} would both be stored as {}", .0.escape_ascii(), .1.escape_ascii(), .2.escape_ascii())]
pub struct RootError(Vec<u8>, Vec<u8>, Vec<u8>);

/// Sorts roots into tree order. Those that lie inside another one (same place on disk and in the archive) come second:
/// the walk of the outer one finds them.
pub fn sort_roots(mut roots: Vec<Root>) -> Result<(Vec<Root>, Vec<Root>), RootError> {
    roots.sort_by(|a, b| compare(&a.stored, &b.stored));
    let (mut kept, mut inner): (Vec<Root>, Vec<Root>) = (Vec::new(), Vec::new());
    for root in roots {
        let covering = kept.iter().rev().find(|outer| {
            below(&outer.stored, &root.stored).is_some_and(|rest| outer.kind == RootKind::Tree || rest.is_empty())
        });
        let Some(outer) = covering else {
            kept.push(root);
            continue;
        };
        if below(&outer.stored, &root.stored) != below_source(&outer.source, &root.source) {
            return Err(RootError(outer.source.clone(), root.source, root.stored));
        }
        if outer.stored != root.stored {
            inner.push(root);
        }
    }
    Ok((kept, inner))
}

/// The same for paths on the machine, of which `.` is one above all relative ones.
fn below_source<'a>(outer: &[u8], inner: &'a [u8]) -> Option<&'a [u8]> {
    match (outer, inner) {
        (b".", b".") => Some(b""),
        (b".", _) => (!inner.starts_with(b"/")).then(|| inner.strip_prefix(b"./").unwrap_or(inner)),
        _ => below(outer, inner),
    }
}

/// What `inner` adds to `outer`, if it is the same path or one below it.
fn below<'a>(outer: &[u8], inner: &'a [u8]) -> Option<&'a [u8]> {
    let trim = |path: &'a [u8]| path.strip_suffix(b"/").unwrap_or(path);
    let outer = outer.strip_suffix(b"/").unwrap_or(outer);
    let inner = trim(inner);
    if outer.is_empty() {
        return Some(inner.strip_prefix(b"/").unwrap_or(inner));
    }
    match inner.strip_prefix(outer)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(source: &str, stored: &str) -> Root {
        Root { source: source.into(), stored: stored.into(), kind: RootKind::Tree }
    }

    #[test]
    fn roots_are_sorted_and_nested_ones_are_covered() {
        let roots =
            vec![root("/home/a", "home/a"), root("/etc", "etc"), root("/home", "home"), root("/home-2", "home-2")];
        let (sorted, inner) = sort_roots(roots).expect("no conflict");
        assert_eq!(inner, [root("/home/a", "home/a")]);
        assert_eq!(sorted, [root("/etc", "etc"), root("/home", "home"), root("/home-2", "home-2")]);
    }

    #[test]
    fn the_current_directory_covers_what_is_in_it() {
        let (sorted, inner) = sort_roots(vec![root("sub", "sub"), root(".", "")]).expect("no conflict");
        assert_eq!((sorted, inner), (vec![root(".", "")], vec![root("sub", "sub")]));
    }

    #[test]
    fn two_sources_for_one_place_are_refused() {
        assert!(sort_roots(vec![root("/a/./x", "x"), root("/b/./x", "x")]).is_err());
        assert!(sort_roots(vec![root("/a/./x", "x"), root("/b/./x/y", "x/y")]).is_err());
    }
}
