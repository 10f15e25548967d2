//! Restore must not leave its target, however hostile the archive or the other users of the machine are.
//!
//! Each test sets up a canary outside of the target and looks at it again afterwards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bork_core::metadata::NameCache;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::writer::{Directory, Options, Writer, prepare_thread, set_length, write_at};
use bork_format::item::{
    AclEntry, Item, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK, Time,
};

const OLD: Time = Time { seconds: 1_000_000_000, nanoseconds: 5 };

/// A target with a canary beside it: a directory with one file in it.
struct Scene {
    _scratch: tempfile::TempDir,
    target: PathBuf,
    outside: PathBuf,
    before: Vec<(i64, i64, u32, u64)>,
}

impl Scene {
    fn new() -> Scene {
        let scratch = tempfile::tempdir().unwrap();
        let (target, outside) = (scratch.path().join("target"), scratch.path().join("outside"));
        std::fs::create_dir(&target).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("canary"), b"secret").unwrap();
        let before = Self::describe(&outside);
        Scene { _scratch: scratch, target, outside, before }
    }

    fn describe(outside: &Path) -> Vec<(i64, i64, u32, u64)> {
        [outside.to_path_buf(), outside.join("canary")]
            .iter()
            .map(|path| std::fs::symlink_metadata(path).unwrap())
            .map(|m| (m.mtime(), m.mtime_nsec(), m.mode(), m.size()))
            .collect()
    }

    fn writer(&self) -> (Writer, Arc<Directory>) {
        let writer = Writer::new(Options::default(), NameCache::from_system());
        let root = writer.open_root(&self.target).unwrap();
        (writer, root)
    }

    #[track_caller]
    fn assert_canary_lives(&self) {
        assert_eq!(std::fs::read(self.outside.join("canary")).unwrap(), b"secret");
        assert_eq!(Self::describe(&self.outside), self.before);
        assert_eq!(std::fs::read_dir(&self.outside).unwrap().count(), 1);
    }
}

fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn item(mode: u32) -> Item {
    let (uid, gid) = ids();
    Item { mode, uid, gid, mtime: OLD, ..Item::default() }
}

fn file_item() -> Item {
    item(TYPE_FILE | 0o644)
}

fn directory_item() -> Item {
    item(TYPE_DIRECTORY | 0o755)
}

fn link_item(target: &[u8]) -> Item {
    Item { target: target.to_vec(), ..item(TYPE_SYMLINK | 0o777) }
}

fn restore_file(writer: &Writer, dir: &Directory, name: &[u8], content: &[u8]) -> Result<(), Problem> {
    let file = writer.create_file(dir, name, &file_item())?;
    write_at(file.as_fd(), 0, content).unwrap();
    writer.finish_file(dir, name, file, &file_item())
}

fn kind<T>(result: Result<T, Problem>) -> ProblemKind {
    result.err().expect("this must be refused").kind
}

/// Runs `work` on a thread that has given up root, if it had it.
fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::fs::{Gid, Uid};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
                rustix::thread::set_thread_groups(&[]).unwrap();
                rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn no_operation_takes_a_name_that_is_not_one_component() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    restore_file(&writer, &root, b"good", b"").unwrap();
    let names: [&[u8]; 12] = [
        b"",
        b".",
        b"..",
        b"/",
        b"//",
        b"a/b",
        b"../x",
        b"/etc/passwd",
        b"a/",
        b"nul\0byte",
        b"\0",
        b"../outside/canary",
    ];
    for name in names {
        let traversal = ProblemKind::PathTraversal;
        assert_eq!(kind(writer.create_file(&root, name, &file_item())), traversal, "{name:?}");
        assert_eq!(kind(writer.create_large_file(&root, name, &file_item())), traversal, "{name:?}");
        assert_eq!(kind(writer.make_other(&root, name, &link_item(b"x"))), traversal, "{name:?}");
        assert_eq!(kind(writer.make_other(&root, name, &item(TYPE_FIFO))), traversal, "{name:?}");
        assert_eq!(kind(writer.hard_link(&root, name, &root, b"good")), traversal, "{name:?}");
        assert_eq!(kind(writer.hard_link(&root, b"x", &root, name)), traversal, "{name:?}");
        assert_eq!(kind(writer.enter(&root, name, None)), traversal, "{name:?}");
        assert_eq!(kind(writer.enter(&root, name, Some((b"p", directory_item())))), traversal, "{name:?}");
    }
    drop(root);
    scene.assert_canary_lives();
    assert_eq!(std::fs::read_dir(&scene.target).unwrap().count(), 1);
}

