//! Pseudo file systems: views of the kernel, not data. Met inside a tree they are kept as empty directories.
//! Reading through /proc for hours, or forever in its 256 GiB files, is what this prevents.

use super::directory::Names;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, fstatfs, major, minor, statat};

/// Magic numbers of `statfs(2)`, from linux/magic.h.
const MAGICS: [u32; 20] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0000_1cd1, // devpts
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x7363_6673, // securityfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x0000_0187, // autofs: a look must not trigger a mount
];
const TMPFS: u32 = 0x0102_1994;
const RAMFS: u32 = 0x8584_58f6;

/// The number by which `statfs(2)` names the type of a file system.
pub fn magic_of(dir: BorrowedFd<'_>) -> Option<u32> {
    fstatfs(dir).ok().map(|statfs| statfs.f_type as u32)
}

/// Whether the directory lies on a pseudo file system. devtmpfs calls itself tmpfs; what tells it is `null`, the
/// character device 1:3, in its root.
pub fn is_pseudo(dir: BorrowedFd<'_>) -> bool {
    let Some(magic) = magic_of(dir) else { return false };
    MAGICS.contains(&magic) || (matches!(magic, TMPFS | RAMFS) && has_null_device(dir))
}

/// What the top directories of procfs, sysfs and a device file system always hold, and nothing else does.
const PROC: [&[u8]; 7] = [b"self", b"thread-self", b"mounts", b"filesystems", b"meminfo", b"uptime", b"version"];
const SYS: [&[u8]; 9] = [b"block", b"bus", b"class", b"dev", b"devices", b"firmware", b"fs", b"kernel", b"module"];
const DEV: [&[u8]; 8] = [b"null", b"zero", b"fd", b"stdin", b"stdout", b"stderr", b"pts", b"shm"];

/// Whether a directory is a pseudo file system of another machine, which a file system of the network shows as a part of
/// itself: then only the names in it tell.
pub fn is_remote_pseudo(names: &Names) -> bool {
    [&PROC[..], &SYS, &DEV].iter().any(|all| all.iter().all(|name| names.contains(name)))
}

fn has_null_device(dir: BorrowedFd<'_>) -> bool {
    statat(dir, c"null", AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn is_remote_pseudo_at(path: &std::path::Path) -> bool {
        let dir = std::fs::File::open(path).unwrap();
        is_remote_pseudo(&Names::read(dir.as_fd()).unwrap())
    }

    #[test]
    fn proc_and_sys_are_known_by_their_names_and_a_copy_of_some_of_their_files_is_not() {
        assert!(is_remote_pseudo_at("/proc".as_ref()));
        assert!(is_remote_pseudo_at("/sys".as_ref()));
        let report = tempfile::tempdir().unwrap();
        for name in ["meminfo", "version", "uptime", "mounts", "filesystems", "null", "shm"] {
            std::fs::write(report.path().join(name), b"").unwrap();
        }
        assert!(!is_remote_pseudo_at(report.path()));
        assert!(!is_remote_pseudo_at("/".as_ref()));
    }
}
