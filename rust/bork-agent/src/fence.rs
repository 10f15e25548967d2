//! Which directories a session may read and write: the words of the client's own administrator, on the command line.

use bork_format::pull::Plan;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Directories, with all links in them resolved. Empty `read`: everything.
pub struct Fence {
    /// May be read.
    pub read: Vec<Vec<u8>>,
    /// May be written.
    pub write: Vec<Vec<u8>>,
}

impl Fence {
    /// Errors: a directory is not there.
    pub fn new(read: &[Vec<u8>], write: &[Vec<u8>]) -> Result<Self, String> {
        let resolve = |paths: &[Vec<u8>]| paths.iter().map(|path| resolve(path)).collect::<Result<Vec<_>, _>>();
        Ok(Fence { read: resolve(read)?, write: resolve(write)? })
    }

    /// The plan, if it stays inside: else why not. Roots get the paths that they resolve to, so that a link that is
    /// changed afterwards leads nowhere else.
    pub fn narrow(&self, mut plan: Plan) -> Result<Plan, String> {
        for (source, _) in &mut plan.roots {
            if !source.starts_with(b"/") {
                *source = absolute(source)?; // as with scp: where the session begins, the home directory
            }
            if self.read.is_empty() {
                continue;
            }
            // What is not there is outside too: or its absence would tell something.
            let inside = resolve_parent(source).filter(|path| self.read.iter().any(|root| is_below(root, path)));
            *source = inside.ok_or_else(|| {
                let allowed: Vec<String> = self.read.iter().map(|path| path.escape_ascii().to_string()).collect();
                let allowed = allowed.join(", ");
                format!("this client does not allow to read \"{}\", only what is in {allowed}", source.escape_ascii())
            })?;
        }
        Ok(plan)
    }
}

fn resolve(path: &[u8]) -> Result<Vec<u8>, String> {
    let resolved = std::fs::canonicalize(OsStr::from_bytes(path));
    resolved.map(|path| path.into_os_string().into_vec()).map_err(|error| format!("{}: {error}", path.escape_ascii()))
}

/// The path with all links in it resolved but a last one: that is backed up as what it is.
fn resolve_parent(path: &[u8]) -> Option<Vec<u8>> {
    let path = Path::new(OsStr::from_bytes(path));
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return std::fs::canonicalize(path).ok().map(|path| path.into_os_string().into_vec());
    };
    let resolved = std::fs::canonicalize(parent).ok()?.join(name);
    Some(resolved.into_os_string().into_vec())
}

fn absolute(path: &[u8]) -> Result<Vec<u8>, String> {
    let here = std::env::current_dir().map_err(|error| format!("the home directory: {error}"))?;
    Ok(here.join(OsStr::from_bytes(path)).into_os_string().into_vec())
}

fn is_below(root: &[u8], path: &[u8]) -> bool {
    root == b"/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(source: &[u8]) -> Plan {
        let mut bytes = Vec::new();
        let mut writer = bork_format::codec::Writer(&mut bytes);
        writer.array(14);
        writer.array(1);
        writer.array(2);
        writer.bin(source);
        writer.bin(b"x");
        bytes.extend(*b"\x90\x90\x00\x00\x00\x90\x92\x00\x00\x90\x92\x01\x00\x93\x00\x00\x00");
        bytes.extend(*b"\xc4\x20");
        bytes.extend([0; 32]);
        bytes.extend(*b"\xc4\x20");
        bytes.extend([0; 32]);
        bytes.push(0);
        Plan::decode(&bytes).expect("a plan")
    }

    #[test]
    fn a_plan_stays_inside() {
        let directory = tempfile::tempdir().expect("scratch");
        let inside = directory.path().join("inside");
        std::fs::create_dir_all(inside.join("a")).expect("made");
        std::fs::create_dir_all(directory.path().join("inside2")).expect("made");
        std::os::unix::fs::symlink("/etc", inside.join("out")).expect("linked");
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let fence = Fence::new(&[bytes(&inside)], &[]).expect("there");
        let allows = |path: &Path| fence.narrow(plan(&bytes(path))).is_ok();
        assert!(allows(&inside) && allows(&inside.join("a")) && allows(&inside.join("out")));
        assert!(!allows(&directory.path().join("inside2")));
        assert!(!allows(&inside.join("out/passwd")));
        assert!(!allows(&inside.join("../inside2")));
        assert!(!allows(&inside.join("missing/x")));
        assert!(!allows(Path::new("/")));
        assert!(fence.narrow(plan(b"no such thing")).is_err());
    }
}
