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

/// Roots that no archive can hold side by side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Two of them claim the same place in the archive with different sources.
    #[error("{} and {} would both be stored as {}", shown(.0), shown(.1), shown(.2))]
    SamePlace(Vec<u8>, Vec<u8>, Vec<u8>),
    /// One has its place below the content of a descriptor.
    #[error("{} would be stored below {}, which is a file", shown(.0), shown(.1))]
    BelowFile(Vec<u8>, Vec<u8>),
}

fn shown(path: &[u8]) -> String {
    if path.is_empty() { ".".into() } else { path.escape_ascii().to_string() }
}

/// Sorts roots into tree order, and drops those that are given twice. A root inside another one stays: the walk takes it
/// in its place, whether the outer one would come there (no link, mount point, tag or pattern in the way) or not.
pub fn sort_roots(mut roots: Vec<Root>) -> Result<Vec<Root>, RootError> {
    roots.sort_by(|a, b| compare(&a.stored, &b.stored));
    let mut kept: Vec<Root> = Vec::with_capacity(roots.len());
    // Those of `kept` that the next one can lie in, outermost first: at most one for each component of its path.
    let mut above: Vec<usize> = Vec::new();
    for root in roots {
        while above.last().is_some_and(|last| below(&kept[*last].stored, &root.stored).is_none()) {
            above.pop();
        }
        let outer = above.last().map(|last| &kept[*last]);
        if let Some(file) = outer.filter(|last| last.kind == RootKind::Stdin && root.stored != last.stored) {
            return Err(RootError::BelowFile(root.source, file.stored.clone()));
        }
        if let Some(same) = outer.filter(|outer| outer.stored == root.stored) {
            let is_found = ![same.kind, root.kind].contains(&RootKind::Stdin)
                && below_source(&same.source, &root.source) == Some(b"");
            if !is_found {
                return Err(RootError::SamePlace(same.source.clone(), root.source, root.stored));
            }
            continue;
        }
        above.push(kept.len());
        kept.push(root);
    }
    Ok(kept)
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
pub(super) fn below<'a>(outer: &[u8], inner: &'a [u8]) -> Option<&'a [u8]> {
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
    fn roots_are_sorted_and_each_is_there_once() {
        let [home, inner, etc] = [root("/home", "home"), root("/home/a", "home/a"), root("/etc", "etc")];
        let roots =
            vec![inner.clone(), etc.clone(), home.clone(), root("/home-2", "home-2"), etc.clone(), inner.clone()];
        assert_eq!(sort_roots(roots), Ok(vec![etc, home, inner, root("/home-2", "home-2")]));
        assert_eq!(sort_roots(vec![root("sub", "sub"), root(".", "")]), Ok(vec![root(".", ""), root("sub", "sub")]));
    }

    #[test]
    fn two_sources_for_one_place_are_refused() {
        assert!(sort_roots(vec![root("/a/./x", "x"), root("/b/./x", "x")]).is_err());
        let same = [root("/a", "x"), root("/a/y", "x/y"), root("/b", "x/y")];
        for order in [[0, 1, 2], [2, 1, 0]] {
            assert!(sort_roots(order.map(|at| same[at].clone()).to_vec()).is_err());
        }
    }

    #[test]
    fn the_root_of_the_archive_has_a_name_in_messages() {
        let error = sort_roots(vec![root("/a", ""), root("/b", "")]).expect_err("refused");
        assert_eq!(error.to_string(), "/a and /b would both be stored as .");
    }

    #[test]
    fn a_root_that_is_only_stored_inside_another_one_is_walked_in_its_place() {
        let roots = vec![root("/snap/home", "home"), root("/snap/home/a", "home/a"), root("/snap/root", "")];
        let more = vec![root("/snap/root/home/b", "home/b"), root("/snap/root/etc", "etc")];
        let sorted = sort_roots([roots, more].concat()).expect("no conflict");
        let order: Vec<_> = sorted.iter().map(|root| root.source.escape_ascii().to_string()).collect();
        assert_eq!(order, ["/snap/root", "/snap/root/etc", "/snap/home", "/snap/home/a", "/snap/root/home/b"]);
    }

    #[test]
    fn stdin_is_no_file_of_the_machine() {
        let stdin = |stored: &str| Root { kind: RootKind::Stdin, ..root("-", stored) };
        assert_eq!(sort_roots(vec![root(".", ""), stdin("-")]), Ok(vec![root(".", ""), stdin("-")]));
        assert!(sort_roots(vec![root("-", "-"), stdin("-")]).is_err());
        let error = sort_roots(vec![root("s/x/y", "s/x/y"), stdin("s/x"), root("s", "s")]).expect_err("refused");
        assert_eq!(error.to_string(), "s/x/y would be stored below s/x, which is a file");
    }
}
