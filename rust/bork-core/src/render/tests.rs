//! What a list promises: Borg's bytes.

use super::*;
use bork_format::item::{Link, Time};
use proptest::prelude::*;

/// The moment that `Clock` should give.
fn local_of(seconds: i64, offset: i32) -> clock::Local {
    clock::Local::new(seconds, 0, offset)
}

const GOLDEN: &str = include_str!("../../tests/data/list-borg-1.4.5.txt");

/// `CET-1CEST,M3.5.0,M10.5.0/3`: summer time from the last Sunday of March to that of October, 01:00 UTC.
fn central_europe(seconds: i64) -> i32 {
    let utc = local_of(seconds, 0);
    let sunday = i64::from(utc.day) - i64::from(utc.weekday);
    let changed = sunday >= 25 && (utc.weekday > 0 || utc.hour >= 1);
    let summer = matches!(utc.month, 4..=9) || (utc.month == 3 && changed) || (utc.month == 10 && !changed);
    if summer { 7200 } else { 3600 }
}

fn zone(name: &str) -> fn(i64) -> i32 {
    match name {
        "CET-1CEST,M3.5.0,M10.5.0/3" => central_europe,
        "UTC0" => |_| 0,
        "QQQ+09:30" => |_| -34_200,
        other => panic!("no zone {other}"),
    }
}

fn unquoted(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend(part[2..].bytes());
    }
    out
}

fn word(text: &str) -> Vec<u8> {
    if text == "-" { Vec::new() } else { unquoted(text) }
}

fn time(nanoseconds: &str) -> Time {
    let nanoseconds: i64 = nanoseconds.parse().unwrap();
    Time { seconds: nanoseconds.div_euclid(1_000_000_000), nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32 }
}

struct Entry {
    path: Vec<u8>,
    item: Item,
    source: Vec<u8>,
    numbers: Vec<u64>,
    digests: Vec<(Hash, String)>,
}

impl Entry {
    fn has_control_characters(&self) -> bool {
        let item = &self.item;
        let texts = [&self.path, &self.source, &item.target, &item.user, &item.group];
        texts.iter().any(|text| String::from_utf8_lossy(text).contains(char::is_control))
    }

    fn parse(line: &str) -> Entry {
        let words: Vec<_> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        let source = word(words[11]);
        let item = Item {
            mode: u32::from_str_radix(words[1], 8).unwrap(),
            uid: number(2) as u32,
            gid: number(3) as u32,
            user: word(words[4]),
            group: word(words[5]),
            mtime: time(words[6]),
            ctime: Some(time(words[7])),
            atime: Some(time(words[8])),
            size: number(9),
            target: word(words[10]),
            flags: number(12) as u32,
            link: (!source.is_empty()).then_some(Link { group: 1, count: 2 }),
            ..Item::default()
        };
        let digests = [(Hash::Md5, words[18]), (Hash::Xxh64, words[19])];
        Entry {
            path: word(words[0]),
            item,
            source,
            numbers: (13..18).map(number).collect(),
            digests: digests.map(|(hash, text)| (hash, text.to_owned())).into(),
        }
    }

    fn render(&self, renderer: &mut Renderer) -> Vec<u8> {
        let hashes = renderer.format().needs().hashes.clone();
        let digest = |hash: &Hash| &self.digests.iter().find(|(known, _)| known == hash).unwrap().1[..];
        let extra = Extra {
            link_source: (!self.source.is_empty()).then_some(&self.source),
            compressed_size: self.numbers[0],
            unique_size: self.numbers[1],
            unique_compressed_size: self.numbers[2],
            chunks: self.numbers[3],
            unique_chunks: self.numbers[4],
            digests: &hashes.iter().map(digest).collect::<Vec<_>>(),
            broken: false,
        };
        let mut out = Vec::new();
        renderer.render(&self.path, &self.item, &extra, &mut out);
        out
    }
}

/// A JSON line up to its fixed keys, and the others sorted: Borg writes them in random order.
fn sorted_json(line: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8(line.to_vec()).unwrap();
    let text = text.trim_end().strip_suffix('}').unwrap();
    let flags = text.find("\"flags\": ").unwrap();
    let end = text[flags..].find(',').map_or(text.len(), |length| flags + length);
    let mut rest: Vec<_> = text[end..].split(", \"").map(str::to_owned).collect();
    rest.sort();
    (text[..end].to_owned(), rest)
}

