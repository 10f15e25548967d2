//! What is read from one file system and written to another reads the same there.
//!
//! A tree with every kind of entry and attribute that this machine allows is read into items, restored elsewhere, read
//! again and compared, between all pairs of the file systems at hand. What a file system refuses while the tree is
//! built is printed, so that a lean machine is not taken for a full test.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use bork_core::direct::write_chunk;
use bork_core::metadata::{MetadataOptions, NameCache, Place, flags, read};
use bork_core::stat::{Stat, stat_at, stat_fd};
use bork_core::writer::{Directory, Options, Writer, prepare_thread, set_length, write_at};
use bork_format::item::{Item, Link};
use rustix::fs::{CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};

/// Items and contents by path, in walk order: parents before children.
type Tree = BTreeMap<Vec<u8>, (Item, Vec<u8>)>;

fn attempt<T>(what: &str, result: Result<T, rustix::io::Errno>) -> bool {
    if let Err(error) = result {
        eprintln!("skipped: {what}: {error}");
        return false;
    }
    true
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    attempt(&format!("{name} on {}", path.display()), rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()));
}

fn set_times(path: &Path, atime: (i64, i64), mtime: (i64, i64)) {
    let spec = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: spec(atime), last_modification: spec(mtime) };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_flags(path: &Path, wanted: u32) {
    let file = std::fs::File::open(path).unwrap();
    if let Err((refused, error)) = flags::write(file.as_fd(), wanted, flags::KEPT) {
        eprintln!("skipped: flags {} on {}: {error}", flags::words(refused), path.display());
    }
}

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = vec![2, 0, 0, 0];
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
    }
    value
}

fn build_names_and_links(root: &Path) {
    for name in [&[b'x'; 255][..], b"new\nline", b"\xff\xfe not utf-8", b" ", b"...", "\u{e9}".as_bytes(), b"e\xcc\x81"]
    {
        std::fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let legal: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    std::fs::create_dir(root.join(OsStr::from_bytes(&legal))).unwrap();
    symlink(OsStr::from_bytes(b"/no\xffwhere"), root.join("link")).unwrap();
    set_times(&root.join("link"), (5, 6), (-7, 8));
    std::os::unix::fs::lchown(root.join("link"), Some(1), Some(12_345)).unwrap();
    set_xattr(&root.join("link"), "trusted.of.link", b"l");
    std::fs::hard_link(root.join("link"), root.join("link2")).unwrap();
    std::fs::write(root.join("hard1"), b"shared").unwrap();
    std::fs::create_dir(root.join("other")).unwrap();
    std::fs::hard_link(root.join("hard1"), root.join("other/hard2")).unwrap();
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("block", FileType::BlockDevice, rustix::fs::makedev(259, 70_000)),
    ] {
        attempt(name, rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device));
        set_times(&root.join(name), (1, 2), (3, 4));
    }
    std::fs::set_permissions(root.join("fifo"), PermissionsExt::from_mode(0o622)).unwrap();
    set_xattr(&root.join("null"), "security.of.device", b"d");
    set_xattr(
        &root.join("fifo"),
        "system.posix_acl_access",
        &acl(&[(1, 6, !0), (2, 4, 1), (4, 2, !0), (16, 6, !0), (32, 2, !0)]),
    );
}

