//! Lines about items: `bork list`, as text of a `--format` or as JSON, equal to what Borg 1.4 prints.
//!
//! A format is compiled once ([`Format`]); rendering an item is then a walk over its segments that appends bytes to a
//! buffer: 100,000 default lines take 45 ms, and as JSON 55 ms. Borg's habits are kept, odd ones included: a later
//! member of a hard link set has the mode letter `h` and no size, an owner without a name is a number and so stands to
//! the right, bytes that are not UTF-8 become `?`. A golden file of Borg 1.4.5's own output is the test. Four things
//! differ on purpose:
//!
//! * Control characters become `?`, too: a name must not steer a terminal, or fake a line. `bpath` and JSON keep them.
//! * `bpath` is the verbatim path, as Borg's manual says; Borg itself prints `?` here too.
//! * Times before 1970 and after 2038-01-17 are what they are; Borg cuts them off.
//! * JSON keys that the format adds come in alphabetical order; in Borg their order is random.
//!
//! Nothing here reads content: digests and chunk statistics come in with [`Extra`], and [`Format::needs`] says whether
//! anybody has to work for them.

mod clock;
mod diff;
mod format;
mod json;
pub(crate) use json::{Bytes, string as json_string};
mod spec;
pub(crate) use spec::push_lossy;
mod value;

pub use clock::local_offset;
pub use diff::{Change, DiffRenderer, Who};
pub use format::{ArchiveKeys, Format, FormatError, Needs};
pub use value::{Hash, KEYS};

use bork_format::item::Item;
use clock::Clock;
use format::Segment;
use value::{Key, Value, Values};

/// What a format may ask for that an item does not hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    /// Path of the first member of the item's hard link set, if the item is a later member.
    pub link_source: Option<&'a [u8]>,
    /// Sum of the compressed lengths of its chunks. Unit: bytes.
    pub compressed_size: u64,
    /// Sum of the plain lengths of chunks that no other item has. Unit: bytes.
    pub unique_size: u64,
    /// Sum of the compressed lengths of chunks that no other item has. Unit: bytes.
    pub unique_compressed_size: u64,
    /// Number of its chunks.
    pub chunks: u64,
    /// Number of its chunks that no other item has.
    pub unique_chunks: u64,
    /// Digests of the content in hexadecimal, in the order of [`Needs::hashes`].
    pub digests: &'a [&'a str],
    /// Content is lost, or damaged: `health` is `broken`.
    pub broken: bool,
}

/// Renders one item after the other in the same format.
pub struct Renderer {
    format: Format,
    json: bool,
    clock: Clock,
}

impl Renderer {
    /// Renders lines of text; times are local ([`local_offset`]).
    pub fn text(format: Format) -> Renderer {
        Renderer { format, json: false, clock: Clock::new(local_offset) }
    }

    /// Renders JSON lines: the keys that every line has, and those that the format names.
    pub fn json_lines(mut format: Format) -> Renderer {
        format.needs.health = true;
        Renderer { format, json: true, clock: Clock::new(local_offset) }
    }

    /// Replaces the local time zone by a function from seconds since 1970 to seconds east of UTC.
    pub fn in_zone(self, offset: fn(i64) -> i32) -> Renderer {
        Renderer { clock: Clock::new(offset), ..self }
    }

    /// The format.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Appends the item to `out`. Cost: no allocation but the growth of `out`, except for padding on the left and
    /// for times in a format of their own.
    pub fn render(&mut self, path: &[u8], item: &Item, extra: &Extra<'_>, out: &mut Vec<u8>) {
        let values = Values { path, item, extra };
        if self.json {
            self.render_json(&values, out);
            return;
        }
        for segment in &self.format.segments {
            match segment {
                Segment::Literal(bytes) => out.extend_from_slice(bytes),
                Segment::Key(key, spec) => match values.get(*key) {
                    Value::Text(text) => spec.text(text, out),
                    Value::Joined(first, second) => spec.joined(first, second, out),
                    Value::Verbatim(bytes) => spec.verbatim(bytes, out),
                    Value::Number(number) => spec.number(number, out),
                    Value::Time(time) => spec.time(&self.clock.local(time), out),
                    Value::IsoTime(time) => spec.text(&self.clock.local(time).iso(), out),
                    Value::Mode(mode) => spec.text(&mode, out),
                },
            }
        }
    }

    fn render_json(&mut self, values: &Values<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for (name, text) in &self.format.archive {
            json::key(name, start, out);
            json::string(text, json::Bytes::Escaped, out);
        }
        for (name, key) in value::JSON_KEYS {
            json::key(name, start, out);
            if *name == "path" {
                self.json_value(values.get(*key), out);
                json::key("healthy", start, out);
                out.extend_from_slice(if values.extra.broken { b"false" } else { b"true" });
            } else if matches!(key, Key::User | Key::Group)
                && let Value::Text(text) = values.get(*key)
            {
                // Names are the only strings that Borg does not clean first.
                json::string(text, json::Bytes::Escaped, out);
            } else {
                self.json_value(values.get(*key), out);
            }
        }
        for index in 0..self.format.json_keys.len() {
            let (name, key) = self.format.json_keys[index];
            json::key(name, start, out);
            self.json_value(values.get(key), out);
        }
        out.extend_from_slice(b"}\n");
    }

    fn json_value(&mut self, value: Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) | Value::Verbatim(text) => json::string(text, json::Bytes::Replaced, out),
            Value::Joined(first, second) => json::string(&[first, second].concat(), json::Bytes::Replaced, out),
            Value::Number(number) => spec::push_number(number, out),
            Value::Time(time) | Value::IsoTime(time) => {
                json::string(&self.clock.local(time).iso(), json::Bytes::Replaced, out);
            }
            Value::Mode(mode) => json::string(&mode, json::Bytes::Replaced, out),
        }
    }
}

#[cfg(test)]
mod tests;
