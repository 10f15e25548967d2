//! From the members of a stream in their order to the items of a tree in its order.
//!
//! Of several members with one path the last counts, as if the stream were unpacked. A hard link refers to what its
//! target was when the link came; so it is resolved against the sorted members by (path, number of the member).

use super::sort::{Merge, Record, Sorted, Sorter};
use bork_core::problem::{Problem, ProblemKind};
use bork_format::item::{Item, Link};
use std::io;
use std::path::PathBuf;

/// First byte of the value of a hard link; its target follows. The body of an item begins with another.
pub const LINK: u8 = 0;
/// Links to links to links: most that are followed. Every program links to the first name.
const CHAIN_MAX: usize = 64;

/// What this needs of its surroundings.
pub struct Surroundings<'a> {
    /// For scratch files.
    pub scratch: Option<PathBuf>,
    /// Bytes of a run.
    pub run_length: usize,
    /// Where problems go. An error of it ends the run.
    pub problem: &'a mut dyn FnMut(&[u8], Problem) -> io::Result<()>,
}

impl Surroundings<'_> {
    fn sorter(&self) -> Sorter {
        Sorter::new(self.scratch.as_deref(), self.run_length)
    }
}

/// An item in its place.
pub struct Placed<'a> {
    /// Path.
    pub path: &'a [u8],
    /// Encoded item.
    pub body: &'a [u8],
    /// Its length. Unit: bytes.
    pub size: u64,
}

/// Calls `each` with the items of the tree, in its order. `links` holds, for each hard link, its target, its number,
/// and as value that number again and its path. Returns how many regular files there are, each counted once.
pub fn place(
    members: &Sorted,
    links: Sorter,
    around: &mut Surroundings<'_>,
    mut each: impl FnMut(Placed<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let groups = resolve(members, links, around)?;
    let mut shared = around.sorter();
    join_groups(&groups, &mut shared)?;
    drop(groups);
    let shared = shared.finish()?;
    let (mut members, mut shared) = (members.read()?, shared.read()?);
    let mut blocked: Option<Vec<u8>> = None;
    let (mut files, mut linked) = (0, around.sorter());
    while let Some(record) = next_path(&mut members, &mut shared)? {
        let (path, value) = (record.path, record.value);
        if let Some(parent) = &blocked
            && crate::tree::is_below(parent, &path)
        {
            let text = "something that is no directory stands in its way";
            (around.problem)(&path, Problem::new(ProblemKind::SymlinkParent, text))?;
            continue;
        }
        let item = Item::decode(&value).map_err(io::Error::other)?;
        if path.is_empty() && !item.is_directory() {
            (around.problem)(
                b".",
                Problem::new(ProblemKind::PathTraversal, "a member without a name is no directory"),
            )?;
            continue;
        }
        match item.link.filter(|_| item.is_file()) {
            Some(link) => linked.push(&link.group.to_be_bytes(), 0, &[])?,
            None => files += u64::from(item.is_file()),
        }
        each(Placed { path: &path, body: &value, size: item.size })?;
        blocked = (!item.is_directory()).then_some(path);
    }
    Ok(files + count_paths(&linked.finish()?)?)
}

/// How many different paths there are.
fn count_paths(sorted: &Sorted) -> io::Result<u64> {
    let (mut records, mut count, mut last) = (sorted.read()?, 0, None);
    while let Some(record) = records.next_record()? {
        count += u64::from(last.as_ref() != Some(&record.path));
        last = Some(record.path);
    }
    Ok(count)
}

/// The member that counts for the next path; its value is the body.
fn next_path(members: &mut Merge<'_>, shared: &mut Merge<'_>) -> io::Result<Option<Record>> {
    loop {
        let Some(first) = members.peek()? else { return Ok(None) };
        let path = first.path.clone();
        let mut last = None;
        while members.peek()?.is_some_and(|record| record.path == path) {
            let Some(record) = members.next_record()? else { break };
            let known = shared.peek()?.is_some_and(|known| known.order(&record.path, record.number).is_eq());
            if known {
                last = shared.next_record()?;
            } else if record.value.first() != Some(&LINK) {
                last = Some(record);
            }
        }
        // Nothing is left of a path that is only a link to nothing.
        if last.is_some() {
            return Ok(last);
        }
    }
}

/// Finds what links refer to. The result is ordered by the number of that member, then by the member's own number.
fn resolve(members: &Sorted, links: Sorter, around: &mut Surroundings<'_>) -> io::Result<Sorted> {
    let mut groups = around.sorter();
    let mut open = links.finish()?;
    for _ in 0..CHAIN_MAX {
        if open.is_empty() {
            return groups.finish();
        }
        let mut further = around.sorter();
        let (mut members, mut links) = (members.read()?, open.read()?);
        let mut target: Option<Record> = None;
        while let Some(link) = links.next_record()? {
            while members.peek()?.is_some_and(|member| member.order(&link.path, link.number).is_lt()) {
                target = members.next_record()?;
            }
            let found = target.as_ref().filter(|target| target.path == link.path);
            match found.map(|found| (found, found.value.first())) {
                Some((found, Some(&LINK))) => further.push(&found.value[1..], found.number, &[&link.value])?,
                Some((found, _)) if Item::decode(&found.value).is_ok_and(|item| !item.is_directory()) => {
                    let group = found.number.to_be_bytes();
                    groups.push(
                        &group,
                        found.number,
                        &[&(found.path.len() as u32).to_le_bytes(), &found.path, &found.value],
                    )?;
                    let (number, path) = numbered(&link.value);
                    groups.push(&group, number, &[&(path.len() as u32).to_le_bytes(), path])?;
                }
                _ => lost(&link, around)?,
            }
        }
        open = further.finish()?;
    }
    let mut links = open.read()?;
    while let Some(link) = links.next_record()? {
        lost(&link, around)?;
    }
    groups.finish()
}

fn lost(link: &Record, around: &mut Surroundings<'_>) -> io::Result<()> {
    let text = format!("hard link to {}, which the tar file does not have before it", crate::read::shown(&link.path));
    (around.problem)(numbered(&link.value).1, Problem::new(ProblemKind::NotFound, text))
}

fn numbered(value: &[u8]) -> (u64, &[u8]) {
    let (number, path) = value.split_at(8);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(number);
    (u64::from_le_bytes(bytes), path)
}

fn named(value: &[u8]) -> (&[u8], &[u8]) {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&value[..4]);
    value[4..].split_at(u32::from_le_bytes(bytes) as usize)
}

