//! The command line: the words of the client's administrator, which no server can widen.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// What `bork-agent --help` prints.
pub const USAGE: &str = "\
usage: bork-agent serve [--read DIR]... [--write DIR]... [--rate BYTES] [--max-bytes BYTES] [--max-time SECONDS]
                        [--threads N] [--remove-self]
       bork-agent --version

Speaks with 'bork pull' and 'bork push' on standard input and output.

  --read DIR           allow to back up what is in DIR; without it, everything that this user can read
  --write DIR          allow to restore into DIR; without it, nothing is ever written
  --rate BYTES         send at most so many bytes a second
  --max-bytes BYTES    send at most so many bytes in one session
  --max-time SECONDS   work at most so long in one session
  --threads N          worker threads (2)
  --remove-self        remove this program's own file and its directory at once
";

/// The arguments of `serve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// Directories that may be read.
    pub read: Vec<Vec<u8>>,
    /// Directories that may be written.
    pub write: Vec<Vec<u8>>,
    /// Bytes a second.
    pub rate: u64,
    /// Bytes in all.
    pub max_bytes: u64,
    /// Time in all.
    pub max_time: Duration,
    /// Workers.
    pub threads: usize,
    /// Whether the program's file is removed.
    pub remove_self: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Arguments {
            read: Vec::new(),
            write: Vec::new(),
            rate: 0,
            max_bytes: 0,
            max_time: Duration::ZERO,
            threads: 2,
            remove_self: false,
        }
    }
}

impl Arguments {
    /// Reads what follows `serve`. Errors: words for a person.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = Arguments::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let word = word.into_string().map_err(|word| format!("unknown option {word:?}"))?;
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name.to_string(), Some(OsString::from(value))),
                None => (word, None),
            };
            if name == "--remove-self" && joined.is_none() {
                arguments.remove_self = true;
                continue;
            }
            if !["--read", "--write", "--rate", "--max-bytes", "--max-time", "--threads"].contains(&name.as_str()) {
                return Err(format!("unknown option {name:?}"));
            }
            let value = joined.or_else(|| words.next()).ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--read" => arguments.read.push(value.into_vec()),
                "--write" => arguments.write.push(value.into_vec()),
                "--rate" => arguments.rate = number(&name, &value)?,
                "--max-bytes" => arguments.max_bytes = number(&name, &value)?,
                "--max-time" => arguments.max_time = Duration::from_secs(number(&name, &value)?),
                _ => arguments.threads = number(&name, &value)?.clamp(1, 64) as usize,
            }
        }
        Ok(arguments)
    }
}

fn number(name: &str, value: &OsString) -> Result<u64, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{name} needs a number, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_in_both_forms() {
        let wanted = Arguments { read: vec![b"/etc".to_vec(), b"/home".to_vec()], rate: 5, ..Arguments::default() };
        assert_eq!(parse(&["--read", "/etc", "--read=/home", "--rate=5"]), Ok(wanted));
        assert!(parse(&["--read"]).is_err());
        assert!(parse(&["--rate", "x"]).is_err());
        assert!(parse(&["--shell"]).is_err());
    }
}
