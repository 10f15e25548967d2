//! What restore does where a right, an order or the target's own rules stand against it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod scene;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::sync::Arc;

use bork_core::problem::ProblemKind;
use bork_core::writer::{prepare_thread, set_length};
use bork_format::item::{Item, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE};
use scene::{OLD, Scene, directory_item, file_item, item, kind, restore_file, unprivileged};

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
