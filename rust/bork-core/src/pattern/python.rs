//! `re` patterns: from the syntax of Python's `re` to that of the `regex` crate.
//!
//! Most of it is the same. What differs is rewritten (`\Z`, `$` before a newline at the end, `[` and `&&` in a class,
//! braces that are no repetition, octal escapes, comments, verbose mode); what Rust would read in another sense than
//! Python is escaped. What cannot be matched in linear time (look-around, back references, possessive and atomic
//! parts) is refused by name.

use super::text::byte_character;

/// Translates a pattern, or says why that is impossible.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator =
        Translator { rest: pattern, out: String::new(), flags: vec![Flags::default()], last: Last::Other };
    while let Some(character) = translator.next() {
        translator.element(character)?;
    }
    Ok(translator.out)
}

/// The flags that change the translation.
#[derive(Clone, Copy, Default)]
struct Flags {
    multiline: bool,
    verbose: bool,
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// Of the open groups, innermost last.
    flags: Vec<Flags>,
    /// What the last element was.
    last: Last,
}

/// Kinds of elements; Python repeats neither repetitions nor assertions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Other,
    Repetition,
    Assertion,
}

/// A member of a class.
enum Member {
    Character(char),
    /// `\d` and the like.
    Shorthand(char),
}

type Outcome = Result<(), String>;

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, expected: &str) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn flags(&self) -> Flags {
        self.flags.last().copied().unwrap_or_default()
    }

    fn element(&mut self, character: char) -> Outcome {
        if self.flags().verbose {
            if character.is_ascii_whitespace() || character == '\x0b' {
                return Ok(());
            }
            if character == '#' {
                let end = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
                self.rest = &self.rest[end..];
                return Ok(());
            }
        }
        let last = std::mem::replace(&mut self.last, Last::Other);
        match character {
            '*' | '+' | '?' => self.repetition(&character.to_string(), last)?,
            '{' => match self.braces() {
                Some(repetition) => self.repetition(&repetition, last)?,
                None => self.literal('{'),
            },
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                if self.flags.len() > 1 {
                    self.flags.pop();
                }
                self.out.push(')');
            }
            '$' if !self.flags().multiline => self.assertion(r"(?:\z|\n\z)"),
            '$' => self.assertion("$"),
            '^' => self.assertion("^"),
            '.' | '|' => self.out.push(character),
            other => self.literal(other),
        }
        Ok(())
    }

    fn literal(&mut self, character: char) {
        self.out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }

    fn assertion(&mut self, assertion: &str) {
        self.out.push_str(assertion);
        self.last = Last::Assertion;
    }

    fn repetition(&mut self, repetition: &str, last: Last) -> Outcome {
        match last {
            Last::Repetition => return Err("multiple repeat".to_owned()),
            Last::Assertion => return Err("nothing to repeat".to_owned()),
            Last::Other => {}
        }
        self.out.push_str(repetition);
        if self.skip("?") {
            self.out.push('?');
        } else if self.peek() == Some('+') {
            return Err("possessive repetition is not supported".to_owned());
        }
        self.last = Last::Repetition;
        Ok(())
    }

    /// `{m}`, `{m,}`, `{,n}` or `{m,n}`; anything else is literal text.
    fn braces(&mut self) -> Option<String> {
        let (inside, rest) = self.rest.split_once('}')?;
        let (low, high) = inside.split_once(',').map_or((inside, None), |(low, high)| (low, Some(high)));
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if inside.is_empty() || !number(low) || !high.is_none_or(number) {
            return None;
        }
        let low = if low.is_empty() { "0" } else { low };
        self.rest = rest;
        Some(match high {
            None => format!("{{{low}}}"),
            Some(high) => format!("{{{low},{high}}}"),
        })
    }

    fn group(&mut self) -> Outcome {
        let flags = self.flags();
        if !self.skip("?") {
            self.flags.push(flags);
            self.out.push('(');
            return Ok(());
        }
        let refused = [
            ("=", "look-ahead"),
            ("!", "look-ahead"),
            ("<=", "look-behind"),
            ("<!", "look-behind"),
            (">", "an atomic group"),
            ("(", "a conditional group"),
            ("P=", "a back reference"),
        ];
        if let Some((_, what)) = refused.iter().find(|(mark, _)| self.rest.starts_with(mark)) {
            return Err(format!("{what} is not supported, as it takes more than linear time"));
        }
        if self.skip("#") {
            let (_, rest) = self.rest.split_once(')').ok_or("a comment has no end")?;
            self.rest = rest;
        } else if self.skip("P<") {
            let (name, rest) = self.rest.split_once('>').ok_or("a group name has no end")?;
            self.out.push_str(&format!("(?P<{name}>"));
            self.rest = rest;
            self.flags.push(flags);
        } else {
            self.flag_group(flags)?;
        }
        Ok(())
    }

    /// `(?flags)`, `(?flags-flags:` or `(?:`.
    fn flag_group(&mut self, mut flags: Flags) -> Outcome {
        let at_start = self.out.is_empty();
        let (mut kept, mut on) = (String::new(), true);
        loop {
            match self.next() {
                Some('-') if on => on = false,
                Some('m') => flags.multiline = on,
                Some('x') => flags.verbose = on,
                Some('a') => return Err("the flag (?a) is not supported".to_owned()),
                Some('u') if on => {}
                Some(flag @ ('i' | 's')) => match on {
                    true => kept.insert(0, flag),
                    false => kept.push_str(&format!("-{flag}")),
                },
                Some(')') if on && at_start => {
                    self.out.push_str(&self.flag_text(&kept, flags, ")"));
                    if let Some(current) = self.flags.last_mut() {
                        *current = flags;
                    }
                    return Ok(());
                }
                Some(')') if on => return Err("flags for all of the pattern must stand at its beginning".to_owned()),
                Some(':') => {
                    self.out.push_str(&self.flag_text(&kept, flags, ":"));
                    self.flags.push(flags);
                    return Ok(());
                }
                _ => return Err("an unknown extension follows (?".to_owned()),
            }
        }
    }

    /// Rust's spelling of the flags; verbose text has been stripped already.
    fn flag_text(&self, kept: &str, flags: Flags, end: &str) -> String {
        let (on, off) = kept.split_at(kept.find('-').unwrap_or(kept.len()));
        let (m_on, m_off) = if flags.multiline { ("m", "") } else { ("", "m") };
        let off = format!("{}{m_off}", off.replace('-', ""));
        format!("(?{on}{m_on}{}{off}{end}", if off.is_empty() { "" } else { "-" })
    }

    fn escape(&mut self) -> Outcome {
        match self.next().ok_or("it ends in a backslash")? {
            'Z' => self.assertion(r"\z"),
            'A' => self.assertion(r"\A"),
            'b' => self.assertion(r"\b"),
            'B' => self.assertion(r"\B"),
            shorthand @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                self.out.push('\\');
                self.out.push(shorthand);
            }
            digit @ '1'..='9' if !self.three_octal_digits(digit) => {
                return Err("a back reference is not supported, as it takes more than linear time".to_owned());
            }
            other => {
                let character = self.character_escape(other)?;
                self.literal(character);
            }
        }
        Ok(())
    }

    fn three_octal_digits(&self, first: char) -> bool {
        let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
        first.is_digit(8) && self.rest.len() >= 2 && self.rest.as_bytes()[..2].iter().all(octal)
    }

    /// The character that an escape stands for, in a class or out of it.
    fn character_escape(&mut self, first: char) -> Result<char, String> {
        Ok(match first {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hexadecimal(2)?,
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            '0'..='7' => {
                let digits: String = self.rest.chars().take(2).take_while(|digit| digit.is_digit(8)).collect();
                self.rest = &self.rest[digits.len()..];
                let value = u32::from_str_radix(&format!("{first}{digits}"), 8).unwrap_or(u32::MAX);
                if value > 0o377 {
                    return Err(format!("the octal escape \\{first}{digits} is too large"));
                }
                char::from_u32(value).ok_or("bad octal escape")?
            }
            'N' => return Err("named characters are not supported".to_owned()),
            other if other.is_ascii_alphanumeric() => return Err(format!("bad escape \\{other}")),
            other => other,
        })
    }

    fn hexadecimal(&mut self, length: usize) -> Result<char, String> {
        let digits = self.rest.get(..length).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| format!("an escape is not followed by {length} hexadecimal digits"))?;
        self.rest = &self.rest[length..];
        match u32::from_str_radix(digits, 16).unwrap_or(u32::MAX) {
            surrogate @ 0xdc80..=0xdcff => Ok(byte_character((surrogate & 0xff) as u8)),
            value => char::from_u32(value).ok_or_else(|| format!("no character has the number {digits}")),
        }
    }

    fn class(&mut self) -> Outcome {
        let negated = self.skip("^");
        self.out.push_str(if negated { "[^" } else { "[" });
        let mut first = true;
        loop {
            match self.next().ok_or("a [ has no ]")? {
                ']' if !first => break,
                character => {
                    let low = self.member(character)?;
                    if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                        self.next();
                        let character = self.next().ok_or("a [ has no ]")?;
                        let high = self.member(character)?;
                        self.range(low, high)?;
                    } else {
                        match low {
                            Member::Character(character) => self.class_character(character),
                            Member::Shorthand(letter) => self.out.extend(['\\', letter]),
                        }
                    }
                }
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn range(&mut self, low: Member, high: Member) -> Outcome {
        let (Member::Character(low), Member::Character(high)) = (low, high) else {
            return Err("a range in [...] has no character at one end".to_owned());
        };
        if low > high {
            return Err(format!("the range {low}-{high} is backward"));
        }
        self.class_character(low);
        self.out.push('-');
        self.class_character(high);
        Ok(())
    }

    fn class_character(&mut self, character: char) {
        self.out.push_str(&format!(r"\x{{{:x}}}", u32::from(character)));
    }

    fn member(&mut self, character: char) -> Result<Member, String> {
        if character != '\\' {
            return Ok(Member::Character(character));
        }
        Ok(match self.next().ok_or("a [ has no ]")? {
            shorthand @ ('d' | 'D' | 's' | 'S' | 'w' | 'W') => Member::Shorthand(shorthand),
            'b' => Member::Character('\x08'),
            other => Member::Character(self.character_escape(other)?),
        })
    }
}