#[test]
fn a_symbolic_link_as_parent_is_refused_wherever_it_points() {
    let scene = Scene::new();
    std::fs::create_dir(scene.target.join("inside")).unwrap();
    symlink(&scene.outside, scene.target.join("absolute")).unwrap();
    symlink("../outside", scene.target.join("relative")).unwrap();
    symlink("inside", scene.target.join("harmless")).unwrap();
    symlink("/proc/self/root", scene.target.join("magic")).unwrap();
    symlink("nowhere", scene.target.join("dangling")).unwrap();
    let (writer, root) = scene.writer();
    for name in [&b"absolute"[..], b"relative", b"harmless", b"magic", b"dangling"] {
        assert_eq!(kind(writer.enter(&root, name, None)), ProblemKind::SymlinkParent, "{name:?}");
    }
    std::fs::write(scene.target.join("file"), b"").unwrap();
    assert_eq!(kind(writer.enter(&root, b"file", None)), ProblemKind::Io);
    scene.assert_canary_lives();
}

#[test]
fn a_symbolic_link_in_the_place_of_a_directory_item_is_replaced_by_the_directory() {
    let scene = Scene::new();
    symlink(&scene.outside, scene.target.join("d")).unwrap();
    let (writer, root) = scene.writer();
    let dir = writer.enter(&root, b"d", Some((b"d", directory_item()))).unwrap();
    restore_file(&writer, &dir, b"canary", b"restored").unwrap();
    drop((dir, root));
    assert_eq!(writer.take_problems(), []);
    scene.assert_canary_lives();
    assert!(std::fs::symlink_metadata(scene.target.join("d")).unwrap().is_dir());
    assert_eq!(std::fs::read(scene.target.join("d/canary")).unwrap(), b"restored");
}

#[test]
fn an_archive_that_makes_a_link_and_then_writes_through_it_gets_nowhere() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    writer.make_other(&root, b"d", &link_item(scene.outside.as_os_str().as_encoded_bytes())).unwrap();
    assert_eq!(kind(writer.enter(&root, b"d", None)), ProblemKind::SymlinkParent);
    // As an item it would replace a link of this very restore: no valid archive holds a name twice.
    assert_eq!(kind(writer.enter(&root, b"d", Some((b"d", directory_item())))), ProblemKind::Race);
    scene.assert_canary_lives();
}

#[test]
fn what_is_in_the_place_of_a_file_is_removed_and_never_opened() {
    let scene = Scene::new();
    let at = |name: &str| scene.target.join(name);
    symlink(scene.outside.join("canary"), at("link")).unwrap();
    std::fs::hard_link(scene.outside.join("canary"), at("hard")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::write(at("read-only"), b"old").unwrap();
    std::fs::set_permissions(at("read-only"), PermissionsExt::from_mode(0o000)).unwrap();
    let (writer, root) = scene.writer();
    for name in ["link", "hard", "fifo", "empty", "read-only", "new"] {
        restore_file(&writer, &root, name.as_bytes(), b"content").unwrap();
        let metadata = std::fs::symlink_metadata(at(name)).unwrap();
        assert!(metadata.is_file() && metadata.nlink() == 1, "{name}");
        assert_eq!(std::fs::read(at(name)).unwrap(), b"content");
    }
    scene.assert_canary_lives();
}

#[test]
fn a_directory_with_something_in_it_is_not_removed_for_a_file() {
    let scene = Scene::new();
    std::fs::create_dir(scene.target.join("full")).unwrap();
    std::fs::write(scene.target.join("full/f"), b"kept").unwrap();
    let (writer, root) = scene.writer();
    assert_eq!(kind(writer.create_file(&root, b"full", &file_item())), ProblemKind::Io);
    assert_eq!(std::fs::read(scene.target.join("full/f")).unwrap(), b"kept");
}

#[test]
fn two_names_that_are_one_to_the_file_system_are_reported_instead_of_overwritten() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    restore_file(&writer, &root, b"name", b"first").unwrap();
    assert_eq!(kind(writer.create_file(&root, b"name", &file_item())), ProblemKind::Race);
    assert_eq!(kind(writer.make_other(&root, b"name", &link_item(b"t"))), ProblemKind::Race);
    assert_eq!(std::fs::read(scene.target.join("name")).unwrap(), b"first");
    let (next, root) = scene.writer();
    restore_file(&next, &root, b"name", b"second restore").unwrap();
}

