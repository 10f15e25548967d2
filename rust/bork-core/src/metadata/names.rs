//! User and group names for ids, and ids for names.
//!
//! Names come from the C library (so from LDAP too, where the system is set up so), or from the `etc/passwd` and
//! `etc/group` of a foreign root, which replaces the chroot of older recipes. Each id is asked for once: a lookup
//! through NSS can cost milliseconds.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use bork_format::item::NAME_LENGTH_MAX;

/// Most entries of one table; when it is full it is emptied, so that a hostile tree with millions of owners cannot
/// fill the memory (4 tables x 65,536 entries x some 100 bytes = 26 MB at worst).
const ENTRIES_MAX: usize = 65_536;

/// First buffer for a lookup; it doubles up to the limit. Unit: bytes.
const BUFFER_LENGTH_MIN: usize = 2048;
/// Largest buffer for a lookup: a group of 100,000 members fits. Unit: bytes.
const BUFFER_LENGTH_MAX: usize = 4 << 20;

/// What the `passwd` and `group` of a foreign root say. As in the C library the first entry of an id or a name wins.
#[derive(Debug, Default)]
pub struct NameTables {
    users: (HashMap<u32, Vec<u8>>, HashMap<Vec<u8>, u32>),
    groups: (HashMap<u32, Vec<u8>>, HashMap<Vec<u8>, u32>),
}

impl NameTables {
    /// Parses these two files, in the syntax of `passwd(5)` and `group(5)`. Lines that do not parse are skipped.
    ///
    /// Memory: about 180 bytes a line, so 25 bytes for each byte of a file that is made to be expensive.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        NameTables { users: parse(passwd), groups: parse(group) }
    }
}

/// Answers of the user and group database. Unknown ids and names are remembered as well.
#[derive(Debug, Default)]
pub struct NameCache {
    foreign: Option<Arc<NameTables>>,
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    user_ids: HashMap<Vec<u8>, Option<u32>>,
    group_ids: HashMap<Vec<u8>, Option<u32>>,
}

impl NameCache {
    /// Asks the C library of this machine.
    pub fn from_system() -> Self {
        NameCache::default()
    }

    /// Knows only what these tables say; without tables, asks the C library of this machine.
    pub fn new(tables: Option<Arc<NameTables>>) -> Self {
        NameCache { foreign: tables, ..NameCache::default() }
    }

    /// Knows only what these two files say.
    pub fn from_files(passwd: &[u8], group: &[u8]) -> Self {
        NameCache::new(Some(Arc::new(NameTables::parse(passwd, group))))
    }

    /// Name of a user; empty when there is none.
    pub fn user(&mut self, uid: u32) -> &[u8] {
        match &self.foreign {
            Some(tables) => tables.users.0.get(&uid).map_or(&[], Vec::as_slice),
            None => name_of(&mut self.users, uid, system_user),
        }
    }

    /// Name of a group; empty when there is none.
    pub fn group(&mut self, gid: u32) -> &[u8] {
        match &self.foreign {
            Some(tables) => tables.groups.0.get(&gid).map_or(&[], Vec::as_slice),
            None => name_of(&mut self.groups, gid, system_group),
        }
    }

    /// Id of a user, if the name is known here.
    pub fn user_id(&mut self, name: &[u8]) -> Option<u32> {
        match &self.foreign {
            Some(tables) => tables.users.1.get(name).copied(),
            None => id_of(&mut self.user_ids, name, system_user_id),
        }
    }

    /// Id of a group, if the name is known here.
    pub fn group_id(&mut self, name: &[u8]) -> Option<u32> {
        match &self.foreign {
            Some(tables) => tables.groups.1.get(name).copied(),
            None => id_of(&mut self.group_ids, name, system_group_id),
        }
    }
}

/// Both files have the name in the first and the id in the third field.
fn parse(text: &[u8]) -> (HashMap<u32, Vec<u8>>, HashMap<Vec<u8>, u32>) {
    let mut tables: (HashMap<u32, Vec<u8>>, HashMap<Vec<u8>, u32>) = Default::default();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse::<u32>().ok()) else { continue };
        // "+" and "-" begin the NIS lines of old, "#" a comment.
        if name.is_empty() || name.len() > NAME_LENGTH_MAX || b"+-#".contains(&name[0]) {
            continue;
        }
        tables.0.entry(id).or_insert_with(|| name.to_vec());
        tables.1.entry(name.to_vec()).or_insert(id);
    }
    tables
}

fn name_of(table: &mut HashMap<u32, Vec<u8>>, id: u32, ask: fn(u32) -> Option<Vec<u8>>) -> &[u8] {
    if table.len() >= ENTRIES_MAX && !table.contains_key(&id) {
        table.clear();
    }
    table.entry(id).or_insert_with(|| ask(id).filter(|name| name.len() <= NAME_LENGTH_MAX).unwrap_or_default())
}

