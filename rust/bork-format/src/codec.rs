//! MessagePack, the canonical subset that Bork uses: unsigned and negative integers in their shortest form, binary
//! strings, arrays, and maps whose keys are ascending small integers.
//!
//! Written by hand because items are the hot path of an unchanged backup, and because a decoder for a security
//! boundary must refuse non-canonical forms, which general libraries accept.

use crate::{Error, Result};

/// Appends MessagePack values to a buffer.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// Unsigned integer, shortest form.
    pub fn uint(&mut self, value: u64) {
        let out = &mut *self.0;
        match value {
            0..=0x7f => out.push(value as u8),
            0x80..=0xff => out.extend([0xcc, value as u8]),
            0x100..=0xffff => {
                out.push(0xcd);
                out.extend((value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                out.push(0xce);
                out.extend((value as u32).to_be_bytes());
            }
            _ => {
                out.push(0xcf);
                out.extend(value.to_be_bytes());
            }
        }
    }

    /// Signed integer, shortest form; non-negative values are written as unsigned.
    pub fn int(&mut self, value: i64) {
        let out = &mut *self.0;
        match value {
            0.. => self.uint(value as u64),
            -32..=-1 => out.push(value as u8),
            -0x80..=-33 => out.extend([0xd0, value as u8]),
            -0x8000..=-0x81 => {
                out.push(0xd1);
                out.extend((value as i16).to_be_bytes());
            }
            -0x8000_0000..=-0x8001 => {
                out.push(0xd2);
                out.extend((value as i32).to_be_bytes());
            }
            _ => {
                out.push(0xd3);
                out.extend(value.to_be_bytes());
            }
        }
    }

    /// Binary string.
    pub fn bin(&mut self, value: &[u8]) {
        let out = &mut *self.0;
        match value.len() {
            n @ 0..=0xff => out.extend([0xc4, n as u8]),
            n @ 0x100..=0xffff => {
                out.push(0xc5);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(0xc6);
                out.extend((n as u32).to_be_bytes());
            }
        }
        out.extend_from_slice(value);
    }

    /// Header of an array of `count` values.
    pub fn array(&mut self, count: usize) {
        self.header(count, 0x90, 0xdc);
    }

    /// Header of a map of `count` pairs.
    pub fn map(&mut self, count: usize) {
        self.header(count, 0x80, 0xde);
    }

    fn header(&mut self, count: usize, fix: u8, wide: u8) {
        let out = &mut *self.0;
        match count {
            0..=15 => out.push(fix | count as u8),
            16..=0xffff => {
                out.push(wide);
                out.extend((count as u16).to_be_bytes());
            }
            _ => {
                out.push(wide + 1);
                out.extend((count as u32).to_be_bytes());
            }
        }
    }
}

/// Reads MessagePack values from a slice, without copying and without trusting any length.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`; `what` names the structure in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { bytes, at: 0, what }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether all bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `count` raw bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if count > left {
            return Err(Error::Truncated { what: self.what, offset: self.at, needed: count - left });
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// A raw array of `N` bytes.
    pub fn take_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn malformed<T>(&self, why: &'static str) -> Result<T> {
        Err(Error::Malformed { what: self.what, why })
    }

    fn be(&mut self, width: usize) -> Result<u64> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Unsigned integer; a form longer than needed is refused.
    pub fn uint(&mut self) -> Result<u64> {
        let (value, floor) = match self.take(1)?[0] {
            small @ 0..=0x7f => return Ok(u64::from(small)),
            0xcc => (self.be(1)?, 0x80),
            0xcd => (self.be(2)?, 0x100),
            0xce => (self.be(4)?, 0x1_0000),
            0xcf => (self.be(8)?, 0x1_0000_0000),
            _ => return self.malformed("an unsigned integer was expected"),
        };
        if value < floor {
            return self.malformed("an integer is not in its shortest form");
        }
        Ok(value)
    }

    /// Unsigned integer that fits 32 bits.
    pub fn uint32(&mut self) -> Result<u32> {
        match u32::try_from(self.uint()?) {
            Ok(value) => Ok(value),
            Err(_) => self.malformed("an integer is larger than 32 bits"),
        }
    }

    /// Signed integer; a form longer than needed is refused.
    pub fn int(&mut self) -> Result<i64> {
        let tag = match self.bytes.get(self.at) {
            Some(tag) => *tag,
            None => return self.take(1).map(|_| 0),
        };
        let (value, ceiling) = match tag {
            0xe0..=0xff => {
                self.at += 1;
                return Ok(i64::from(tag as i8));
            }
            0xd0 => (self.take(2).map(|b| i64::from(b[1] as i8))?, -33),
            0xd1 => (self.skip_tag()?.be(2).map(|v| i64::from(v as u16 as i16))?, -0x81),
            0xd2 => (self.skip_tag()?.be(4).map(|v| i64::from(v as u32 as i32))?, -0x8001),
            0xd3 => (self.skip_tag()?.be(8).map(|v| v as i64)?, -0x8000_0001),
            _ => {
                return match i64::try_from(self.uint()?) {
                    Ok(value) => Ok(value),
                    Err(_) => self.malformed("a signed integer is too large"),
                };
            }
        };
        if value > ceiling {
            return self.malformed("an integer is not in its shortest form");
        }
        Ok(value)
    }

    fn skip_tag(&mut self) -> Result<&mut Self> {
        self.take(1)?;
        Ok(self)
    }

    /// Binary string of at most `limit` bytes.
    pub fn bin(&mut self, limit: usize) -> Result<&'a [u8]> {
        let (length, floor) = match self.take(1)?[0] {
            0xc4 => (self.be(1)?, 0),
            0xc5 => (self.be(2)?, 0x100),
            0xc6 => (self.be(4)?, 0x1_0000),
            _ => return self.malformed("a binary string was expected"),
        };
        if length < floor {
            return self.malformed("a length is not in its shortest form");
        }
        if length > limit as u64 {
            return self.malformed("a binary string is longer than its limit");
        }
        self.take(length as usize)
    }

    /// Number of values in an array, at most `limit`.
    pub fn array(&mut self, limit: usize) -> Result<usize> {
        self.count(limit, 0x90, 0xdc, "an array was expected")
    }

    /// Number of pairs in a map, at most `limit`.
    pub fn map(&mut self, limit: usize) -> Result<usize> {
        self.count(limit, 0x80, 0xde, "a map was expected")
    }

    fn count(&mut self, limit: usize, fix: u8, wide: u8, why: &'static str) -> Result<usize> {
        let tag = self.take(1)?[0];
        let (count, floor) = if tag & 0xf0 == fix {
            (u64::from(tag & 0x0f), 0)
        } else if tag == wide {
            (self.be(2)?, 16)
        } else if tag == wide + 1 {
            (self.be(4)?, 0x1_0000)
        } else {
            return self.malformed(why);
        };
        if count < floor {
            return self.malformed("a count is not in its shortest form");
        }
        if count > limit as u64 {
            return self.malformed("a count is larger than its limit");
        }
        Ok(count as usize)
    }

    /// Refuses bytes that are left over.
    pub fn finish(&self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { self.malformed("bytes are left over at the end") }
    }
}

/// Appends `value` in LEB128 (7 bits a byte, low bits first).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a LEB128 value below 2^35; a form longer than needed is refused.
pub fn take_varint(reader: &mut Reader<'_>) -> Result<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = reader.take(1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return reader.malformed("a varint is not in its shortest form");
            }
            return Ok(value);
        }
    }
    reader.malformed("a varint is too long")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(value: i64) {
            let mut out = Vec::new();
            Writer(&mut out).int(value);
            let mut reader = Reader::new(&out, "test");
            prop_assert_eq!(reader.int(), Ok(value));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn varints_come_back(value in 0u64..1 << 35) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(take_varint(&mut Reader::new(&out, "test")), Ok(value));
        }

        #[test]
        fn accepted_integers_are_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes, "test");
            if let Ok(value) = reader.int() {
                let mut out = Vec::new();
                Writer(&mut out).int(value);
                prop_assert_eq!(&out[..], &bytes[..reader.position()]);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_used() {
        let bytes = [0xc6, 0xff, 0xff, 0xff, 0xff];
        assert!(Reader::new(&bytes, "test").bin(1 << 20).is_err());
    }
}