#[test]
fn a_hard_link_to_a_symbolic_link_links_the_link_and_discloses_nothing() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    let target = scene.outside.join("canary");
    writer.make_other(&root, b"a", &link_item(target.as_os_str().as_encoded_bytes())).unwrap();
    writer.hard_link(&root, b"b", &root, b"a").unwrap();
    let (a, b) = (scene.target.join("a"), scene.target.join("b"));
    assert!(std::fs::symlink_metadata(&b).unwrap().is_symlink());
    assert_eq!(std::fs::symlink_metadata(&a).unwrap().ino(), std::fs::symlink_metadata(&b).unwrap().ino());
    // Linking again, and a name to itself, changes nothing.
    writer.hard_link(&root, b"b", &root, b"a").unwrap();
    writer.hard_link(&root, b"a", &root, b"a").unwrap();
    assert_eq!(std::fs::read_link(&a).unwrap(), target);
    assert_eq!(kind(writer.hard_link(&root, b"c", &root, b"missing")), ProblemKind::NotFound);
    scene.assert_canary_lives();
}

#[test]
fn a_hard_link_replaces_an_old_file_but_never_a_directory_with_entries() {
    let scene = Scene::new();
    std::fs::write(scene.target.join("old"), b"old").unwrap();
    std::fs::create_dir_all(scene.target.join("full/x")).unwrap();
    let (writer, root) = scene.writer();
    restore_file(&writer, &root, b"first", b"data").unwrap();
    writer.hard_link(&root, b"old", &root, b"first").unwrap();
    assert_eq!(std::fs::read(scene.target.join("old")).unwrap(), b"data");
    assert_eq!(kind(writer.hard_link(&root, b"full", &root, b"first")), ProblemKind::Io);
}

/// Swaps the directory `d` of the target for a link to the outside and back, all the time, while `work` runs; when the
/// link has been replaced by a directory, there is soon another link.
fn with_racing_swapper(scene: &Scene, work: impl FnOnce()) {
    let (real, link) = (scene.target.join("d"), scene.target.join("l"));
    std::fs::create_dir(&real).unwrap();
    symlink(&scene.outside, &link).unwrap();
    let stop = AtomicBool::new(false);
    let is_dir = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let (cwd, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                let _ = rustix::fs::renameat_with(cwd, &real, cwd, &link, exchange);
                if is_dir(&real) && is_dir(&link) {
                    let _ = std::fs::remove_dir_all(&link);
                }
                let _ = symlink(&scene.outside, &link);
            }
        });
        work();
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_thread_that_swaps_directories_for_links_leads_nothing_outside() {
    for is_item in [false, true] {
        let scene = Scene::new();
        let (mut entered, mut refused) = (0, 0);
        with_racing_swapper(&scene, || {
            let (writer, root) = scene.writer();
            for _ in 0..3000 {
                let as_item = is_item.then(|| (&b"d"[..], directory_item()));
                match writer.enter(&root, b"d", as_item) {
                    Ok(dir) => {
                        entered += 1;
                        let _ = restore_file(&writer, &dir, b"canary", b"overwritten");
                        let _ = writer.make_other(&dir, b"evil", &link_item(b"x"));
                        let _ = writer.hard_link(&dir, b"evil2", &dir, b"canary");
                    }
                    Err(_) => refused += 1,
                }
            }
        });
        eprintln!("as item: {is_item}; {entered} entered, {refused} refused");
        assert!(entered > 0 && refused > 0, "the race must be won and lost at times");
        scene.assert_canary_lives();
    }
}

