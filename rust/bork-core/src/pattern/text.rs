//! Bytes to characters, and pattern paths to their normal form.

use std::borrow::Cow;

/// First of the 256 private characters that stand for bytes which are not UTF-8.
const BYTE_CHARACTERS: u32 = 0x10_ff00;

/// The character that stands for a byte which is not UTF-8. Python shows such a byte as U+DC00 + byte instead.
pub(super) fn byte_character(byte: u8) -> char {
    char::from_u32(BYTE_CHARACTERS + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A path as characters: itself if it is UTF-8, else a copy with [`byte_character`]s.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(valid);
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|byte| byte_character(*byte)));
    }
    Cow::Owned(out)
}

/// A path without slashes at its beginning.
pub(super) fn without_slashes(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    &path[start..]
}

/// Python's `os.path.normpath(path).lstrip("/")`: no empty component, no `.`, and no `..` behind a name. The root is
/// empty; a relative path of which nothing is left is `.`.
pub(super) fn normalize(path: &[u8]) -> Vec<u8> {
    let absolute = path.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if absolute => {}
            other => kept.push(other),
        }
    }
    if kept.is_empty() && !absolute {
        return b".".to_vec();
    }
    kept.join(&b'/')
}
