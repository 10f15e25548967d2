//! POSIX ACLs as the kernel passes them: the attributes `system.posix_acl_access` and `system.posix_acl_default`.
//!
//! Layout (`include/uapi/linux/posix_acl_xattr.h`), all integers little-endian: `u32` version 2, then per entry `u16`
//! tag, `u16` permissions, `u32` id. The id means something for the tags user and group only. No libacl is needed.

use bork_format::item::AclEntry;

use super::names::NameCache;

/// What the names of both attributes begin with.
pub const PREFIX: &[u8] = b"system.posix_acl_";
/// What the names begin with under which xfs shows the same ACLs a second time, to root only. They are neither kept nor
/// set: numbers in them would win over the names of users.
pub const PREFIX_XFS: &[u8] = b"trusted.SGI_ACL_";
/// Attribute of the access ACL.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// Attribute of the default ACL of a directory.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

/// Tag: the owner of the entry.
pub const TAG_USER_OBJECT: u16 = 1;
/// Tag: a named user.
pub const TAG_USER: u16 = 2;
/// Tag: the group of the entry.
pub const TAG_GROUP_OBJECT: u16 = 4;
/// Tag: a named group.
pub const TAG_GROUP: u16 = 8;
/// Tag: the most that named users and all groups may have.
pub const TAG_MASK: u16 = 16;
/// Tag: everybody else.
pub const TAG_OTHER: u16 = 32;

const VERSION: u32 = 2;
const HEADER_LENGTH: usize = 4;
const ENTRY_LENGTH: usize = 8;
/// `ACL_UNDEFINED_ID`, written for tags without an id.
const NO_ID: u32 = u32::MAX;

/// Decodes the value of an ACL attribute; with `names`, named users and groups get their names.
///
/// # Errors
/// A sentence, when the value is not an ACL as this version knows it.
pub fn decode(value: &[u8], mut names: Option<&mut NameCache>) -> Result<Vec<AclEntry>, &'static str> {
    let Some((header, body)) = value.split_first_chunk::<HEADER_LENGTH>() else {
        return Err("the ACL is shorter than its header");
    };
    if u32::from_le_bytes(*header) != VERSION {
        return Err("the ACL has an unknown version");
    }
    let (records, rest) = body.as_chunks::<ENTRY_LENGTH>();
    if !rest.is_empty() {
        return Err("the ACL ends inside an entry");
    }
    let mut entries = Vec::with_capacity(records.len());
    for [tag_0, tag_1, permissions_0, permissions_1, id @ ..] in records {
        let tag = u16::from_le_bytes([*tag_0, *tag_1]);
        let permissions = u16::from_le_bytes([*permissions_0, *permissions_1]);
        if permissions > 7 {
            return Err("an ACL entry has an unknown permission");
        }
        let id = u32::from_le_bytes(*id);
        let id = match tag {
            TAG_USER | TAG_GROUP => id,
            TAG_USER_OBJECT | TAG_GROUP_OBJECT | TAG_MASK | TAG_OTHER => 0,
            _ => return Err("an ACL entry has an unknown tag"),
        };
        let name = names.as_deref_mut().map_or(Vec::new(), |names| name_of(tag, id, names).to_vec());
        entries.push(AclEntry { tag, permissions, id, name });
    }
    Ok(entries)
}

/// The name that an entry of this tag has for its id; empty when there is none.
pub fn name_of(tag: u16, id: u32, names: &mut NameCache) -> &[u8] {
    match tag {
        TAG_USER => names.user(id),
        TAG_GROUP => names.group(id),
        _ => &[],
    }
}

