//! Compiles a `--format` in Python's `str.format` syntax to segments.

use super::spec::{Kind, Spec};
use super::value::{Hash, KEY_TABLE, Key};

/// What is wrong with a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A brace without its partner; `{{` and `}}` stand for single ones.
    #[error("format: a single {0} at byte {1}; write {0}{0} for a brace in the output")]
    Brace(char, usize),
    /// No such key.
    #[error("format: there is no key {0:?}")]
    Key(String),
    /// Something behind the key that Bork does not know.
    #[error("format: {{{key}:{spec}}}: {why}")]
    Spec {
        /// The key.
        key: String,
        /// What stands behind it.
        spec: String,
        /// The reason.
        why: &'static str,
    },
}

/// Keys with the same value for all items of an archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchiveKeys<'a> {
    /// `archivename`
    pub name: &'a [u8],
    /// `archiveid`: 64 hexadecimal digits.
    pub id: &'a str,
}

pub(super) enum Segment {
    Literal(Vec<u8>),
    Key(Key, Spec),
}

/// What a format asks for beyond the item itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// Digests to put into [`super::Extra::digests`], in this order.
    pub hashes: Vec<Hash>,
    /// `csize`: compressed lengths of the item's chunks.
    pub compressed_size: bool,
    /// `num_chunks`
    pub chunks: bool,
    /// `dsize`, `dcsize`, `unique_chunks`: how often each chunk is used in the whole repository.
    pub unique: bool,
    /// `health`, and `healthy` of each JSON line: whether all chunks are there.
    pub health: bool,
}

/// A compiled format.
#[derive(Default)]
pub struct Format {
    pub(super) segments: Vec<Segment>,
    /// Archive keys that the format names, for JSON.
    pub(super) archive: Vec<(&'static str, Vec<u8>)>,
    /// Item keys that the format adds to a JSON line, sorted by name.
    pub(super) json_keys: Vec<(&'static str, Key)>,
    pub(super) needs: Needs,
}

impl Format {
    /// What `bork list` prints without `--format`.
    pub const DEFAULT: &'static str = "{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}";
    /// What `bork list --short` prints.
    pub const SHORT: &'static str = "{path}{NL}";

    /// Compiles a format.
    ///
    /// # Errors
    /// Unknown keys, unbalanced braces, and parts of Python's format language that make no sense here.
    pub fn new(format: &str, archive: &ArchiveKeys<'_>) -> Result<Format, FormatError> {
        let mut compiled = Format::default();
        let mut rest = format;
        while let Some(at) = rest.find(['{', '}']) {
            compiled.literal(&rest.as_bytes()[..at]);
            let place = format.len() - rest.len() + at;
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                compiled.literal(brace.as_bytes());
                rest = after;
            } else if brace == "}" {
                return Err(FormatError::Brace('}', place));
            } else {
                let (field, after) = rest.split_once('}').ok_or(FormatError::Brace('{', place))?;
                compiled.field(field, archive)?;
                rest = after;
            }
        }
        compiled.literal(rest.as_bytes());
        compiled.finish();
        Ok(compiled)
    }

    /// What the caller has to put into [`super::Extra`].
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    fn literal(&mut self, bytes: &[u8]) {
        match self.segments.last_mut() {
            Some(Segment::Literal(last)) => last.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.segments.push(Segment::Literal(bytes.to_vec())),
        }
    }

    /// What stands between braces: a key, and perhaps a colon and a specification.
    fn field(&mut self, field: &str, archive: &ArchiveKeys<'_>) -> Result<(), FormatError> {
        let (name, text) = field.split_once(':').unwrap_or((field, ""));
        let spec = |kind| {
            Spec::parse(text, kind).map_err(|why| FormatError::Spec {
                key: name.to_owned(),
                spec: text.to_owned(),
                why,
            })
        };
        let fixed: &[u8] = match name {
            "NL" | "NEWLINE" | "LF" => b"\n",
            "CR" => b"\r",
            "TAB" => b"\t",
            "SPACE" => b" ",
            "NUL" => b"\0",
            "archivename" => archive.name,
            "archiveid" => archive.id.as_bytes(),
            _ => return self.item_key(name, spec),
        };
        let mut out = Vec::new();
        let order = ["archivename", "archiveid"];
        if order.contains(&name) {
            spec(Kind::Text)?.text(fixed, &mut out);
        } else {
            spec(Kind::Text)?.verbatim(fixed, &mut out);
        }
        self.literal(&out);
        if let Some(name) = order.into_iter().find(|archive_key| *archive_key == name) {
            self.archive.push((name, fixed.to_vec()));
        }
        Ok(())
    }

    fn item_key(
        &mut self,
        name: &str,
        spec: impl FnOnce(Kind) -> Result<Spec, FormatError>,
    ) -> Result<(), FormatError> {
        let found = KEY_TABLE.iter().find(|(key_name, _)| *key_name == name);
        let (name, key) = *found.ok_or_else(|| FormatError::Key(name.to_owned()))?;
        let kind = match key {
            Key::User | Key::Group => Kind::TextOrNumber,
            Key::Mtime | Key::Ctime | Key::Atime => Kind::Time,
            Key::Uid | Key::Gid | Key::Flags => Kind::Number,
            Key::Size | Key::CompressedSize | Key::UniqueSize | Key::UniqueCompressedSize => Kind::Number,
            Key::Chunks | Key::UniqueChunks => Kind::Number,
            _ => Kind::Text,
        };
        let key = self.need(key);
        self.segments.push(Segment::Key(key, spec(kind)?));
        // Borg adds what it has to compute; the other keys are in every line, or (bpath, extra, health) in none.
        let computed = matches!(kind, Kind::Number | Kind::Time) && !matches!(key, Key::Uid | Key::Gid | Key::Flags);
        if computed || matches!(key, Key::Digest(_) | Key::IsoMtime | Key::IsoCtime | Key::IsoAtime) {
            self.json_keys.push((name, key));
        }
        Ok(())
    }

    /// Notes what a key needs; a hash becomes its position among the needed ones.
    fn need(&mut self, key: Key) -> Key {
        match key {
            Key::CompressedSize => self.needs.compressed_size = true,
            Key::Chunks => self.needs.chunks = true,
            Key::Health => self.needs.health = true,
            Key::UniqueSize | Key::UniqueCompressedSize | Key::UniqueChunks => self.needs.unique = true,
            Key::Hash(hash) => {
                let known = self.needs.hashes.iter().position(|known| *known == hash);
                return Key::Digest(known.unwrap_or_else(|| {
                    self.needs.hashes.push(hash);
                    self.needs.hashes.len() - 1
                }));
            }
            _ => {}
        }
        key
    }

    fn finish(&mut self) {
        self.json_keys.sort_by_key(|(name, _)| *name);
        self.json_keys.dedup();
        // Borg's order: the name, then the id.
        self.archive.sort_by_key(|(name, _)| *name == "archiveid");
        self.archive.dedup();
    }
}