/// Gives all names of a file one body. A first look counts the names, a second one writes.
fn join_groups(groups: &Sorted, out: &mut Sorter) -> io::Result<()> {
    let (mut counting, mut writing) = (groups.read()?, groups.read()?);
    while let Some(first) = writing.next_record()? {
        // The first record of a group is the file itself; each link has brought it once more.
        let (path, body) = named(&first.value);
        let mut count = 1;
        let mut last = first.number;
        while counting.peek()?.is_some_and(|record| record.path == first.path) {
            let Some(record) = counting.next_record()? else { break };
            count += u32::from(record.number != last);
            last = record.number;
        }
        let mut item = Item::decode(body).map_err(io::Error::other)?;
        item.link = Some(Link { group: first.number, count });
        let mut body = Vec::new();
        item.encode(&mut body);
        out.push(path, first.number, &[&body])?;
        while writing.peek()?.is_some_and(|record| record.path == first.path) {
            let Some(record) = writing.next_record()? else { break };
            if record.number != first.number {
                out.push(named(&record.value).0, record.number, &[&body])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bork_format::item::{TYPE_DIRECTORY, TYPE_FILE};

    enum Kind {
        File,
        Directory,
        Link(&'static str),
    }
    use Kind::{Directory, File, Link as To};

    /// What becomes of members: path, inode (the number of the member, here), group and count. Whose problems. Files.
    fn placed(members: &[(&str, Kind)], run_length: usize) -> (Vec<String>, Vec<String>, u64) {
        let scratch = tempfile::tempdir().unwrap();
        let sorter = || Sorter::new(Some(scratch.path()), run_length);
        let (mut all, mut links) = (sorter(), sorter());
        for (number, (path, kind)) in (1_u64..).zip(members) {
            let mode = if matches!(kind, Directory) { TYPE_DIRECTORY } else { TYPE_FILE };
            let mut body = Vec::new();
            Item { mode, inode: number, ..Item::default() }.encode(&mut body);
            if let To(target) = kind {
                body = [&[LINK], target.as_bytes()].concat();
                links.push(target.as_bytes(), number, &[&number.to_le_bytes(), path.as_bytes()]).unwrap();
            }
            all.push(path.as_bytes(), number, &[&body]).unwrap();
        }
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let mut problem = |path: &[u8], problem: Problem| {
            problems.push(format!("{} {}", String::from_utf8_lossy(path), problem.kind));
            Ok(())
        };
        let mut around =
            Surroundings { scratch: Some(scratch.path().to_path_buf()), run_length, problem: &mut problem };
        let files = place(&all.finish().unwrap(), links, &mut around, |item| {
            let decoded = Item::decode(item.body).unwrap();
            let link = decoded.link.map_or(String::new(), |link| format!(" {}x{}", link.group, link.count));
            let kind = if decoded.is_file() { "" } else { "/" };
            out.push(format!("{}{kind}={}{link}", String::from_utf8_lossy(item.path), decoded.inode));
            Ok(())
        })
        .unwrap();
        (out, problems, files)
    }

    fn check(members: &[(&str, Kind)], expected: &[&str], problems: &[&str], files: u64) {
        for run_length in [1, 300, 1 << 20] {
            let (found, reported, count) = placed(members, run_length);
            assert_eq!(count, files);
            assert_eq!(
                (found, reported),
                (
                    expected.iter().map(ToString::to_string).collect(),
                    problems.iter().map(ToString::to_string).collect(),
                )
            );
        }
    }

    #[test]
    fn the_last_member_of_a_path_counts() {
        check(&[("b", File), ("a", File), ("b", File), ("", Directory)], &["/=4", "a=2", "b=3"], &[], 2);
    }

    #[test]
    fn links_share_the_file_that_their_target_was() {
        let members = [("b", File), ("a", To("b")), ("b", File), ("c", To("b")), ("d", To("a")), ("e", File)];
        check(&members, &["a=1 1x3", "b=3 3x2", "c=3 3x2", "d=1 1x3", "e=6"], &[], 3);
    }

    #[test]
    fn links_to_nothing_are_reported_and_left_out() {
        let members = [("a", To("z")), ("b", To("b")), ("d", Directory), ("e", To("d")), ("z", File)];
        check(&members, &["d/=3", "z=5"], &["b not_found", "e not_found", "a not_found"], 1);
    }

    #[test]
    fn nothing_is_placed_below_what_is_no_directory() {
        let members = [("a/x/y", File), ("a", File), ("ab", File), ("b/x", File)];
        check(&members, &["a=2", "ab=3", "b/x=4"], &["a/x/y symlink_parent"], 3);
    }
}
