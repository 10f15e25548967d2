//! What people and kernels write: patterns, formats, ACLs.

use crate::meter::bounded;
use bork_core::metadata::acl as posix;
use bork_core::pattern::{Action, Decision, Matcher, PathSelection, Style};
use bork_core::render::{ArchiveKeys, Extra, Format, Renderer};
use bork_format::item::Item;

const STYLES: [Style; 5] = [Style::Fnmatch, Style::Shell, Style::Regex, Style::PathPrefix, Style::PathFull];
/// Longest pattern that is tried; repetitions of repetitions in longer ones only take time. Unit: bytes.
const PATTERN_LENGTH_MAX: usize = 64;
/// Memory of one pattern, compiled. Unit: bytes. The limit of the compiled form, and what making it costs beside it.
const PATTERN_MEMORY_MAX: usize = 3 * (64 << 20);

/// Style, length of the pattern, pattern, path. A list of patterns and a list of arguments agree, alone and together
/// with a second pattern; what is selected lies below the prefixes that are promised.
pub fn pattern(data: &[u8]) -> bool {
    let [style, length, rest @ ..] = data else { return false };
    let style = STYLES[usize::from(*style) % STYLES.len()];
    let (pattern, path) = rest.split_at((usize::from(*length) % (PATTERN_LENGTH_MAX + 1)).min(rest.len()));
    let one = |action| (action, style, pattern.to_vec());
    let matcher = bounded(PATTERN_MEMORY_MAX, || Matcher::new(vec![one(Action::Include)]));
    let selection = PathSelection::new(vec![(style, pattern.to_vec())]);
    assert_eq!(matcher.is_ok(), selection.is_ok());
    let (Ok(matcher), Ok(selection)) = (matcher, selection) else { return false };
    let decision = matcher.decide(path);
    assert!(matches!(decision, Decision::Include | Decision::Default));
    assert_eq!(selection.selects(path), decision == Decision::Include);

    // Of two the first decides; `pf` alone is decided by the last.
    let never = (Action::Exclude, Style::Regex, br"[^\s\S]x".to_vec());
    for others in [vec![one(Action::Include), never.clone()], vec![never.clone(), one(Action::Include), never]] {
        let both = Matcher::new(others).expect("each was accepted alone");
        assert_eq!(both.decide(path), decision, "together with another pattern");
    }
    let prefixes = selection.prefixes();
    if decision == Decision::Include
        && let Some(prefixes) = prefixes
    {
        let path = &path[path.iter().take_while(|byte| **byte == b'/').count()..];
        let below = |prefix: &Vec<u8>| matches!(path.strip_prefix(&prefix[..]), Some([] | [b'/', ..]));
        assert!(prefixes.iter().any(below), "selected, but not below {prefixes:?}");
    }
    true
}

/// Length of a format, format, body of an item: what `list` prints for whatever an archive holds, as text and as JSON,
/// in time zones far from each other.
pub fn render(data: &[u8]) -> bool {
    let [length, rest @ ..] = data else { return false };
    let (format, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let (Ok(format), Ok(item)) = (std::str::from_utf8(format), Item::decode(body)) else { return false };
    let archive = ArchiveKeys { name: b"name \xff\"", id: "00" };
    for zone in [|_| 0, |_| 14 * 3600, |_| -12 * 3600] {
        let Ok(text) = Format::new(format, &archive) else { return false };
        let Ok(json) = Format::new(format, &archive) else { return false };
        let digests: Vec<&str> = text.needs().hashes.iter().map(|_| "00").collect();
        let extra = Extra { digests: &digests, ..Extra::default() };
        let mut out = Vec::new();
        Renderer::text(text).in_zone(zone).render(b"a/\xff\n", &item, &extra, &mut out);
        out.clear();
        Renderer::json_lines(json).in_zone(zone).render(b"a/\xff\n", &item, &extra, &mut out);
        assert!(out.ends_with(b"}\n") && out.iter().filter(|byte| **byte == b'\n').count() == 1);
        assert!(std::str::from_utf8(&out).is_ok(), "JSON is UTF-8");
    }
    true
}

/// The value of an ACL attribute: sorted, it comes back, and again it is the same.
pub fn acl(data: &[u8]) -> bool {
    // 8 bytes become an entry of 32.
    let Ok(entries) = bounded(1024 + data.len() * 4, || posix::decode(data, None)) else { return false };
    let written = posix::encode(&entries, None);
    assert_eq!(written.len(), data.len());
    let mut sorted = posix::decode(&written, None).expect("what was written");
    assert_eq!(posix::encode(&sorted, None), written);
    let mut read = entries;
    for list in [&mut sorted, &mut read] {
        list.sort_by_key(|entry| (entry.tag, entry.id, entry.permissions));
    }
    assert_eq!(sorted, read);
    true
}
