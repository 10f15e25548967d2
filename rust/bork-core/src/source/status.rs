//! Status lines of `create --list`, as text or JSON.

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
            escape_json(path, out);
            out.extend_from_slice(b"}\n");
        } else {
            out.extend_from_slice(&[status, b' ']);
            printable(path, out);
            out.push(b'\n');
        }
    }
}

/// Appends a path for a terminal or a log: control characters become `?`, so that a name cannot steer a terminal or
/// fake a line.
pub fn printable(path: &[u8], out: &mut Vec<u8>) {
    out.extend(path.iter().map(|byte| if byte.is_ascii_control() { b'?' } else { *byte }));
}

/// Appends a JSON string in ASCII. Bytes that are not UTF-8 become `\udcXX`, as Python's surrogateescape gives them.
pub fn escape_json(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_character(character, out);
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\udc{byte:02x}").as_bytes());
        }
    }
    out.push(b'"');
}

fn escape_character(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        ' '..='~' => out.push(character as u8),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_python_would_write() {
        let mut out = Vec::new();
        escape_json("a\"\\\n\u{1}é😀".as_bytes(), &mut out);
        out.extend_from_slice(b" ");
        escape_json(b"\xff", &mut out);
        assert_eq!(out, br#""a\"\\\n\u0001\u00e9\ud83d\ude00" "\udcff""#);
    }

    #[test]
    fn a_name_cannot_fake_a_line() {
        let mut out = Vec::new();
        LineFormat { json: false, filter: None }.write(b'A', b"x\nE /etc\x1b[0m", &mut out);
        assert_eq!(out, b"A x?E /etc?[0m\n");
    }
}
