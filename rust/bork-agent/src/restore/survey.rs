//! A dry run: what would be done is told, and nothing is changed.

use super::tree::verdict;
use bork_core::problem::Problem;
use bork_core::writer::{Directory, Writer, refuse};
use bork_format::item::Item;
use bork_format::pull::Verdict;
use std::collections::HashSet;
use std::sync::Arc;

/// Sets of hard links that are remembered; those beyond count as files of their own.
const LINKS_MAX: usize = 1 << 20;

/// Looks at what is there.
pub struct Survey {
    writer: Writer,
    root: Option<Arc<Directory>>,
    /// The directory of the last entry, if it is there.
    parent: (Vec<u8>, Option<Arc<Directory>>),
    links: HashSet<u64>,
    problems: Vec<(Vec<u8>, Problem)>,
}

impl Survey {
    /// `root`: the target, if there is one.
    pub fn new(writer: Writer, root: Option<Arc<Directory>>) -> Self {
        let parent = (Vec::new(), root.clone());
        Survey { writer, root, parent, links: HashSet::new(), problems: Vec::new() }
    }

    /// What would become of an entry.
    pub fn entry(&mut self, path: &[u8], item: &Item) -> Verdict {
        self.look(path, item).unwrap_or_else(|problem| {
            self.problems.push((path.to_vec(), problem));
            Verdict::Refused
        })
    }

    fn look(&mut self, path: &[u8], item: &Item) -> Result<Verdict, Problem> {
        refuse(path, item)?;
        if path.is_empty() {
            let root = self.root.as_ref();
            return Ok(root.map_or(Verdict::Made, |root| verdict(&self.writer.look_at_directory(root, item))));
        }
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        if self.parent.0 != parent {
            let found = match (&self.root, parent) {
                (root, b"") => root.clone(),
                (Some(root), _) => self.writer.enter_again(root, parent).ok(),
                (None, _) => None,
            };
            self.parent = (parent.to_vec(), found);
        }
        let found = match &self.parent.1 {
            Some(directory) => verdict(&self.writer.look(directory, name, item)?),
            None => Verdict::Made,
        };
        let is_again = item.link.is_some_and(|link| !self.links.insert(link.group));
        if self.links.len() > LINKS_MAX {
            self.links.clear();
        }
        Ok(match found {
            Verdict::Made if item.is_file() && !is_again => Verdict::MadeOfContent,
            Verdict::Replaced if item.is_file() && !is_again => Verdict::ReplacedByContent,
            other => other,
        })
    }

    /// The problems met since the last call.
    pub fn take_problems(&mut self) -> Vec<(Vec<u8>, Problem)> {
        std::mem::take(&mut self.problems)
    }
}
