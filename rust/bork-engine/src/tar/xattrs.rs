//! Extended attributes as records, in the three ways that programs have: `SCHILY.xattr.` with the value as it is (star,
//! GNU tar, libarchive), `LIBARCHIVE.xattr.` with the value in base64 (libarchive, which writes both unless told
//! otherwise), and `RHT.security.selinux` (GNU tar, star).

use super::pax;
use super::records::Records;
use std::collections::BTreeMap;

const SCHILY: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";

/// Values by their names; `None` for one that cannot be understood. If one attribute has several records, a value as
/// it is wins.
pub fn found(records: &Records) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    if let Some(label) = records.get(b"RHT.security.selinux") {
        found.insert(b"security.selinux".to_vec(), Some(with_zero(label)));
    }
    let has = |prefix: &[u8], key: &[u8]| records.get(&[prefix, key].concat()).is_some();
    for (key, text) in records.below(LIBARCHIVE) {
        if !has(SCHILY, key) {
            found.insert(unescape_url(key), take_base64(text));
        }
    }
    for (key, value) in records.below(SCHILY) {
        // libarchive escapes the names of both kinds in its own way.
        let name = if has(LIBARCHIVE, key) { unescape_url(key) } else { pax::unescape_key(key) };
        found.insert(name, Some(value.to_vec()));
    }
    found
}

/// A label as the kernel has it, with a zero byte at its end. GNU tar leaves that out, and sets it again.
fn with_zero(label: &[u8]) -> Vec<u8> {
    [label.strip_suffix(b"\0").unwrap_or(label), b"\0"].concat()
}

/// Undoes a percent sign with two hexadecimal digits. All else stands for itself.
fn unescape_url(key: &[u8]) -> Vec<u8> {
    let (mut name, mut rest) = (Vec::with_capacity(key.len()), key);
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, behind @ ..] => hexadecimal(*high, *low).map(|byte| (byte, behind)),
            _ => None,
        };
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        name.push(byte);
        rest = behind;
    }
    name
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

/// The bytes of a text in base64. libarchive does not pad it.
fn take_base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = &text[..text.len() - padding];
    if padding > 2 || text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let bits = group.iter().try_fold(0, |bits, byte| Some(bits << 6 | sextet(*byte)?))?;
        let bits: u32 = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found_in(records: &[(&str, &[u8])]) -> Vec<(String, Option<Vec<u8>>)> {
        let mut all = Records::default();
        records.iter().for_each(|(key, value)| all.insert(key.as_bytes(), value));
        found(&all).into_iter().map(|(name, value)| (String::from_utf8(name).unwrap(), value)).collect()
    }

    fn attribute(name: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
        (name.to_string(), Some(value.to_vec()))
    }

    #[test]
    fn what_libarchive_writes_is_one_attribute_with_one_name() {
        // Records of bsdtar 3.6.2 for `user.a=b%c d/é`, by its three values of the option pax:xattrheader.
        let name = "user.a=b%c d/é";
        let base64 = ("LIBARCHIVE.xattr.user.a%3Db%25c%20d/%C3%A9", &b"AP8Q"[..]);
        let bare = ("SCHILY.xattr.user.a%3Db%25c%20d/%C3%A9", &b"\x00\xff\x10"[..]);
        assert_eq!(found_in(&[base64]), [attribute(name, b"\x00\xff\x10")]);
        assert_eq!(found_in(&[base64, bare]), [attribute(name, b"\x00\xff\x10")]);
        // Alone it could be GNU tar's, which escapes two characters only.
        assert_eq!(found_in(&[bare]), [attribute("user.a=b%c%20d/%C3%A9", b"\x00\xff\x10")]);
        assert_eq!(found_in(&[("LIBARCHIVE.xattr.user.empty", b"")]), [attribute("user.empty", b"")]);
        assert_eq!(found_in(&[("LIBARCHIVE.xattr.user.x", b"A")]), [("user.x".to_string(), None)]);
        assert_eq!(
            found_in(&[("LIBARCHIVE.xattr.user.x", b"?"), ("SCHILY.xattr.user.x", b"y")]),
            [attribute("user.x", b"y")]
        );
    }

    #[test]
    fn a_label_of_selinux_ends_with_a_zero_byte_as_in_the_kernel() {
        let label = ("RHT.security.selinux", &b"system_u:object_r:etc_t:s0"[..]);
        let whole = [attribute("security.selinux", b"system_u:object_r:etc_t:s0\0")];
        assert_eq!(found_in(&[label]), whole);
        assert_eq!(found_in(&[("RHT.security.selinux", b"system_u:object_r:etc_t:s0\0")]), whole);
        let both = found_in(&[label, ("SCHILY.xattr.security.selinux", b"as it is")]);
        assert_eq!(both, [attribute("security.selinux", b"as it is")]);
    }

    #[test]
    fn base64_is_that_of_rfc_4648_with_or_without_padding() {
        for (text, value) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob")] {
            assert_eq!(take_base64(text.as_bytes()).as_deref(), Some(value.as_bytes()), "{text}");
        }
        assert_eq!(take_base64(b"+/A9"), Some(vec![0xfb, 0xf0, 0x3d]));
        for text in ["Z", "Zg===", "Zg=a", "Z g=", "Zm9v=Zg", "-_"] {
            assert_eq!(take_base64(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = take_base64(&bytes);
            prop_assert!(unescape_url(&bytes).len() <= bytes.len());
        }

        #[test]
        fn escaped_names_come_back(name in any::<Vec<u8>>()) {
            let escaped: String = name.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(unescape_url(escaped.as_bytes()), name);
        }
    }
}
