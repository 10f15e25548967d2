//! Directories that are left out because of what is in them: `CACHEDIR.TAG`, or a name that the user gives.
//!
//! A tag may stand behind much of the content of its directory, so they are all found in a pass of its own.

use super::Recreating;
use super::content::ChunkReader;
use super::source::for_each;
use crate::error::EngineError;
use crate::tree::is_below;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::item::{Content, Item};
use std::collections::HashMap;

const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Which tags count.
#[derive(Debug, Default)]
pub struct TagOptions {
    /// Files `CACHEDIR.TAG` with the signature of such files.
    pub exclude_caches: bool,
    /// Anything that has one of these names.
    pub exclude_if_present: Vec<Vec<u8>>,
    /// The directory itself and its tags are kept.
    pub keep_exclude_tags: bool,
}

impl TagOptions {
    /// Whether no tag counts.
    pub fn is_empty(&self) -> bool {
        !self.exclude_caches && self.exclude_if_present.is_empty()
    }
}

/// What a tag says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No tag concerns it.
    Untagged,
    /// It is a tagged directory, or its tag, and these are kept.
    Kept,
    /// It is in a tagged directory, or such a directory.
    LeftOut,
}

/// The tagged directories of an archive, with the paths of their tags. Memory: their paths.
#[derive(Default)]
pub struct Tagged {
    tags: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    keep: bool,
}

impl Tagged {
    /// Looks for tags. A tag that cannot be read is told, and does not count: what it may have been about is kept.
    pub fn find(shared: &Recreating) -> Result<Tagged, Stop> {
        let options = &shared.plan.tags;
        let mut tagged = Tagged { tags: HashMap::new(), keep: options.keep_exclude_tags };
        if options.is_empty() {
            return Ok(tagged);
        }
        let mut chunks = ChunkReader::new(&shared.half);
        for_each(shared, |path, body| {
            let (directory, name) = split(path);
            let mut is_tag = options.exclude_if_present.iter().any(|tag| tag == name);
            if !is_tag && options.exclude_caches && name == CACHE_TAG {
                let item = Item::decode(body).map_err(|error| shared.half.port.fail(error.into()))?;
                is_tag = match is_cache_tag(&item, &mut chunks) {
                    Ok(is_tag) => is_tag,
                    Err(EngineError::Cancelled) => return Err(Stop),
                    Err(error) => {
                        let problem = Problem::new(ProblemKind::Damaged, error.to_string());
                        shared.half.port.problem(path, problem)?;
                        false
                    }
                };
            }
            if is_tag {
                tagged.tags.entry(directory.to_vec()).or_default().push(path.to_vec());
            }
            Ok(())
        })?;
        Ok(tagged)
    }

    /// What the tags say of a path: the outermost tagged directory decides.
    pub fn verdict(&self, path: &[u8]) -> Verdict {
        if self.tags.is_empty() {
            return Verdict::Untagged;
        }
        let inner = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let ancestors = std::iter::once(0).chain(inner).chain(std::iter::once(path.len()));
        for end in ancestors {
            if let Some(tags) = self.tags.get(&path[..end]) {
                let stays = self.keep && (end == path.len() || tags.iter().any(|tag| is_below(tag, path)));
                return if stays { Verdict::Kept } else { Verdict::LeftOut };
            }
        }
        Verdict::Untagged
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.iter().rposition(|byte| *byte == b'/').map_or((b"", path), |at| (&path[..at], &path[at + 1..]))
}

fn is_cache_tag(item: &Item, chunks: &mut ChunkReader) -> Result<bool, EngineError> {
    if !item.is_file() || item.size < CACHE_TAG_SIGNATURE.len() as u64 {
        return Ok(false);
    }
    let Content::Slices(slices) = &item.content else { return Ok(false) };
    let mut start = Vec::new();
    for slice in slices {
        if slice.is_hole() {
            return Ok(false);
        }
        start.extend_from_slice(chunks.slice(slice)?);
        if start.len() >= CACHE_TAG_SIGNATURE.len() {
            break;
        }
    }
    Ok(start.starts_with(CACHE_TAG_SIGNATURE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(keep: bool) -> Tagged {
        let mut tags = HashMap::new();
        tags.insert(b"a/cache".to_vec(), vec![b"a/cache/TAG".to_vec()]);
        tags.insert(b"a/cache/inner".to_vec(), vec![b"a/cache/inner/TAG".to_vec()]);
        Tagged { tags, keep }
    }

    #[test]
    fn a_tag_concerns_its_directory_and_what_is_below_and_no_neighbour() {
        for path in [&b"a/cache"[..], b"a/cache/x", b"a/cache/TAG", b"a/cache/inner/TAG"] {
            assert_eq!(tagged(false).verdict(path), Verdict::LeftOut);
        }
        for path in [&b""[..], b"a", b"a/cache2", b"a/cach", b"b/a/cache"] {
            assert_eq!(tagged(false).verdict(path), Verdict::Untagged);
        }
    }

    #[test]
    fn tags_that_are_kept_are_those_of_the_outermost_directory() {
        assert_eq!(tagged(true).verdict(b"a/cache"), Verdict::Kept);
        assert_eq!(tagged(true).verdict(b"a/cache/TAG"), Verdict::Kept);
        assert_eq!(tagged(true).verdict(b"a/cache/TAG/below"), Verdict::Kept);
        assert_eq!(tagged(true).verdict(b"a/cache/inner"), Verdict::LeftOut);
        assert_eq!(tagged(true).verdict(b"a/cache/inner/TAG"), Verdict::LeftOut);
    }
}