fn id_of(table: &mut HashMap<Vec<u8>, Option<u32>>, name: &[u8], ask: fn(&CStr) -> Option<u32>) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    if let Some(id) = table.get(name) {
        return *id;
    }
    if table.len() >= ENTRIES_MAX {
        table.clear();
    }
    let id = CString::new(name).ok().and_then(|name| ask(&name));
    table.insert(name.to_vec(), id);
    id
}

/// Calls one of the `get*_r` functions with a growing buffer. `call` returns the error number and what it found.
fn with_buffer<T>(mut call: impl FnMut(&mut [libc::c_char]) -> (libc::c_int, Option<T>)) -> Option<T> {
    let mut length = BUFFER_LENGTH_MIN;
    loop {
        let mut buffer = vec![0; length];
        match call(&mut buffer) {
            (libc::ERANGE, _) if length < BUFFER_LENGTH_MAX => length *= 2,
            (libc::EINTR, _) => {}
            (0, found) => return found,
            _ => return None,
        }
    }
}

/// Defines a lookup of one record by one key; the four C functions differ in nothing but types.
macro_rules! lookup {
    ($name:ident, $function:ident, $record:ty, $key:ty => $raw:expr, $found:ty, $read:expr) => {
        fn $name(key: $key) -> Option<$found> {
            with_buffer(|buffer| {
                let mut record = std::mem::MaybeUninit::<$record>::uninit();
                let mut result = std::ptr::null_mut();
                // SAFETY: all pointers are valid for the call, and the length is that of the buffer.
                let code = unsafe {
                    libc::$function($raw(key), record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut result)
                };
                if code != 0 || result.is_null() {
                    return (code, None);
                }
                // SAFETY: with a result that is not null the function has filled the record, whose strings lie in
                // the buffer and end with a zero byte; both outlive this line.
                let found = unsafe { $read(&*result) };
                (0, Some(found))
            })
        }
    };
}

/// Copies a C string.
///
/// # Safety
/// `string` points to bytes that end with a zero byte.
unsafe fn copy(string: *const libc::c_char) -> Vec<u8> {
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(string) }.to_bytes().to_vec()
}

lookup!(system_user, getpwuid_r, libc::passwd, u32 => |key| key, Vec<u8>, |record: &libc::passwd| copy(record.pw_name));
lookup!(system_group, getgrgid_r, libc::group, u32 => |key| key, Vec<u8>, |record: &libc::group| copy(record.gr_name));
lookup!(system_user_id, getpwnam_r, libc::passwd, &CStr => CStr::as_ptr, u32, |record: &libc::passwd| record.pw_uid);
lookup!(system_group_id, getgrnam_r, libc::group, &CStr => CStr::as_ptr, u32, |record: &libc::group| record.gr_gid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_here_and_the_name_has_an_id() {
        let mut names = NameCache::from_system();
        for _ in 0..2 {
            assert_eq!(names.user(0), b"root");
            assert_eq!(names.group(0), b"root");
            assert_eq!(names.user_id(b"root"), Some(0));
            assert_eq!(names.group_id(b"root"), Some(0));
        }
    }

    #[test]
    fn unknown_ids_and_names_are_no_error() {
        let mut names = NameCache::from_system();
        assert_eq!(names.user(3_999_999_999), b"");
        assert_eq!(names.group(3_999_999_999), b"");
        assert_eq!(names.user_id(b"no such user"), None);
        assert_eq!(names.group_id(b"with\0zero"), None);
        assert_eq!(names.user_id(b""), None);
    }

    #[test]
    fn files_of_a_foreign_root_replace_the_system() {
        let passwd = b"root:x:0:0::/root:/bin/sh\n#c:x:7:7::\n+nis:x:8:8::\nbroken\nann:x:1000:100:Ann:/home/ann:\n\
            second:x:1000:100::/:\nann:x:1001:1::/:\n\xffname:x:12:12::/:\nbad:x:-1:0::/:";
        let mut names = NameCache::from_files(passwd, b"staff:x:50:ann,root\n");
        assert_eq!(names.user(1000), b"ann");
        assert_eq!(names.user(1001), b"ann");
        assert_eq!(names.user_id(b"ann"), Some(1000));
        assert_eq!(names.user_id(b"second"), Some(1000));
        assert_eq!(names.user(12), b"\xffname");
        assert!(names.user(7).is_empty() && names.user(8).is_empty());
        assert_eq!(names.user_id(b"bad"), None);
        assert_eq!(names.group(50), b"staff");
        assert_eq!(names.group(0), b"", "the system's own groups are not asked");
    }

    #[test]
    fn a_full_table_is_emptied_instead_of_growing() {
        let mut table = HashMap::new();
        for id in 0..ENTRIES_MAX as u32 + 10 {
            name_of(&mut table, id, |_| None);
        }
        assert_eq!(table.len(), 10);
    }
}