#[test]
fn a_chain_of_thousands_of_directories_is_finished_on_a_small_stack() {
    let scene = Scene::new();
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let depth = limit.maximum.unwrap_or(u64::MAX).saturating_sub(200).min(3000);
    let (writer, root) = scene.writer();
    let mut dir = root;
    for level in 0..depth {
        dir = writer.enter(&dir, b"d", Some((format!("{level}").as_bytes(), directory_item()))).unwrap();
    }
    let thread = std::thread::Builder::new().stack_size(96 * 1024).spawn(move || drop(dir)).unwrap();
    thread.join().unwrap();
    assert_eq!(writer.take_problems(), []);
    let mut path = scene.target.clone();
    for _ in 0..500 {
        path.push("d");
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.mtime(), metadata.mode() & 0o7777), (OLD.seconds, 0o755));
    }
}

#[test]
fn a_directory_is_finished_after_the_last_of_many_threads_and_keeps_its_time() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    let sealed = Item { mode: TYPE_DIRECTORY | 0o511, ..directory_item() };
    let dir = writer.enter(&root, b"d", Some((b"d", sealed))).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (writer, dir) = (writer.clone(), Arc::clone(&dir));
            std::thread::spawn(move || {
                prepare_thread();
                for i in 0..50 {
                    restore_file(&writer, &dir, format!("{thread}-{i}").as_bytes(), b"x").unwrap();
                }
            })
        })
        .collect();
    drop((dir, root));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let metadata = std::fs::metadata(scene.target.join("d")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec(), metadata.mode() & 0o7777), (OLD.seconds, 5, 0o511));
    assert_eq!(std::fs::read_dir(scene.target.join("d")).unwrap().count(), 200);
}

#[test]
fn a_parent_that_the_archive_does_not_describe_gets_default_permissions() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            prepare_thread();
            drop(writer.enter(&root, b"p", None).unwrap());
        });
    });
    std::fs::create_dir(scene.target.join("reference")).unwrap();
    let mode = |name: &str| std::fs::metadata(scene.target.join(name)).unwrap().mode();
    assert_eq!(mode("p"), mode("reference"));
}

