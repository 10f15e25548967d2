//! What may follow the colon in `{key:spec}`: Python's format specification, as far as it makes sense for a list.
//!
//! `[[fill]align][0][width][,][.precision][type]` for text and numbers; for a time, a `strftime` format.

use super::clock::Local;
use super::value::character_count;

/// What kind of value a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// A name, or a number where there is none.
    TextOrNumber,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Center,
    /// Between sign and digits; there are no signs here, so to the right.
    Inner,
}

/// A parsed specification.
#[derive(Debug)]
pub(super) struct Spec {
    fill: char,
    align: Option<Align>,
    width: usize,
    precision: Option<usize>,
    comma: bool,
    strftime: Option<String>,
}

/// Longest field. Unit: characters. More is surely a mistake, and would be a way to exhaust memory.
const WIDTH_MAX: usize = 100_000;

impl Spec {
    pub fn parse(text: &str, kind: Kind) -> Result<Spec, &'static str> {
        let mut spec = Spec { fill: ' ', align: None, width: 0, precision: None, comma: false, strftime: None };
        if kind == Kind::Time {
            if text.contains('\0') {
                return Err("a NUL byte in a time format");
            }
            spec.strftime = (!text.is_empty()).then(|| text.to_owned());
            return Ok(spec);
        }
        let mut rest = text;
        let mut characters = rest.chars();
        if let (Some(fill), Some(align)) = (characters.next(), characters.next().and_then(align)) {
            (spec.fill, spec.align) = (fill, Some(align));
            rest = characters.as_str();
        } else if let Some(align) = rest.chars().next().and_then(align) {
            spec.align = Some(align);
            rest = &rest[1..];
        }
        if let Some(after) = rest.strip_prefix('0') {
            rest = after;
            if spec.align.is_none() {
                spec.align = (kind != Kind::Text).then_some(Align::Inner);
                spec.fill = '0';
            }
        }
        (spec.width, rest) = number(rest)?;
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
            spec.comma = true;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after_digits) = number(after)?;
            if after_digits.len() == after.len() {
                return Err("a number is missing behind the point");
            }
            spec.precision = Some(precision);
            rest = after_digits;
        }
        spec.check(rest, kind)?;
        Ok(spec)
    }

    fn check(&self, type_letter: &str, kind: Kind) -> Result<(), &'static str> {
        match (kind, type_letter) {
            (_, "") | (Kind::Text | Kind::TextOrNumber, "s") | (Kind::Number, "d") => {}
            _ => return Err("not understood at its end"),
        }
        match kind {
            Kind::Text if self.align == Some(Align::Inner) => Err("= is for numbers only"),
            Kind::Text | Kind::TextOrNumber if self.comma => Err(", is for numbers only"),
            Kind::Number if self.precision.is_some() => Err("a number of places is for text only"),
            Kind::Number if self.comma && self.fill == '0' => Err(", and padding with zeros exclude each other"),
            _ => Ok(()),
        }
    }

    fn is_plain(&self) -> bool {
        self.width == 0 && self.precision.is_none()
    }

    /// Text, with `?` for each control character and each byte that is not UTF-8.
    pub fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        push_lossy(text, out);
        if !self.is_plain() {
            self.fit(start, Align::Left, self.precision, out);
        }
    }

    /// Two texts as one.
    pub fn joined(&self, first: &[u8], second: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(first);
        push_lossy(second, out);
        if !self.is_plain() {
            self.fit(start, Align::Left, self.precision, out);
        }
    }

    /// Bytes as they are; a byte that is not UTF-8 counts as one character.
    pub fn verbatim(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(bytes);
        if !self.is_plain() {
            self.fit(start, Align::Left, self.precision, out);
        }
    }

    /// A number; to the right, if nothing else is said.
    pub fn number(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        push_number(number, out);
        if self.comma {
            let mut at = out.len();
            while at > start + 3 {
                at -= 3;
                out.insert(at, b',');
            }
        }
        if self.width > 0 {
            self.fit(start, Align::Right, None, out);
        }
    }

    /// A time.
    pub fn time(&self, time: &Local, out: &mut Vec<u8>) {
        match &self.strftime {
            None => out.extend_from_slice(&time.text()),
            Some(format) => time.strftime(format, out),
        }
    }

    /// Cuts and pads what stands in `out` from `start` on.
    fn fit(&self, start: usize, default: Align, precision: Option<usize>, out: &mut Vec<u8>) {
        if let Some(precision) = precision {
            let kept: usize = character_lengths(&out[start..]).take(precision).sum();
            out.truncate(start + kept);
        }
        let missing = self.width.saturating_sub(character_count(&out[start..]) as usize);
        if missing == 0 {
            return;
        }
        let before = match self.align.unwrap_or(default) {
            Align::Left => 0,
            Align::Right | Align::Inner => missing,
            Align::Center => missing / 2,
        };
        let mut buffer = [0; 4];
        let fill = self.fill.encode_utf8(&mut buffer).as_bytes();
        if before > 0 {
            out.splice(start..start, fill.repeat(before));
        }
        for _ in before..missing {
            out.extend_from_slice(fill);
        }
    }
}

fn align(character: char) -> Option<Align> {
    Some(match character {
        '<' => Align::Left,
        '>' => Align::Right,
        '^' => Align::Center,
        '=' => Align::Inner,
        _ => return None,
    })
}

/// The digits at the beginning, 0 if there are none, and what follows.
fn number(text: &str) -> Result<(usize, &str), &'static str> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Ok((0, text));
    }
    match text[..end].parse() {
        Ok(number) if number <= WIDTH_MAX => Ok((number, &text[end..])),
        _ => Err("a number is too large"),
    }
}

/// Lengths of the characters; a byte that is not UTF-8 is one. Unit: bytes.
fn character_lengths(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().map(char::len_utf8).chain(std::iter::repeat_n(1, chunk.invalid().len()))
    })
}

/// Appends text with `?` for each control character, which could steer a terminal or fake a line, and for each byte
/// that is not UTF-8.
pub(crate) fn push_lossy(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        // 0xc2 begins U+0080 to U+009F, among others.
        if valid.bytes().any(|byte| byte.is_ascii_control() || byte == 0xc2) {
            out.extend_from_slice(valid.replace(char::is_control, "?").as_bytes());
        } else {
            out.extend_from_slice(valid.as_bytes());
        }
        out.extend(std::iter::repeat_n(b'?', chunk.invalid().len()));
    }
}

/// Appends decimal digits.
pub(super) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
