//! Paths given one by one (`--paths-from-stdin`, `--paths-from-command`) instead of being walked.

use crate::walk::{Root, RootKind};
use bork_format::node::compare;
use std::io::{self, Read};

/// A source of delimited paths.
pub struct PathList<R> {
    /// Where to read.
    pub source: R,
    /// What stands between paths; `\0` or `\n` mostly.
    pub delimiter: Vec<u8>,
}

impl<R: Read> PathList<R> {
    /// Reads all paths, sorted into tree order. Memory: the paths themselves, since an archive is sorted and the
    /// list need not be. A signal that somebody handles ends it, with an error of kind `Interrupted`.
    pub fn read(mut self) -> io::Result<Vec<Root>> {
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.source.read(&mut piece)? {
                0 => break,
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
        if self.delimiter != b"\0" && bytes.contains(&0) {
            let why =
                "a path cannot hold a zero byte; if such bytes stand between the paths, say --paths-delimiter '\\0'";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut roots: Vec<Root> = split(&bytes, &self.delimiter)
            .filter(|path| !path.is_empty())
            .map(|path| Root { source: normal(path), stored: stored_path(path), kind: RootKind::Entry })
            .collect();
        roots.sort_by(|a, b| compare(&a.stored, &b.stored));
        // Two sources for one place stay, and are refused.
        roots.dedup_by(|a, b| a.stored == b.stored && a.source == b.source);
        Ok(roots)
    }
}

fn split<'a>(bytes: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match bytes.windows(delimiter.len().max(1)).position(|window| window == delimiter) {
            Some(at) => {
                rest = Some(&bytes[at + delimiter.len()..]);
                Some(&bytes[..at])
            }
            None => {
                rest = None;
                Some(bytes)
            }
        }
    })
}

/// Path in the archive: behind a slash-dot component if there is one, without leading slashes, `.` and `..`.
pub fn stored_path(path: &[u8]) -> Vec<u8> {
    let kept = path.windows(3).position(|window| window == b"/./").map_or(path, |at| &path[at + 3..]);
    let mut names: Vec<&[u8]> = Vec::new();
    for name in kept.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join(&b'/')
}

/// The path by its names, as a PATH of the command line is taken: `a/../b` is `b`, whatever `a` is.
fn normal(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match (name, names.last()) {
            (b"" | b".", _) => {}
            (b"..", Some(last)) if *last != b".." => {
                names.pop();
            }
            (b"..", None) if is_absolute => {}
            _ => names.push(name),
        }
    }
    let joined = names.join(&b'/');
    match (is_absolute, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_by_its_names() {
        for (path, expected) in [
            ("a/../c", "c"),
            ("a/b/.", "a/b"),
            ("../../c", "../../c"),
            ("/../x//y/", "/x/y"),
            ("a/./b/../c", "a/c"),
            ("a/..", "."),
            ("/", "/"),
        ] {
            assert_eq!(normal(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn paths_are_split_sorted_and_made_relative() {
        let list = PathList { source: &b"/b/x\0a/./d\0\0/b\0../../c"[..], delimiter: b"\0".to_vec() };
        let stored: Vec<_> = list.read().expect("memory").into_iter().map(|root| root.stored).collect();
        assert_eq!(stored, [&b"b"[..], b"b/x", b"c", b"d"]);
    }

    #[test]
    fn a_path_given_twice_is_one_and_two_paths_for_one_place_stay_two() {
        let list = PathList { source: &b"a/x\n./a//x\n/a/x\nb/./a/x"[..], delimiter: b"\n".to_vec() };
        let sources: Vec<_> = list.read().expect("memory").into_iter().map(|root| root.source).collect();
        assert_eq!(sources, [&b"a/x"[..], b"/a/x", b"b/a/x"]);
    }

    #[test]
    fn a_list_with_another_delimiter_is_not_taken_for_one_path() {
        let list = PathList { source: &b"a\0b\0"[..], delimiter: b"\n".to_vec() };
        assert_eq!(list.read().expect_err("refused").kind(), io::ErrorKind::InvalidData);
    }
}