#[test]
fn a_set_uid_file_whose_owner_cannot_be_restored_loses_the_bit_and_says_so() {
    let scene = Scene::new();
    std::fs::set_permissions(&scene.target, PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(scene.target.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = Item { mode: TYPE_FILE | 0o6755, uid: 12_345, gid: 12_345, ..Item::default() };
    let problems = unprivileged(|| {
        let (writer, root) = scene.writer();
        assert!(!writer.is_privileged());
        let file = writer.create_file(&root, b"su", &program).unwrap();
        writer.finish_file(&root, b"su", file, &program).unwrap();
        let device = Item { device: Some((1, 3)), ..item(TYPE_CHARACTER_DEVICE | 0o666) };
        assert_eq!(kind(writer.make_other(&root, b"null", &device)), ProblemKind::Permission);
        writer.take_problems()
    });
    assert_eq!(std::fs::metadata(scene.target.join("su")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(problems.len(), 1, "a foreign owner alone is no problem: {problems:?}");
    assert_eq!((problems[0].0.as_slice(), problems[0].1.kind), (&b"su"[..], ProblemKind::Metadata));
}

#[test]
fn an_unprivileged_user_restores_attributes_of_a_read_only_file_and_is_told_what_he_may_not() {
    let scene = Scene::new();
    std::fs::set_permissions(&scene.target, PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(scene.target.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
    let xattrs = vec![(b"trusted.no".to_vec(), b"1".to_vec()), (b"user.yes".to_vec(), b"2".to_vec())];
    let read_only = Item { mode: TYPE_FILE | 0o444, xattrs, ..file_item() };
    let sealed = Item { mode: TYPE_DIRECTORY | 0o555, ..directory_item() };
    let restore = || {
        let (writer, root) = scene.writer();
        let dir = writer.enter(&root, b"d", Some((b"d", sealed.clone()))).unwrap();
        let file = OwnedFd::from(writer.create_large_file(&dir, b"f", &read_only).unwrap());
        set_length(file.as_fd(), 10).unwrap();
        writer.finish_file(&dir, b"f", file, &read_only).unwrap();
        drop((dir, root));
        writer.take_problems()
    };
    for _ in 0..2 {
        // The second time the directory is there, and closed to writing.
        let problems = unprivileged(restore);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].0, b"d/f");
        assert!(problems[0].1.message.contains("trusted.no"), "{problems:?}");
    }
    let metadata = std::fs::metadata(scene.target.join("d/f")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.size()), (0o444, 10));
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(scene.target.join("d/f"), "user.yes", &mut value).unwrap(), 1);
}

#[test]
fn entries_do_not_inherit_an_acl_that_the_archive_does_not_know() {
    let scene = Scene::new();
    // Version 2; user object rwx, user 12345 rwx, group object ---, mask rwx, other ---.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, permissions, id) in
        [(1u16, 7u16, u32::MAX), (2, 7, 12_345), (4, 0, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)]
    {
        acl.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
    }
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(error) = rustix::fs::setxattr(&scene.target, "system.posix_acl_default", &acl, flags) {
        return eprintln!("skipped: no ACLs here: {error}");
    }
    let (writer, root) = scene.writer();
    restore_file(&writer, &root, b"f", b"").unwrap();
    writer.make_other(&root, b"fifo", &item(TYPE_FIFO | 0o640)).unwrap();
    let dir = writer.enter(&root, b"d", Some((b"d", directory_item()))).unwrap();
    restore_file(&writer, &dir, b"f", b"").unwrap();
    drop(writer.enter(&root, b"parent", None).unwrap());
    drop((dir, root));
    assert_eq!(writer.take_problems(), []);
    let has = |name: &str, kind: &str| {
        rustix::fs::getxattr(scene.target.join(name), format!("system.posix_acl_{kind}"), &mut [0; 256]).is_ok()
    };
    for (name, mode) in [("f", 0o644), ("fifo", 0o640), ("d", 0o755), ("d/f", 0o644)] {
        assert!(!has(name, "access") && !has(name, "default"), "{name}");
        assert_eq!(std::fs::metadata(scene.target.join(name)).unwrap().mode() & 0o7777, mode, "{name}");
    }
    assert!(has("parent", "default"), "what is not restored follows the rules of the target");
    assert!(std::fs::metadata(scene.target.join("fifo")).unwrap().file_type().is_fifo());
}

#[test]
fn an_acl_in_the_guise_of_an_attribute_and_impossible_owners_are_refused() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    let entry = AclEntry { tag: 2, permissions: 7, id: 1, name: Vec::new() };
    let hostile = Item {
        xattrs: vec![(b"system.posix_acl_access".to_vec(), vec![2, 0, 0, 0])],
        uid: u32::MAX,
        acl_access: vec![entry],
        ..file_item()
    };
    let file = writer.create_file(&root, b"f", &hostile).unwrap();
    writer.finish_file(&root, b"f", file, &hostile).unwrap();
    let problems = writer.take_problems();
    assert!(problems.iter().all(|(_, problem)| problem.kind == ProblemKind::Metadata), "{problems:?}");
    assert!(problems.len() >= 2, "{problems:?}");
    assert_eq!(std::fs::metadata(scene.target.join("f")).unwrap().size(), 0);
}

#[test]
fn items_of_the_wrong_type_are_refused() {
    let scene = Scene::new();
    let (writer, root) = scene.writer();
    assert!(writer.create_file(&root, b"x", &directory_item()).is_err());
    assert!(writer.enter(&root, b"x", Some((b"x", file_item()))).is_err());
    assert!(writer.make_other(&root, b"x", &file_item()).is_err());
    assert!(writer.make_other(&root, b"x", &item(TYPE_CHARACTER_DEVICE)).is_err(), "a device without a number");
    assert!(writer.make_other(&root, b"x", &link_item(b"")).is_err());
    assert!(writer.make_other(&root, b"x", &link_item(b"a\0b")).is_err());
    assert!(writer.open_root(&scene.outside.join("canary")).is_err());
    assert_eq!(std::fs::read_dir(&scene.target).unwrap().count(), 0);
}
