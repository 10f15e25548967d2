//! JSON as Python's `json.dumps` writes it: ASCII only, `", "` and `": "` between values.

/// What becomes of bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// `?`
    Replaced,
    /// `\udcXX`, the form in which Python keeps them.
    Escaped,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a key, and the comma before it unless the object begins at `start`.
pub(super) fn key(name: &str, start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.extend_from_slice(b", ");
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\": ");
}

/// Appends a quoted string.
pub(crate) fn string(text: &[u8], bytes: Bytes, out: &mut Vec<u8>) {
    out.push(b'"');
    if text.iter().all(|byte| matches!(byte, b' '..=b'~' if *byte != b'"' && *byte != b'\\')) {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            chunk.valid().chars().for_each(|character| escape(character, out));
            for byte in chunk.invalid() {
                match bytes {
                    Bytes::Replaced => out.push(b'?'),
                    Bytes::Escaped => unit(0xdc00 + u16::from(*byte), out),
                }
            }
        }
    }
    out.push(b'"');
}

fn escape(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\x0c' => out.extend_from_slice(b"\\f"),
        '\x08' => out.extend_from_slice(b"\\b"),
        ' '..='~' => out.push(character as u8),
        other => other.encode_utf16(&mut [0; 2]).iter().for_each(|code_unit| unit(*code_unit, out)),
    }
}

/// An escape of four hexadecimal digits.
fn unit(code_unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(code_unit >> shift & 15)]));
}
