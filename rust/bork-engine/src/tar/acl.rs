//! ACLs as star, GNU tar and libarchive write them: `user::rwx,user:ann:r-x:1000,...`. The number behind the
//! permissions is star's, and counts where the name is not known.

use bork_core::metadata::acl::{TAG_GROUP, TAG_GROUP_OBJECT, TAG_MASK, TAG_OTHER, TAG_USER, TAG_USER_OBJECT};
use bork_format::item::{AclEntry, NAME_LENGTH_MAX};

/// The text of an ACL.
pub fn text(entries: &[AclEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(match entry.tag {
            TAG_USER_OBJECT | TAG_USER => b"user:",
            TAG_GROUP_OBJECT | TAG_GROUP => b"group:",
            TAG_MASK => b"mask:",
            _ => b"other:",
        });
        let is_named = matches!(entry.tag, TAG_USER | TAG_GROUP);
        if is_named {
            // A name that would break the text is left out: then the number counts.
            let plain = |byte: &u8| !byte.is_ascii_control() && !matches!(byte, b':' | b',' | b'#' | b' ');
            if !entry.name.is_empty() && entry.name.iter().all(plain) {
                out.extend_from_slice(&entry.name);
            } else {
                out.extend_from_slice(entry.id.to_string().as_bytes());
            }
        }
        out.push(b':');
        for (bit, letter) in [(4, b'r'), (2, b'w'), (1, b'x')] {
            out.push(if entry.permissions & bit != 0 { letter } else { b'-' });
        }
        if is_named {
            out.extend_from_slice(format!(":{}", entry.id).as_bytes());
        }
    }
    out
}

/// The entries of a text; `None` if it is no ACL. Without a number in the text, `user_id` and `group_id` find it.
pub fn entries(
    text: &[u8],
    mut user_id: impl FnMut(&[u8]) -> Option<u32>,
    mut group_id: impl FnMut(&[u8]) -> Option<u32>,
) -> Option<Vec<AclEntry>> {
    let parts = text.split(|byte| matches!(byte, b',' | b'\n'));
    let parts = parts.map(|part| part.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii());
    parts.filter(|part| !part.is_empty()).map(|part| entry(part, &mut user_id, &mut group_id)).collect()
}

fn entry(
    part: &[u8],
    user_id: &mut impl FnMut(&[u8]) -> Option<u32>,
    group_id: &mut impl FnMut(&[u8]) -> Option<u32>,
) -> Option<AclEntry> {
    let words: Vec<&[u8]> = part.split(|byte| *byte == b':').map(<[u8]>::trim_ascii).collect();
    let (word, name, letters, number) = match words[..] {
        [word, letters] => (word, &b""[..], letters, None),
        [word, name, letters] => (word, name, letters, None),
        [word, name, letters, number] => (word, name, letters, Some(number)),
        _ => return None,
    };
    let tag = match (word, name.is_empty()) {
        (b"user" | b"u", true) => TAG_USER_OBJECT,
        (b"user" | b"u", false) => TAG_USER,
        (b"group" | b"g", true) => TAG_GROUP_OBJECT,
        (b"group" | b"g", false) => TAG_GROUP,
        (b"mask" | b"m", true) => TAG_MASK,
        (b"other" | b"o", true) => TAG_OTHER,
        _ => return None,
    };
    let mut permissions = 0;
    for letter in letters {
        permissions |= match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return None,
        };
    }
    if name.is_empty() {
        return Some(AclEntry { tag, permissions, id: 0, name: Vec::new() });
    }
    let numeric = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let known = if tag == TAG_USER { user_id(name) } else { group_id(name) };
    let id = number.and_then(numeric).or(known).or_else(|| numeric(name))?;
    let is_number = name.iter().all(u8::is_ascii_digit);
    let name = if is_number { Vec::new() } else { name.to_vec() };
    (name.len() <= NAME_LENGTH_MAX).then_some(AclEntry { tag, permissions, id, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Option<Vec<AclEntry>> {
        entries(text, |name| (name == b"ann").then_some(7), |_| None)
    }

    fn named(tag: u16, permissions: u16, id: u32, name: &[u8]) -> AclEntry {
        AclEntry { tag, permissions, id, name: name.to_vec() }
    }

    #[test]
    fn the_texts_of_other_programs_are_understood() {
        let expected = vec![
            named(TAG_USER_OBJECT, 6, 0, b""),
            named(TAG_USER, 4, 7, b"ann"),
            named(TAG_USER, 5, 1000, b""),
            named(TAG_GROUP_OBJECT, 4, 0, b""),
            named(TAG_MASK, 5, 0, b""),
            named(TAG_OTHER, 0, 0, b""),
        ];
        let gnu = b"user::rw-\nuser:ann:r--\nuser:1000:r-x\t#effective:r-x\ngroup::r--\nmask::r-x\nother::---\n";
        assert_eq!(read(gnu), Some(expected.clone()));
        assert_eq!(read(b"user::rw-,user:ann:r--:7,user:1000:r-x:1000,group::r--,mask:r-x,other:---"), Some(expected));
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        for text in ["user", "user::rwz", "nobody::rwx", "user:unknown:rwx", "mask:x:rwx", "user:a:b:c:d:e"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn acls_survive_the_round_trip(
            named_users in prop::collection::vec((0_u16..8, any::<u32>(), "[a-z_][a-z0-9_-]{0,30}"), 0..5),
            unnamed in prop::collection::vec((0_u16..8, any::<u32>()), 0..5),
        ) {
            let mut acl = vec![named(TAG_USER_OBJECT, 7, 0, b""), named(TAG_GROUP_OBJECT, 5, 0, b"")];
            acl.extend(named_users.iter().map(|(permissions, id, name)| named(TAG_USER, *permissions, *id, name.as_bytes())));
            acl.extend(unnamed.iter().map(|(permissions, id)| named(TAG_GROUP, *permissions, *id, b"")));
            acl.extend([named(TAG_MASK, 7, 0, b""), named(TAG_OTHER, 0, 0, b"")]);
            prop_assert_eq!(entries(&text(&acl), |_| None, |_| None), Some(acl));
        }

        #[test]
        fn no_bytes_make_the_reader_of_acls_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