fn build_attributes(root: &Path) {
    let make = |name: &str, mode: u32| {
        let path = root.join(name);
        std::fs::write(&path, name).unwrap();
        std::os::unix::fs::chown(&path, Some(1), Some(12_345)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    let capable = make("capable", 0o755);
    // Version 2, effective, permitted cap_net_raw.
    set_xattr(&capable, "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (name, mode) in [("set-uid", 0o4755), ("set-gid", 0o2711), ("sticky", 0o1644), ("none", 0), ("all", 0o777)] {
        make(name, mode);
    }
    for (name, seconds) in [("y1960", -315_619_200), ("y2039", 2_177_452_800), ("y2110", 4_417_977_600), ("y1969", -1)]
    {
        set_times(&make(name, 0o644), (seconds - 10, 999_999_999), (seconds, 123_456_789));
    }
    let with = make("attributes", 0o604);
    set_xattr(&with, "user.empty", b"");
    set_xattr(&with, "user.b", &[0, 255, 10]);
    set_xattr(&with, "user.\u{fc}", b"name beyond ascii");
    set_xattr(&with, "trusted.a", &[3; 1500]);
    set_xattr(&with, "security.x", b"y");
    let acl_file = make("acl", 0o640);
    let entries = [(1, 6, !0), (2, 7, 1), (2, 5, 54_321), (4, 0, !0), (8, 4, 12_345), (16, 7, !0), (32, 0, !0)];
    set_xattr(&acl_file, "system.posix_acl_access", &acl(&entries));
    std::fs::create_dir(root.join("acls")).unwrap();
    std::fs::set_permissions(root.join("acls"), PermissionsExt::from_mode(0o2750)).unwrap();
    set_xattr(&root.join("acls"), "system.posix_acl_access", &acl(&entries));
    set_xattr(&root.join("acls"), "user.dir", b"1");
    std::fs::write(root.join("acls/before"), b"").unwrap();
    set_xattr(&root.join("acls"), "system.posix_acl_default", &acl(&entries));
    std::fs::write(root.join("acls/inherits"), b"").unwrap();
    std::fs::create_dir(root.join("acls/subdir")).unwrap();
}

fn build_contents(root: &Path) {
    std::fs::create_dir_all(root.join("dir/sub/empty")).unwrap();
    std::fs::write(root.join("dir/sub/large"), vec![42; 3_000_001]).unwrap();
    std::fs::set_permissions(root.join("dir/sub/large"), PermissionsExt::from_mode(0o444)).unwrap();
    let sparse = std::fs::File::create(root.join("dir/sparse")).unwrap();
    set_length(sparse.as_fd(), 50 << 20).unwrap();
    write_at(sparse.as_fd(), 40 << 20, b"island").unwrap();
    std::fs::write(root.join("dir/nodump"), b"n").unwrap();
    std::fs::write(root.join("dir/immutable"), b"i").unwrap();
    std::fs::write(root.join("dir/append"), b"a").unwrap();
    std::fs::create_dir(root.join("dir/flagged")).unwrap();
    set_times(&root.join("dir/immutable"), (11, 12), (13, 14));
    set_times(&root.join("dir/sub"), (21, 22), (-23, 24));
    set_times(&root.join("dir"), (31, 32), (33, 34));
    set_flags(&root.join("dir/nodump"), flags::NODUMP | 0x80 | 0x8);
    set_flags(&root.join("dir/flagged"), flags::NODUMP | 0x1_0000 | 0x2_0000);
    set_flags(&root.join("dir/append"), flags::APPEND);
    set_flags(&root.join("dir/immutable"), flags::IMMUTABLE | flags::NODUMP);
}

fn read_tree(dir: BorrowedFd<'_>, prefix: &[u8], names: &mut NameCache, tree: &mut Tree) {
    let options = MetadataOptions { atime: true, ..MetadataOptions::default() };
    let mut entries: Vec<CString> = rustix::fs::Dir::read_from(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_owned())
        .filter(|name| !matches!(name.as_bytes(), b"." | b".."))
        .collect();
    entries.sort();
    for name in entries {
        let path = if prefix.is_empty() { name.as_bytes().to_vec() } else { [prefix, b"/", name.as_bytes()].concat() };
        let stat: Stat = stat_at(dir, &name).unwrap();
        let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOATIME;
        let file: Option<OwnedFd> = (stat.is_file() || stat.is_directory())
            .then(|| rustix::fs::openat(dir, &name, open, Mode::empty()).unwrap());
        let mut item = Item::default();
        let place = Place { dir, name: &name, file: file.as_ref().map(AsFd::as_fd) };
        assert_eq!(read(&mut item, &stat, place, names, &options), [], "{}", path.escape_ascii());
        if let Some(file) = file.as_ref().filter(|_| !stat.is_directory()) {
            // The way without a descriptor must see the same, but for the flags that statx does not know.
            let mut unopened = Item::default();
            assert_eq!(read(&mut unopened, &stat, Place { file: None, ..place }, names, &options), []);
            unopened.flags = item.flags;
            assert_eq!(unopened, item);
            assert!(stat_fd(file.as_fd()).unwrap().same_inode(&stat));
        }
        let mut content = vec![0; item.size as usize];
        if let Some(file) = file.as_ref().filter(|_| stat.is_file()) {
            let mut done = 0;
            while done < content.len() {
                done += rustix::io::pread(file, &mut content[done..], done as u64).unwrap();
            }
        }
        tree.insert(path.clone(), (item, content));
        if stat.is_directory() {
            read_tree(file.unwrap().as_fd(), &path, names, tree);
        }
    }
}

fn read_root(path: &Path) -> Tree {
    let mut tree = Tree::new();
    let root = std::fs::File::open(path).unwrap();
    read_tree(root.as_fd(), b"", &mut NameCache::from_system(), &mut tree);
    tree
}

fn write_tree(tree: &Tree, target: &Path, options: Options) -> Vec<(Vec<u8>, bork_core::problem::Problem)> {
    let writer = Writer::new(options, NameCache::from_system());
    let mut dirs: HashMap<Vec<u8>, Arc<Directory>> = HashMap::new();
    dirs.insert(Vec::new(), writer.open_root(target).unwrap());
    let mut links: HashMap<u64, (Arc<Directory>, Vec<u8>)> = HashMap::new();
    for (path, (item, content)) in tree {
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let name = cut.map_or(&path[..], |cut| &path[cut + 1..]);
        let dir = Arc::clone(&dirs[&path[..cut.unwrap_or(0)]]);
        if item.is_directory() {
            dirs.insert(path.clone(), writer.enter(&dir, name, Some((path, item.clone()))).unwrap());
            continue;
        }
        if let Some(Link { group, .. }) = item.link {
            if let Some((source_dir, source)) = links.get(&group) {
                writer.hard_link(&dir, name, source_dir, source).unwrap();
                continue;
            }
            links.insert(group, (Arc::clone(&dir), name.to_vec()));
        }
        if !item.is_file() {
            writer.make_other(&dir, name, item).unwrap();
        } else if item.size > 1_000_000 {
            let file = writer.create_large_file(&dir, name, item).unwrap();
            set_length(file.file(), item.size).unwrap();
            for (i, chunk) in content.chunks(1 << 20).enumerate().filter(|(_, chunk)| chunk.iter().any(|b| *b != 0)) {
                write_chunk(&file, (i << 20) as u64, chunk).unwrap();
            }
            writer.finish_file(&dir, name, file, item).unwrap();
        } else {
            let file = writer.create_file(&dir, name, item).unwrap();
            write_at(file.as_fd(), 0, content).unwrap();
            writer.finish_file(&dir, name, file, item).unwrap();
        }
    }
    drop((dirs, links));
    writer.take_problems()
}

/// Leaves only what a restore can bring back: inode, ctime and birth time are the target's own.
fn comparable(tree: Tree) -> Tree {
    tree.into_iter()
        .map(|(path, (mut item, content))| {
            item.inode = 0;
            item.ctime = None;
            item.birthtime = None;
            // Reading a link sets its access time (there is no O_NOATIME for it), so its second name shows another.
            item.atime = item.atime.filter(|_| item.target.is_empty());
            item.link = item.link.map(|link| Link { group: 0, ..link });
            (path, (item, content))
        })
        .collect()
}

fn assert_same(source: &Tree, target: &Tree, what: &str) {
    assert_eq!(source.keys().collect::<Vec<_>>(), target.keys().collect::<Vec<_>>(), "{what}");
    for (path, (item, content)) in source {
        assert_eq!(item, &target[path].0, "{what}: {}", path.escape_ascii());
        assert!(content == &target[path].1, "{what}: content of {}", path.escape_ascii());
    }
}

/// Removes what keeps a scratch directory from being deleted.
struct Scratch(tempfile::TempDir);

impl Drop for Scratch {
    fn drop(&mut self) {
        for name in ["dir/immutable", "dir/append"] {
            if let Ok(file) = std::fs::File::open(self.0.path().join(name)) {
                let _ = flags::write(file.as_fd(), 0, flags::KEPT);
            }
        }
    }
}

fn scratches() -> Vec<Scratch> {
    // Two file systems, so four pairs: that of the build directory, and a tmpfs.
    [env!("CARGO_TARGET_TMPDIR"), "/dev/shm"].map(|base| Scratch(tempfile::tempdir_in(base).unwrap())).into()
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: owners, devices and trusted attributes need root");
    }
    root
}

#[test]
fn a_rich_tree_survives_between_all_file_systems_at_hand() {
    if !is_root() {
        return;
    }
    prepare_thread();
    for source in scratches() {
        let path = source.0.path();
        build_names_and_links(path);
        build_attributes(path);
        build_contents(path);
        let tree = read_root(path);
        for target in scratches() {
            let what = format!("{} to {}", path.display(), target.0.path().display());
            let problems = write_tree(&tree, target.0.path(), Options::default());
            let restored = comparable(read_root(target.0.path()));
            let mut expected = comparable(tree.clone());
            for (lost, problem) in problems {
                // The only loss that may happen: a flag that the other file system does not have.
                assert!(problem.message.starts_with("set file flags"), "{what}: {problem}");
                eprintln!("{what}: loss reported: {}: {problem}", lost.escape_ascii());
                expected.get_mut(&lost).unwrap().0.flags = restored[&lost].0.flags;
            }
            assert_same(&expected, &restored, &what);
            let blocks = std::fs::metadata(target.0.path().join("dir/sparse")).unwrap().blocks();
            assert!(blocks * 512 < 5 << 20, "holes stay holes: {blocks} blocks");
        }
    }
}

#[test]
fn a_second_restore_over_the_first_gives_the_same_tree() {
    if !is_root() {
        return;
    }
    let source = &scratches()[0];
    build_names_and_links(source.0.path());
    build_attributes(source.0.path());
    let tree = read_root(source.0.path());
    let target = &scratches()[0];
    for _ in 0..2 {
        assert_eq!(write_tree(&tree, target.0.path(), Options::default()), []);
        // Somebody else's default ACL and flags in the way must not outlive the second restore.
        assert_same(&comparable(tree.clone()), &comparable(read_root(target.0.path())), "again");
        set_xattr(
            &target.0.path().join("other"),
            "system.posix_acl_default",
            &acl(&[(1, 7, !0), (4, 7, !0), (32, 7, !0)]),
        );
        set_flags(&target.0.path().join("other"), flags::NODUMP);
    }
}

#[test]
fn an_acl_that_may_not_be_restored_leaves_no_rights_of_its_mask_to_the_group() {
    if !is_root() {
        return;
    }
    let source = &scratches()[0];
    build_attributes(source.0.path());
    let tree = read_root(source.0.path());
    if tree[&b"acl"[..]].0.acl_access.is_empty() {
        return eprintln!("skipped: no ACLs here");
    }
    assert_eq!(tree[&b"acl"[..]].0.mode & 0o777, 0o670, "the mask poses as group permission");
    let target = &scratches()[0];
    let options = Options { acls: false, xattrs: false, flags: false, numeric_ids: true };
    assert_eq!(write_tree(&tree, target.0.path(), options), []);
    let restored = read_root(target.0.path());
    assert_eq!(restored[&b"acl"[..]].0.mode & 0o777, 0o600);
    assert!(restored.values().all(|(item, _)| item.acl_access.is_empty() && item.xattrs.is_empty()));
}

#[test]
fn names_decide_owners_unless_numeric_ids_are_asked_for() {
    if !is_root() {
        return;
    }
    let scratch = &scratches()[0];
    let moved = || NameCache::from_files(b"ann:x:4001:4002::/:\n", b"staff:x:4002:\n");
    let item =
        Item { mode: 0o100_644, uid: 1, gid: 2, user: b"ann".to_vec(), group: b"staff".to_vec(), ..Item::default() };
    let unknown = Item { user: b"bob".to_vec(), ..item.clone() };
    for (name, item, numeric_ids, expected) in [
        (&b"by-name"[..], &item, false, (4001, 4002)),
        (b"numeric", &item, true, (1, 2)),
        (b"unknown", &unknown, false, (1, 4002)),
    ] {
        let writer = Writer::new(Options { numeric_ids, ..Options::default() }, moved());
        let root = writer.open_root(scratch.0.path()).unwrap();
        let file = writer.create_file(&root, name, item).unwrap();
        writer.finish_file(&root, name, file, item).unwrap();
        let path = scratch.0.path().join(std::ffi::OsString::from_vec(name.to_vec()));
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), expected, "{name:?}");
    }
}

#[test]
fn a_restored_root_gets_its_own_attributes_last() {
    let scratch = &scratches()[0];
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mtime = bork_format::item::Time { seconds: 77, nanoseconds: 7 };
    let item = Item { mode: 0o040_711, uid, gid, mtime, ..Item::default() };
    let writer = Writer::new(Options::default(), NameCache::from_system());
    let root = writer.restore_root(scratch.0.path(), b".", item).unwrap();
    drop(writer.enter(&root, b"child", None).unwrap());
    assert_ne!(std::fs::metadata(scratch.0.path()).unwrap().mtime(), 77);
    drop(root);
    let metadata = std::fs::metadata(scratch.0.path()).unwrap();
    assert_eq!((metadata.mtime(), metadata.mode() & 0o7777), (77, 0o711));
    assert_eq!(writer.take_problems(), []);
}
