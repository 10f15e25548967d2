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
                let allowed = shown(&self.read);
                format!("this client does not allow to read \"{}\", only what is in {allowed}", source.escape_ascii())
            })?;
        }
        Ok(plan)
    }

    /// The directory to restore into, with all links in its path resolved, if it lies inside: else why not. It may be
    /// missing if the one above it is there.
    pub fn narrow_target(&self, target: &[u8]) -> Result<Vec<u8>, String> {
        if self.write.is_empty() {
            return Err("this client does not allow to write anything (bork-agent serve --write DIR)".into());
        }
        let path = if target.starts_with(b"/") { target.to_vec() } else { absolute(target)? };
        let resolved = resolve(&path).or_else(|missing| match std::fs::symlink_metadata(OsStr::from_bytes(&path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => resolve_parent(&path).ok_or(missing),
            _ => Err(missing),
        });
        // What cannot be resolved is outside as well: or its absence would tell something.
        let inside = resolved.as_ref().is_ok_and(|path| self.write.iter().any(|root| is_below(root, path)));
        match resolved {
            Ok(path) if inside => Ok(path),
            Err(error) if self.write.iter().any(|root| root == b"/") => Err(error),
            _ => Err(format!(
                "this client does not allow to write to \"{}\", only to {}",
                target.escape_ascii(),
                shown(&self.write)
            )),
        }
    }
}

/// Directories in a message.
fn shown(paths: &[Vec<u8>]) -> String {
    paths.iter().map(|path| path.escape_ascii().to_string()).collect::<Vec<_>>().join(", ")
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

    #[test]
    fn a_target_stays_inside() {
        let directory = tempfile::tempdir().expect("scratch");
        let inside = directory.path().join("inside");
        std::fs::create_dir_all(inside.join("a")).expect("made");
        std::fs::create_dir_all(directory.path().join("inside2")).expect("made");
        std::os::unix::fs::symlink(directory.path().join("inside2"), inside.join("out")).expect("linked");
        std::os::unix::fs::symlink("/nowhere/at/all", inside.join("dangling")).expect("linked");
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let fence = Fence::new(&[], &[bytes(&inside)]).expect("there");
        let allows = |path: &str| fence.narrow_target(&bytes(&directory.path().join(path))).is_ok();
        assert!(allows("inside") && allows("inside/a") && allows("inside/new") && allows("inside/a/../a"));
        for outside in [".", "inside2", "inside/out", "inside/../inside2", "inside/dangling", "inside/no/such", "new"] {
            assert!(!allows(outside), "{outside}");
        }
        assert!(fence.narrow_target(b"/").is_err() && fence.narrow_target(b"relative").is_err());
        let nothing = Fence::new(&[bytes(&inside)], &[]).expect("there");
        assert!(nothing.narrow_target(&bytes(&inside)).is_err(), "what may be read may not be written");
    }
}
