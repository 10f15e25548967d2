//! Restore must not leave its target, however hostile the archive or the other users of the machine are.
//!
//! Each test sets up a canary outside of the target and looks at it again afterwards.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod scene;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bork_core::problem::ProblemKind;
use bork_format::item::{AclEntry, Item, TYPE_CHARACTER_DEVICE, TYPE_FIFO};
use scene::{Scene, directory_item, file_item, item, kind, link_item, restore_file};

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
            // Until both ends of the race were seen often; a busy machine may need some seconds for that.
            let deadline = Instant::now() + Duration::from_secs(30);
            while (entered < 1000 || refused < 100) && Instant::now() < deadline {
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
