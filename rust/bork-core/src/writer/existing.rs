//! What is there already: entries that are as the archive has them are left alone, so that a restore can be repeated.
//!
//! A file counts as right without a look at its content when type, size, modification time (to the nanosecond), owner
//! and group are those of the item, and when nothing else shares it: the time is set after the content, so a file that
//! was cut short does not have it. The owner must agree because of others who may write here: whoever puts somebody
//! else's file in the place of an own one of equal size and time must not be given it by a `chown`.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use bork_format::item::{Item, TYPE_DIRECTORY, TYPE_FILE};
use rustix::fs::{AtFlags, Mode, OFlags};

use super::attributes::{self, Handle, Leftovers};
use super::{Directory, Writer, check_name};
use crate::metadata::{self, MetadataOptions, Place, acl};
use crate::problem::Problem;
use crate::stat::{Stat, stat_at, stat_fd};

/// What an item meets.
#[derive(Debug)]
pub enum Existing {
    /// The name is free, or cannot be looked at: making the entry will tell.
    Nothing,
    /// Something that has to give way.
    Other,
    /// The entry of the item, as it should be.
    Same,
    /// The file of the item, with other attributes; or its directory. An open file.
    Alike(Option<OwnedFd>),
}

impl Writer {
    /// Compares the entry `name` with an item; changes nothing. Cost of a file that is right: `statx` twice, `openat`,
    /// `flistxattr`, `ioctl`.
    ///
    /// # Errors
    /// [`crate::problem::ProblemKind::PathTraversal`] for a bad name.
    pub fn look(&self, dir: &Directory, name: &[u8], item: &Item) -> Result<Existing, Problem> {
        check_name(name)?;
        let Ok(name) = CString::new(name) else { return Ok(Existing::Nothing) };
        let Ok(stat) = stat_at(dir.fd(), &name) else { return Ok(Existing::Nothing) };
        if stat.file_type() != item.file_type() {
            return Ok(Existing::Other);
        }
        match item.file_type() {
            TYPE_DIRECTORY => Ok(self.compare_directory(&stat, item)),
            TYPE_FILE if self.is_right(&stat, item) => Ok(self.look_at_file(dir, &name, item)),
            TYPE_FILE => Ok(Existing::Other),
            _ => {
                let place = Place { dir: dir.fd(), name: &name, file: None };
                let is_same = self.is_right(&stat, item) && self.has_attributes(&stat, place, item);
                Ok(if is_same { Existing::Same } else { Existing::Other })
            }
        }
    }

    /// The same for a directory that is open.
    pub fn look_at_directory(&self, directory: &Directory, item: &Item) -> Existing {
        stat_fd(directory.fd()).map_or(Existing::Alike(None), |stat| self.compare_directory(&stat, item))
    }

    fn compare_directory(&self, stat: &Stat, item: &Item) -> Existing {
        let is_same = stat.mode == item.mode && stat.mtime == item.mtime && self.owns(stat, item);
        if is_same { Existing::Same } else { Existing::Alike(None) }
    }

    fn look_at_file(&self, dir: &Directory, name: &CString, item: &Item) -> Existing {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(dir.fd(), name, flags, Mode::empty()) else { return Existing::Other };
        let Ok(stat) = stat_fd(file.as_fd()) else { return Existing::Other };
        if stat.file_type() != TYPE_FILE || !self.is_right(&stat, item) {
            return Existing::Other; // it was swapped in this moment
        }
        let place = Place { dir: dir.fd(), name, file: Some(file.as_fd()) };
        if self.has_attributes(&stat, place, item) { Existing::Same } else { Existing::Alike(Some(file)) }
    }

    /// Sets the attributes of a file that [`Writer::look`] found to be alike.
    pub fn correct_file(&self, dir: &Directory, name: &[u8], file: &OwnedFd, item: &Item) {
        if self.0.options.xattrs {
            let none = CString::default();
            let place = Place { dir: dir.fd(), name: &none, file: Some(file.as_fd()) };
            let list = metadata::xattr::Access::new(place).list().unwrap_or_default();
            for extra in list.split(|byte| *byte == 0).filter(|name| is_extra(name, item)) {
                // What is refused shows in the next comparison.
                let _ = rustix::fs::fremovexattr(file, extra);
            }
        }
        let problems = attributes::apply(&self.0, &Handle::Open(file.as_fd()), item, Leftovers::Everything);
        self.0.report(&dir.path_of(name), problems);
    }

