//! The globs `fm` and `sh`, translated to regular expressions.
//!
//! Borg defines both by a trick: it appends `/*` (fm) or `/**/*` (sh) to the pattern and `/` to the path, so that a
//! pattern matches a path or any directory above it. The path here stays as it is, and what the trick does is worked
//! out in the pattern. That it appends *text* shows: in `a/**` the two stars become part of a `**/`, so that `a` itself
//! matches.

use super::Compiled;
use super::text::{normalize, text};

/// One element of a glob.
#[derive(Debug, Clone)]
enum Token {
    Character(char),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `**/`
    Directories,
    /// `[...]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Compiles a glob; in an `fm` glob, `crosses`, wildcards match `/` too.
pub(super) fn compile(pattern: &[u8], crosses: bool) -> Result<Compiled, String> {
    let content_only = pattern.last() == Some(&b'/');
    let base = normalize(pattern);
    if base.is_empty() {
        return Ok(Compiled::Everything);
    }
    if !base.iter().any(|byte| b"*?[".contains(byte)) {
        return Ok(Compiled::Below { directory: base, content_only });
    }
    let tail = if crosses { "/*" } else { "/**/*" };
    let mut tokens = tokenize(&format!("{}{tail}", text(&base)), crosses)?;
    // The end of the pattern now matches any rest, so elements that may match nothing have no say before it.
    while matches!(tokens.last(), Some(Token::Star | Token::Directories)) {
        tokens.pop();
    }
    let Some(last) = tokens.pop() else { return Ok(Compiled::Everything) };
    let mut expression = String::from(r"(?s)\A");
    tokens.iter().for_each(|token| token.write(crosses, &mut expression));
    // With `content_only` Borg's pattern ends in a `/` that takes the one behind the path. Otherwise that one is still
    // there for the last element.
    let may_be_virtual = !content_only && last.matches_slash(crosses);
    expression.push_str("(?:");
    last.write(crosses, &mut expression);
    expression.push_str(if may_be_virtual { r"|\z)" } else { ")" });
    Ok(Compiled::Expression(expression))
}

fn tokenize(pattern: &str, crosses: bool) -> Result<Vec<Token>, String> {
    let characters: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        at += 1;
        tokens.push(match character {
            '*' if !crosses && characters[at..].starts_with(&['*', '/']) => {
                at += 2;
                Token::Directories
            }
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => match class_end(&characters, at) {
                Some(end) => {
                    let class = class(&characters[at..end], crosses)?;
                    at = end + 1;
                    class
                }
                None => Token::Character('['),
            },
            other => Token::Character(*other),
        });
    }
    Ok(tokens)
}

/// Where the `]` is that ends the class which begins at `start`; a `]` right at the beginning is a member.
fn class_end(characters: &[char], start: usize) -> Option<usize> {
    let mut first = start;
    first += usize::from(characters.get(first) == Some(&'!'));
    first += usize::from(characters.get(first) == Some(&']'));
    let length = characters.get(first..)?.iter().position(|character| *character == ']')?;
    Some(first + length)
}

/// A class; a backward range matches nothing in `fm`, as in Python's fnmatch, and is an error in `sh`, as in Borg.
fn class(members: &[char], crosses: bool) -> Result<Token, String> {
    let (negated, mut rest) = match members {
        ['!', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut ranges = Vec::new();
    while let [first, after @ ..] = rest {
        let (last, after) = match after {
            ['-', last, after @ ..] => (last, after),
            _ => (first, after),
        };
        if first <= last {
            ranges.push((*first, *last));
        } else if !crosses {
            return Err(format!("the range {first}-{last} is backward"));
        }
        rest = after;
    }
    Ok(Token::Class { negated, ranges })
}

impl Token {
    fn matches_slash(&self, crosses: bool) -> bool {
        match self {
            Token::Character(character) => *character == '/',
            Token::Any => crosses,
            Token::Star => crosses,
            Token::Directories => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&'/')) != *negated
            }
        }
    }

    fn write(&self, crosses: bool, out: &mut String) {
        match self {
            Token::Character(character) => out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4]))),
            Token::Any => out.push_str(if crosses { "." } else { "[^/]" }),
            Token::Star => out.push_str(if crosses { ".*" } else { "[^/]*" }),
            Token::Directories => out.push_str("(?:[^/]*/)*"),
            Token::Class { negated, ranges } if ranges.is_empty() => {
                out.push_str(if *negated { "." } else { "[a&&b]" });
            }
            Token::Class { negated, ranges } => {
                out.push_str(if *negated { "[^" } else { "[" });
                for (first, last) in ranges {
                    out.push_str(&format!(r"\x{{{:x}}}-\x{{{:x}}}", u32::from(*first), u32::from(*last)));
                }
                out.push(']');
            }
        }
    }
}