/// Encodes entries for the kernel. With `names`, a name that is known here decides the id, else the number does.
pub fn encode(entries: &[AclEntry], mut names: Option<&mut NameCache>) -> Vec<u8> {
    let mut records: Vec<(u16, u32, u16)> = entries
        .iter()
        .map(|entry| {
            let mapped = match (entry.tag, &mut names) {
                (TAG_USER, Some(names)) => names.user_id(&entry.name),
                (TAG_GROUP, Some(names)) => names.group_id(&entry.name),
                _ => None,
            };
            let named = matches!(entry.tag, TAG_USER | TAG_GROUP);
            (entry.tag, if named { mapped.unwrap_or(entry.id) } else { NO_ID }, entry.permissions)
        })
        .collect();
    // The kernel wants the order of the tags; ids may have changed their order with the mapping.
    records.sort_by_key(|(tag, id, _)| (*tag, *id));
    let mut value = Vec::with_capacity(HEADER_LENGTH + records.len() * ENTRY_LENGTH);
    value.extend_from_slice(&VERSION.to_le_bytes());
    for (tag, id, permissions) in records {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

/// Whether an access ACL holds only what the nine permission bits hold.
pub fn says_no_more_than_mode(entries: &[AclEntry]) -> bool {
    entries.iter().all(|entry| matches!(entry.tag, TAG_USER_OBJECT | TAG_GROUP_OBJECT | TAG_OTHER))
}

/// The permission bits for a file whose ACL cannot be set.
///
/// With an ACL the group bits of the mode are its mask. Setting them alone would give the owning group what only a
/// named user had, so the group gets what its own entry and the mask both allow.
pub fn mode_without_acl(mode: u32, entries: &[AclEntry]) -> u32 {
    let group = entries.iter().find(|entry| entry.tag == TAG_GROUP_OBJECT);
    let group = group.map_or(7, |entry| u32::from(entry.permissions));
    mode & (!0o070 | group << 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u16, permissions: u16, id: u32, name: &[u8]) -> AclEntry {
        AclEntry { tag, permissions, id, name: name.to_vec() }
    }

    fn sample() -> Vec<AclEntry> {
        vec![
            entry(TAG_USER_OBJECT, 6, 0, b""),
            entry(TAG_USER, 7, 1000, b""),
            entry(TAG_USER, 4, 1001, b""),
            entry(TAG_GROUP_OBJECT, 0, 0, b""),
            entry(TAG_GROUP, 5, 50, b""),
            entry(TAG_MASK, 7, 0, b""),
            entry(TAG_OTHER, 0, 0, b""),
        ]
    }

    #[test]
    fn an_acl_survives_the_round_trip() {
        let value = encode(&sample(), None);
        assert_eq!(value.len(), 4 + 7 * 8);
        assert_eq!(decode(&value, None).unwrap(), sample());
        assert_eq!(value[..12], [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255]);
    }

    #[test]
    fn names_decide_ids_where_they_are_known_and_entries_stay_sorted() {
        let mut names = NameCache::from_files(b"ann:x:2000:1::/:\nbob:x:3:1::/:\n", b"staff:x:7:\n");
        let entries =
            [entry(TAG_USER, 7, 1000, b"ann"), entry(TAG_USER, 4, 1001, b"bob"), entry(TAG_GROUP, 5, 50, b"nobody")];
        let decoded = decode(&encode(&entries, Some(&mut names)), Some(&mut names)).unwrap();
        let expected = [entry(TAG_USER, 4, 3, b"bob"), entry(TAG_USER, 7, 2000, b"ann"), entry(TAG_GROUP, 5, 50, b"")];
        assert_eq!(decoded, expected);
    }

    #[test]
    fn malformed_acls_are_refused_with_a_sentence() {
        let good = encode(&sample(), None);
        for length in 0..good.len() {
            let is_whole = length >= HEADER_LENGTH && (length - HEADER_LENGTH).is_multiple_of(ENTRY_LENGTH);
            assert_eq!(decode(&good[..length], None).is_ok(), is_whole, "{length}");
        }
        for (at, byte) in [(0, 3), (4, 3), (6, 8), (5, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(decode(&bad, None).is_err(), "{at}");
        }
    }

    #[test]
    fn an_acl_that_only_repeats_the_mode_is_recognized() {
        assert!(!says_no_more_than_mode(&sample()));
        assert!(says_no_more_than_mode(&[entry(TAG_USER_OBJECT, 6, 0, b""), entry(TAG_OTHER, 0, 0, b"")]));
    }

    #[test]
    fn without_its_acl_a_file_gives_its_group_no_more_than_before() {
        assert_eq!(mode_without_acl(0o2674, &sample()), 0o2604);
        assert_eq!(mode_without_acl(0o640, &[]), 0o640);
    }
}
