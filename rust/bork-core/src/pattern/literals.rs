//! Patterns without wildcards: all of them are looked up at once, however many there are.

use std::collections::HashMap;

/// Up to so many directories are compared one by one, which is faster than hashing each parent of a path.
const COMPARED_MAX: usize = 16;

/// Directories, each with the place of the first pattern that names it.
#[derive(Debug, Clone, Default)]
pub(super) struct Literals {
    directories: HashMap<Vec<u8>, Places>,
    compared: Vec<(Vec<u8>, Places)>,
}

/// Places of the first pattern for a directory and what is below it, and of the first for only what is below.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    itself: Option<usize>,
    content: Option<usize>,
}

impl Places {
    fn set(&mut self, place: usize, content_only: bool) {
        if !content_only {
            self.itself.get_or_insert(place);
        }
        self.content.get_or_insert(place);
    }
}

impl Literals {
    /// Adds a pattern; `place` must not fall from call to call.
    pub(super) fn add(&mut self, place: usize, directory: Vec<u8>, content_only: bool) {
        self.directories.entry(directory).or_default().set(place, content_only);
        self.compared.clear();
        if self.directories.len() <= COMPARED_MAX {
            self.compared.extend(self.directories.iter().map(|(directory, places)| (directory.clone(), *places)));
        }
    }

    /// Place of the first pattern that matches.
    pub(super) fn first(&self, path: &[u8]) -> Option<usize> {
        if self.directories.is_empty() {
            return None;
        }
        if !self.compared.is_empty() {
            let place = |(directory, places): &(Vec<u8>, Places)| match path.strip_prefix(&directory[..])? {
                [] => places.itself,
                [b'/', ..] => places.content,
                _ => None,
            };
            return self.compared.iter().filter_map(place).min();
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let above = slashes.filter_map(|(end, _)| self.directories.get(&path[..end])?.content).min();
        let itself = self.directories.get(path).and_then(|places| places.itself);
        [above, itself].into_iter().flatten().min()
    }
}
