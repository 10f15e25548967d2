//! Status lines of `create --list`, as text or JSON.

use crate::render::{Bytes, json_string, push_lossy};
use bork_format::item::Link;

/// The status of one entry, until its line is written.
pub struct Status {
    /// Its letter.
    pub letter: u8,
    /// Its path as the user knows it.
    pub path: Vec<u8>,
    /// Hard link set of a regular file: names after the first get the letter `h`.
    pub link: Option<Link>,
}

/// How status lines are written, and which.
#[derive(Debug, Clone)]
pub struct LineFormat {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Letters that are wanted; `None` for all.
    pub filter: Option<Vec<u8>>,
}

impl LineFormat {
    /// Appends the line of one entry, if its letter is wanted.
    pub fn write(&self, status: u8, path: &[u8], out: &mut Vec<u8>) {
        if self.filter.as_ref().is_some_and(|wanted| !wanted.contains(&status)) {
            return;
        }
        if self.json {
            out.extend_from_slice(b"{\"type\": \"file_status\", \"status\": \"");
            out.push(status);
            out.extend_from_slice(b"\", \"path\": ");
            json_string(path, Bytes::Replaced, out);
            out.extend_from_slice(b"}\n");
        } else {
            out.extend_from_slice(&[status, b' ']);
            printable(path, out);
            out.push(b'\n');
        }
    }
}

/// Appends a path for a terminal or a log: `?` stands for each control character, so that a name cannot steer a
/// terminal or fake a line, and for each byte that is not UTF-8, so that a log is text.
pub fn printable(path: &[u8], out: &mut Vec<u8>) {
    push_lossy(path, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_object_a_line_that_strict_parsers_read() {
        let mut out = Vec::new();
        LineFormat { json: true, filter: None }.write(b'A', b"a\"\xff", &mut out);
        assert_eq!(out, b"{\"type\": \"file_status\", \"status\": \"A\", \"path\": \"a\\\"?\"}\n");
    }

    #[test]
    fn a_name_cannot_fake_a_line() {
        let mut out = Vec::new();
        LineFormat { json: false, filter: None }.write(b'A', b"x\nE /etc\x1b[0m\xc2\x9b\xff", &mut out);
        assert_eq!(out, b"A x?E /etc?[0m??\n");
    }
}