    /// Removes a file that was not completed, unless something else has its name by now.
    pub fn abandon(&self, dir: &Directory, name: &[u8], file: OwnedFd) {
        let Ok(c_name) = CString::new(name) else { return };
        if let (Ok(open), Ok(named)) = (stat_fd(file.as_fd()), stat_at(dir.fd(), &c_name))
            && open.same_inode(&named)
        {
            let _ = rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty());
        }
    }

    /// Content, owner and names, as far as `statx` tells.
    fn is_right(&self, stat: &Stat, item: &Item) -> bool {
        let size = if item.is_file() { stat.size == item.size } else { true };
        let names = item.link.map_or(1, |link| link.count.max(1));
        size && stat.mtime == item.mtime
            && stat.links <= names
            && (!stat.is_device() || Some(stat.rdev) == item.device)
            && self.owns(stat, item)
    }

    fn owns(&self, stat: &Stat, item: &Item) -> bool {
        let (uid, gid) = attributes::wanted_owner(&self.0, item);
        if self.0.privileged {
            return (stat.uid, stat.gid) == (uid, gid);
        }
        stat.uid == rustix::process::geteuid().as_raw() && (stat.gid == gid || !self.0.groups.contains(&gid))
    }

    fn has_attributes(&self, stat: &Stat, place: Place<'_>, item: &Item) -> bool {
        let wanted = self.0.options;
        let options = MetadataOptions {
            xattrs: wanted.xattrs,
            acls: wanted.acls,
            flags: wanted.flags && item.is_file(),
            numeric_ids: true,
            ..MetadataOptions::default()
        };
        let mut there = Item::default();
        let problems = metadata::read(&mut there, stat, place, &mut metadata::NameCache::default(), &options);
        let wanted_acl = self.0.with_names(|names| acl::encode(&item.acl_access, names));
        problems.is_empty()
            && there.mode == item.mode
            && there.target == item.target
            && (!wanted.acls || acl::encode(&there.acl_access, None) == wanted_acl)
            && (!options.flags || there.flags == item.flags & metadata::flags::KEPT)
            && (!wanted.xattrs
                || item.xattrs.iter().all(|xattr| there.xattrs.contains(xattr))
                    && !there.xattrs.iter().any(|(name, _)| is_extra(name, item)))
    }
}

/// Whether an attribute has to go: the item lacks it, and it is not the system's own, such as a label.
fn is_extra(name: &[u8], item: &Item) -> bool {
    let is_ours = [&b"user."[..], b"trusted."].iter().any(|prefix| name.starts_with(prefix));
    (is_ours && !name.starts_with(acl::PREFIX_XFS) || name == b"security.capability")
        && !item.xattrs.iter().any(|(wanted, _)| wanted == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Options;
    use metadata::NameCache;
    use std::os::unix::fs::MetadataExt;

    /// The item of a file as it is on the disk.
    fn item_of(path: &std::path::Path) -> Item {
        let stat = std::fs::symlink_metadata(path).unwrap();
        let mtime = bork_format::item::Time { seconds: stat.mtime(), nanoseconds: stat.mtime_nsec() as u32 };
        Item {
            mode: stat.mode(),
            uid: stat.uid(),
            gid: stat.gid(),
            mtime,
            size: if stat.is_file() { stat.len() } else { 0 },
            ..Item::default()
        }
    }

    #[test]
    fn a_file_is_left_alone_only_if_nothing_tells_that_it_is_another_one() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        std::fs::write(&path, b"12345").unwrap();
        let writer =
            Writer::new(Options { numeric_ids: true, flags: false, ..Options::default() }, NameCache::default());
        let root = writer.open_root(scratch.path()).unwrap();
        let look = |item: &Item| writer.look(&root, b"a", item).unwrap();
        let item = item_of(&path);
        assert!(matches!(look(&item), Existing::Same));
        assert!(matches!(look(&Item { mode: item.mode ^ 0o111, ..item.clone() }), Existing::Alike(Some(_))));
        let mut later = item.mtime;
        later.nanoseconds = (later.nanoseconds + 1) % 1_000_000_000;
        for other in [
            Item { size: 6, ..item.clone() },
            Item { mtime: later, ..item.clone() },
            Item { mode: bork_format::item::TYPE_DIRECTORY | 0o755, size: 0, ..item.clone() },
        ] {
            assert!(matches!(look(&other), Existing::Other), "{other:?}");
        }
        if writer.is_privileged() {
            assert!(matches!(look(&Item { uid: item.uid + 1, ..item.clone() }), Existing::Other));
        }
        std::fs::hard_link(&path, scratch.path().join("b")).unwrap();
        assert!(matches!(look(&item), Existing::Other), "something else shares it");
        let link = Some(bork_format::item::Link { group: 1, count: 2 });
        assert!(matches!(look(&Item { link, ..item.clone() }), Existing::Same));
        assert!(matches!(writer.look(&root, b"c", &item), Ok(Existing::Nothing)));
        assert!(writer.look(&root, b"../a", &item).is_err());
    }

    #[test]
    fn a_file_that_was_cut_short_is_removed_and_what_took_its_name_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let writer = Writer::new(Options::default(), NameCache::default());
        let root = writer.open_root(scratch.path()).unwrap();
        for (name, is_swapped) in [("a", false), ("b", true)] {
            let path = scratch.path().join(name);
            let file = OwnedFd::from(std::fs::File::create(&path).unwrap());
            if is_swapped {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, b"of somebody else").unwrap();
            }
            writer.abandon(&root, name.as_bytes(), file);
            assert_eq!(path.exists(), is_swapped);
        }
    }
}
