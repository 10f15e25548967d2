//! Lines about the differences of two items: `bork diff`, as text or as JSON, equal to what Borg 1.4 prints.
//!
//! Who compares the items decides what has changed and in which order that is told; here it only gets its words.

use super::clock::Clock;
use super::json::{Bytes, key, string as json_string};
use super::local_offset;
use super::spec::push_lossy;
use super::value::{character_count, mode_text};
use bork_format::item::Time;
use std::io::Write;

/// Columns of the changes in a line of text; the path comes behind them.
const CHANGES_WIDTH: u64 = 19;

/// An owner, or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// A name; `None` if the source knew none.
    Name(Option<&'a [u8]>),
    /// A number.
    Id(u32),
}

/// One change of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// What the words say: `added directory`, `changed link`.
    Words(&'static str),
    /// A file that is new. Unit: bytes.
    Added(u64),
    /// A file that is gone. Unit: bytes.
    Removed(u64),
    /// The content differs, and nobody knows by how much.
    Modified,
    /// Lengths of the chunks that only one of the two has. None at all: the same chunks in another order.
    Chunks {
        /// Unit: bytes.
        added: u64,
        /// Unit: bytes.
        removed: u64,
    },
    /// Owner and group, before and after.
    Owner([Who<'a>; 2], [Who<'a>; 2]),
    /// `st_mode`, before and after.
    Mode(u32, u32),
    /// A time (`ctime` or `mtime`), before and after.
    Time(&'static str, Time, Time),
}

impl Change<'_> {
    /// Bytes that came and went, for sorting.
    pub fn bytes(&self) -> (u64, u64) {
        match *self {
            Change::Added(size) => (size, 0),
            Change::Removed(size) => (0, size),
            Change::Chunks { added, removed } => (added, removed),
            _ => (0, 0),
        }
    }

    /// Borg keeps silent about a content that has the same chunks as before.
    fn is_shown(&self) -> bool {
        !matches!(self, Change::Chunks { added: 0, removed: 0 })
    }
}

/// Renders the changes of one path after the other.
pub struct DiffRenderer {
    json: bool,
    clock: Clock,
}

impl DiffRenderer {
    /// Lines of text, or of JSON. Times are local.
    pub fn new(json: bool) -> DiffRenderer {
        DiffRenderer { json, clock: Clock::new(local_offset) }
    }