/// Control characters as `?`: Borg prints those of names as they are.
fn masked(line: &[u8]) -> String {
    String::from_utf8(line.to_vec()).unwrap().replace(char::is_control, "?")
}

#[test]
fn every_line_is_that_of_borg_1_4_5() {
    let archive = GOLDEN.lines().find_map(|line| line.strip_prefix("archive ")).unwrap();
    let (name, id) = archive.split_once(' ').unwrap();
    let archive = ArchiveKeys { name: name.as_bytes(), id };
    let entries: Vec<_> = GOLDEN.lines().filter_map(|line| line.strip_prefix("item ")).map(Entry::parse).collect();
    let mut lines = GOLDEN.lines().skip_while(|line| !line.starts_with("format ")).peekable();
    let (mut compared, mut wrong) = (0, Vec::new());
    while let Some(header) = lines.next() {
        let words: Vec<_> = header.split(' ').collect();
        let text = String::from_utf8(unquoted(words[2])).unwrap();
        let format = Format::new(&text, &archive).unwrap();
        let json = words[0] == "json";
        let renderer = if json { Renderer::json_lines(format) } else { Renderer::text(format) };
        let mut renderer = renderer.in_zone(zone(words[1]));
        for entry in &entries {
            let expected = unquoted(lines.next().unwrap().strip_prefix("= ").unwrap());
            let found = entry.render(&mut renderer);
            let equal = if json {
                sorted_json(&found) == sorted_json(&expected)
            } else if entry.has_control_characters() {
                masked(&found) == masked(&expected)
            } else {
                found == expected
            };
            let verbatim = text == "{bpath}" && found == entry.path;
            if !equal && !verbatim {
                wrong.push(format!("{header}\n  borg {}\n  bork {}", expected.escape_ascii(), found.escape_ascii()));
            }
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared} lines compared");
    assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn rendered(format: &str, path: &[u8], item: &Item) -> String {
    let mut out = Vec::new();
    let format = Format::new(format, &ArchiveKeys::default()).unwrap();
    Renderer::text(format).in_zone(|_| 0).render(path, item, &Extra::default(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn at(seconds: i64) -> Item {
    Item { mode: 0o100_644, mtime: Time { seconds, nanoseconds: 0 }, ..Item::default() }
}

#[test]
fn verbatim_paths_keep_every_byte() {
    let mut out = Vec::new();
    let format = Format::new("{bpath:6}{NUL}", &ArchiveKeys::default()).unwrap();
    Renderer::text(format).render(b"a\xff\xfe", &at(0), &Extra::default(), &mut out);
    assert_eq!(out, b"a\xff\xfe   \0");
}

#[test]
fn no_text_of_an_item_steers_a_terminal_or_fakes_a_line() {
    let evil = b"a\x1b[31m\n\r\t\x7f\xc2\x9bz";
    let (clean, target) = ("a?[31m?????z", evil.to_vec());
    let item = Item { mode: 0o120_777, user: evil.to_vec(), group: evil.to_vec(), target, ..at(0) };
    for (format, expected) in [
        ("{path}{NL}", format!("{clean}\n")),
        ("{user}{TAB}{group}", format!("{clean}\t{clean}")),
        ("{source}{NUL}", format!("{clean}\0")),
        ("{extra}", format!(" -> {clean}")),
        ("{path:14}|", format!("{clean}  |")),
    ] {
        assert_eq!(rendered(format, evil, &item), expected);
    }
    let mut out = Vec::new();
    let format = Format::new("{archivename}{CR}", &ArchiveKeys { name: evil, id: "" }).unwrap();
    Renderer::text(format).render(b"", &item, &Extra::default(), &mut out);
    assert_eq!(out, format!("{clean}\r").into_bytes());
}

#[test]
fn names_that_are_not_utf_8_are_escaped_in_json_as_python_does() {
    let item = Item { user: b"j\xf6rg".to_vec(), ..at(0) };
    let mut out = Vec::new();
    let format = Format::new("", &ArchiveKeys { name: b"a\xff", id: "" }).unwrap();
    Renderer::json_lines(format).render(b"a\xff", &item, &Extra { broken: true, ..Extra::default() }, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.contains(r#""user": "j\udcf6rg", "group": 0"#), "{line}");
    assert!(line.contains(r#""path": "a?", "healthy": false"#), "{line}");
}

#[test]
fn times_that_borg_cuts_off_are_shown() {
    assert_eq!(rendered("{mtime}", b"", &at(-1)), "Wed, 1969-12-31 23:59:59");
    assert_eq!(rendered("{isomtime}", b"", &at(4_102_444_800)), "2100-01-01T00:00:00.000000");
    assert_eq!(rendered("{mtime}", b"", &at(253_402_300_800)), "Sat, 10000-01-01 00:00:00");
    for seconds in [i64::MIN, i64::MAX] {
        rendered("{mtime}{isomtime}{mtime:%Y %s %c}", b"", &at(seconds));
    }
}

#[test]
fn a_time_format_may_be_empty_long_or_broken() {
    assert_eq!(rendered("{mtime:%Z}", b"", &at(0)), "");
    assert_eq!(rendered("{mtime:%}", b"", &at(0)), "%");
    assert_eq!(rendered(&format!("{{mtime:{}}}", "%c".repeat(2000)), b"", &at(0)), "");
}

#[test]
fn a_day_on_which_the_clock_changes_is_right_in_every_second() {
    let mut clock = Clock::new(central_europe);
    for change in [1_711_846_800, 1_729_990_800] {
        for seconds in (change - 90_000..change + 90_000).step_by(450) {
            let expected = local_of(seconds, central_europe(seconds));
            assert_eq!(clock.local(Time { seconds, nanoseconds: 0 }), expected, "{seconds}");
        }
    }
}

#[test]
fn formats_that_make_no_sense_are_refused_with_the_reason() {
    for (format, words) in [
        ("{nosuchkey}", "no key \"nosuchkey\""),
        ("{}", "no key \"\""),
        ("{path.x}", "no key"),
        ("{path!r}", "no key"),
        ("{path", "single {"),
        ("a}b", "single } at byte 1"),
        ("{path:=8}", "= is for numbers only"),
        ("{size:.3}", "for text only"),
        ("{size:x}", "not understood"),
        ("{path:8q}", "not understood"),
        ("{path:999999999999}", "too large"),
        ("{path:{size}}", "not understood"),
    ] {
        let error = Format::new(format, &ArchiveKeys::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{format}: {error}");
    }
}

#[test]
fn a_format_says_what_it_needs() {
    let needs = |format| Format::new(format, &ArchiveKeys::default()).unwrap().needs().clone();
    assert_eq!(needs(Format::DEFAULT), Needs::default());
    let all = needs("{sha256}{md5}{sha256}{csize}{num_chunks}{dsize}");
    assert_eq!(all.hashes, [Hash::Sha256, Hash::Md5]);
    assert!(all.compressed_size && all.chunks && all.unique);
    assert!(needs("{health}").health && !all.health);
    let json = Format::new("", &ArchiveKeys::default()).unwrap();
    assert!(Renderer::json_lines(json).format().needs().health);
    assert_eq!(Hash::Sha3_224.name(), "sha3_224");
}

#[test]
fn every_key_has_a_name_that_a_format_accepts() {
    for key in KEYS {
        Format::new(&format!("{{{key}}}"), &ArchiveKeys::default()).unwrap();
    }
}

proptest! {
    #[test]
    fn hostile_formats_never_panic(
        format in "[{}a-z:<>=^0-9.,%é!]{0,20}",
        key in 0..KEYS.len(),
        spec in "[<>=^é0-9.,%a-zA-Z ]{0,6}",
        path: Vec<u8>,
    ) {
        for format in [format, format!("{{{}:{spec}}}", KEYS[key])] {
            if let Ok(format) = Format::new(&format, &ArchiveKeys::default()) {
                Renderer::text(format).render(&path, &at(1), &Extra::default(), &mut Vec::new());
            }
        }
    }

    #[test]
    fn calendar_days_count_up_by_one(day in -1_000_000..3_000_000i64) {
        let (today, tomorrow) = (local_of(day * 86_400, 0), local_of((day + 1) * 86_400, 0));
        prop_assert_eq!((today.weekday + 1) % 7, tomorrow.weekday);
        if tomorrow.day != 1 {
            prop_assert_eq!((today.year, today.month, today.day + 1), (tomorrow.year, tomorrow.month, tomorrow.day));
            prop_assert_eq!(today.day_of_year + 1, tomorrow.day_of_year);
        } else if tomorrow.month != 1 {
            prop_assert_eq!((today.year, today.month + 1), (tomorrow.year, tomorrow.month));
            prop_assert_eq!(today.day_of_year + 1, tomorrow.day_of_year);
        } else {
            prop_assert_eq!((today.year + 1, today.month, today.day, tomorrow.day_of_year), (tomorrow.year, 12, 31, 0));
        }
    }
}