    /// Appends one line for `path`.
    pub fn render(&mut self, path: &[u8], changes: &[Change<'_>], out: &mut Vec<u8>) {
        let shown = changes.iter().filter(|change| change.is_shown());
        if self.json {
            out.extend_from_slice(b"{\"changes\": [");
            for (number, change) in shown.enumerate() {
                out.extend_from_slice(if number == 0 { b"{" } else { b", {" });
                self.json_change(change, out);
                out.push(b'}');
            }
            out.extend_from_slice(b"], \"path\": ");
            json_string(path, Bytes::Replaced, out);
            out.extend_from_slice(b"}\n");
            return;
        }
        let start = out.len();
        for (number, change) in shown.enumerate() {
            if number > 0 {
                out.push(b' ');
            }
            self.text_change(change, out);
        }
        for _ in character_count(&out[start..])..CHANGES_WIDTH {
            out.push(b' ');
        }
        out.push(b' ');
        push_lossy(path, out);
        out.push(b'\n');
    }

    fn text_change(&mut self, change: &Change<'_>, out: &mut Vec<u8>) {
        match *change {
            Change::Words(words) => out.extend_from_slice(words.as_bytes()),
            Change::Added(size) => push(out, format_args!("added {:>13}", size_text(size as f64, 2, false))),
            Change::Removed(size) => push(out, format_args!("removed {:>11}", size_text(size as f64, 2, false))),
            Change::Modified => out.extend_from_slice(b"modified"),
            Change::Chunks { added, removed } => {
                let (added, removed) = (size_text(added as f64, 1, true), size_text(0.0 - removed as f64, 1, true));
                push(out, format_args!("{added:>9} {removed:>9}"));
            }
            Change::Owner(old, new) => {
                for (before, [user, group]) in [("[", old), (" -> ", new)] {
                    out.extend_from_slice(before.as_bytes());
                    who_text(user, out);
                    out.push(b':');
                    who_text(group, out);
                }
                out.push(b']');
            }
            Change::Mode(old, new) => {
                for (before, mode) in [("[", old), (" -> ", new)] {
                    out.extend_from_slice(before.as_bytes());
                    out.extend_from_slice(&mode_text(mode));
                }
                out.push(b']');
            }
            Change::Time(name, old, new) => {
                push(out, format_args!("[{name}: "));
                out.extend_from_slice(&self.clock.local(old).text());
                out.extend_from_slice(b" -> ");
                out.extend_from_slice(&self.clock.local(new).text());
                out.push(b']');
            }
        }
    }

    /// Keys in alphabetical order, without the braces.
    fn json_change(&mut self, change: &Change<'_>, out: &mut Vec<u8>) {
        match *change {
            Change::Words(words) => push(out, format_args!("\"type\": \"{words}\"")),
            Change::Added(size) => push(out, format_args!("\"size\": {size}, \"type\": \"added\"")),
            Change::Removed(size) => push(out, format_args!("\"size\": {size}, \"type\": \"removed\"")),
            Change::Modified => push(out, format_args!("\"type\": \"modified\"")),
            Change::Chunks { added, removed } => {
                push(out, format_args!("\"added\": {added}, \"removed\": {removed}, \"type\": \"modified\""));
            }
            Change::Owner([old_user, old_group], [new_user, new_group]) => {
                let start = out.len();
                for (name, who) in
                    [("new_group", new_group), ("new_user", new_user), ("old_group", old_group), ("old_user", old_user)]
                {
                    key(name, start, out);
                    who_json(who, out);
                }
                push(out, format_args!(", \"type\": \"owner\""));
            }
            Change::Mode(old, new) => {
                for (name, mode) in [("new_mode", new), ("old_mode", old)] {
                    push(out, format_args!("\"{name}\": "));
                    json_string(&mode_text(mode), Bytes::Replaced, out);
                    out.extend_from_slice(b", ");
                }
                push(out, format_args!("\"type\": \"mode\""));
            }
            Change::Time(name, old, new) => {
                for (age, time) in [("new", new), ("old", old)] {
                    push(out, format_args!("\"{age}_{name}\": "));
                    json_string(&self.clock.local(time).iso(), Bytes::Replaced, out);
                    out.extend_from_slice(b", ");
                }
                push(out, format_args!("\"type\": \"{name}\""));
            }
        }
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes all bytes");
}

fn who_text(who: Who<'_>, out: &mut Vec<u8>) {
    match who {
        Who::Name(Some(name)) => push_lossy(name, out),
        Who::Name(None) => out.extend_from_slice(b"None"),
        Who::Id(number) => push(out, format_args!("{number}")),
    }
}

fn who_json(who: Who<'_>, out: &mut Vec<u8>) {
    match who {
        Who::Name(Some(name)) => json_string(name, Bytes::Escaped, out),
        Who::Name(None) => out.extend_from_slice(b"null"),
        Who::Id(number) => push(out, format_args!("{number}")),
    }
}

/// Bytes in powers of 1000, as Borg writes them: whole below 1 kB, then with `places` places. A number that would be
/// rounded to 1000 moves on to the next unit.
fn size_text(mut size: f64, places: usize, sign: bool) -> String {
    const UNITS: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
    let plus = if sign && size > 0.0 { "+" } else { "" };
    let (mut unit, mut shown) = (0, 0);
    while unit + 1 < UNITS.len() {
        let rounded: f64 = format!("{size:.places$}").parse().unwrap_or(size);
        if rounded.abs() < 1000.0 {
            break;
        }
        size /= 1000.0;
        shown = places;
        unit += 1;
    }
    format!("{plus}{size:.shown$} {}B", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_borg() {
        for (size, places, sign, expected) in [
            (0.0, 2, false, "0 B"),
            (999.0, 2, false, "999 B"),
            (1000.0, 2, false, "1.00 kB"),
            (999_994.0, 2, false, "999.99 kB"),
            (999_999.0, 2, false, "1.00 MB"),
            (1_000_000_000_000_000_000_000.0, 2, false, "1.00 ZB"),
            (0.0, 1, true, "0 B"),
            (135.0, 1, true, "+135 B"),
            (-252.0, 1, true, "-252 B"),
            (-999_950.0, 1, true, "-1.0 MB"),
            (123_456.0, 1, true, "+123.5 kB"),
        ] {
            assert_eq!(size_text(size, places, sign), expected);
        }
    }

    fn line(json: bool, changes: &[Change<'_>]) -> String {
        let mut renderer = DiffRenderer { json, clock: Clock::new(|_| 0) };
        let mut out = Vec::new();
        renderer.render(b"a \xff\"\xc3\xa4", changes, &mut out);
        String::from_utf8(out).expect("text")
    }

    /// The expected lines were written by Borg 1.4.5, except for the bytes of the path.
    #[test]
    fn each_change_has_the_words_of_borg() {
        let owners = [Who::Name(Some(b"ann")), Who::Name(None)];
        let numbers = [Who::Id(7), Who::Id(8)];
        let (old, new) = (Time { seconds: 0, nanoseconds: 0 }, Time { seconds: 86_400, nanoseconds: 500_000_000 });
        for (change, text, json) in [
            (Change::Words("added directory"), "added directory    ", r#"{"type": "added directory"}"#),
            (Change::Added(2048), "added       2.05 kB", r#"{"size": 2048, "type": "added"}"#),
            (Change::Removed(0), "removed         0 B", r#"{"size": 0, "type": "removed"}"#),
            (Change::Modified, "modified           ", r#"{"type": "modified"}"#),
            (
                Change::Chunks { added: 12, removed: 0 },
                "    +12 B       0 B",
                r#"{"added": 12, "removed": 0, "type": "modified"}"#,
            ),
            (Change::Chunks { added: 0, removed: 0 }, "                   ", ""),
            (
                Change::Owner(owners, numbers),
                "[ann:None -> 7:8]  ",
                r#"{"new_group": 8, "new_user": 7, "old_group": null, "old_user": "ann", "type": "owner"}"#,
            ),
            (
                Change::Mode(0o100_644, 0o104_755),
                "[-rw-r--r-- -> -rwsr-xr-x]",
                r#"{"new_mode": "-rwsr-xr-x", "old_mode": "-rw-r--r--", "type": "mode"}"#,
            ),
            (
                Change::Time("mtime", old, new),
                "[mtime: Thu, 1970-01-01 00:00:00 -> Fri, 1970-01-02 00:00:00]",
                r#"{"new_mtime": "1970-01-02T00:00:00.500000", "old_mtime": "1970-01-01T00:00:00.000000", "type": "mtime"}"#,
            ),
        ] {
            assert_eq!(line(false, &[change]), format!("{text} a ?\"ä\n"));
            assert_eq!(line(true, &[change]), format!("{{\"changes\": [{json}], \"path\": \"a ?\\\"\\u00e4\"}}\n"));
        }
        let two = [Change::Chunks { added: 0, removed: 0 }, Change::Mode(0o120_777, 0o060_600), Change::Modified];
        assert_eq!(line(false, &two), "[lrwxrwxrwx -> brw-------] modified a ?\"ä\n");
    }
}
