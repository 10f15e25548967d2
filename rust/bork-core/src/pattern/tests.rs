//! What patterns promise: Borg's answers, and order.

use super::*;
use proptest::prelude::*;

const STYLES: [Style; 5] = [Style::Fnmatch, Style::Shell, Style::Regex, Style::PathPrefix, Style::PathFull];

fn style(name: &str) -> Style {
    match name {
        "fm" => Style::Fnmatch,
        "sh" => Style::Shell,
        "re" => Style::Regex,
        "pp" => Style::PathPrefix,
        "pf" => Style::PathFull,
        other => panic!("no style {other}"),
    }
}

/// `- sh:*.o` and the like.
fn pattern(text: &str) -> (Action, Style, Vec<u8>) {
    let action = match &text[..1] {
        "+" => Action::Include,
        "-" => Action::Exclude,
        _ => Action::ExcludeNoRecurse,
    };
    (action, style(&text[2..4]), text.as_bytes()[5..].to_vec())
}

fn matcher(patterns: &[&str]) -> Matcher {
    Matcher::new(patterns.iter().map(|text| pattern(text)).collect()).unwrap()
}

fn selection(paths: &[&str]) -> PathSelection {
    PathSelection::new(paths.iter().map(|text| (style(&text[..2]), text.as_bytes()[3..].to_vec())).collect()).unwrap()
}

fn why(text: &str) -> String {
    Matcher::new(vec![pattern(text)]).unwrap_err().to_string()
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

/// Features of Python that are refused here although Borg knows them.
fn refused_knowingly(why: &str) -> bool {
    ["linear time", "possessive"].iter().any(|words| why.contains(words))
}

/// A `$` that takes the newline at the end of a path leaves none for what follows it, and Python before 3.14 does not
/// find `\B` in nothing.
fn differs_knowingly(line: &str, path: &[u8]) -> bool {
    (line.contains(r"$\b") && path.ends_with(b"\n")) || (line.contains(r"\B") && path.is_empty())
}

#[test]
fn every_answer_is_that_of_borg_1_4_5() {
    let golden = include_str!("../../tests/data/patterns-borg-1.4.5.txt");
    let (mut paths, mut compared, mut wrong) = (Vec::new(), 0, Vec::new());
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        if let Some(path) = line.strip_prefix("path ") {
            paths.push(unquoted(path));
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (name, bits, text) = (words.next().unwrap(), words.next().unwrap(), unquoted(words.next().unwrap()));
        match (Matcher::new(vec![(Action::Include, style(name), text)]), bits) {
            (Err(_), "error") => {}
            (Err(error), _) if refused_knowingly(&error.why) => {}
            (Ok(_), "error") => wrong.push(format!("{line}: Borg refuses it")),
            (Err(error), _) => wrong.push(format!("{line}: {error}")),
            (Ok(matcher), bits) => {
                let bits = u64::from_str_radix(bits, 16).unwrap();
                for (number, path) in paths.iter().enumerate() {
                    let found = matcher.decide(path) == Decision::Include;
                    if found != (bits >> number & 1 == 1) && !differs_knowingly(line, path) {
                        wrong.push(format!("{line}: {:?} gives {found}", String::from_utf8_lossy(path)));
                    }
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 1500, "{compared} patterns compared");
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn without_patterns_nothing_is_decided() {
    assert!(Matcher::default().is_empty());
    assert_eq!(Matcher::default().decide(b"a"), Decision::Default);
}

#[test]
fn the_first_pattern_that_matches_wins() {
    let matcher = matcher(&["+ pp:home/u/keep", "! sh:home/*/cache", "- fm:*.o", "+ re:^home/", "- pp:/"]);
    for (path, expected) in [
        ("home/u/keep/x.o", Decision::Include),
        ("home/u/cache/x", Decision::ExcludeNoRecurse),
        ("home/v/x.o", Decision::Exclude),
        ("/home/v/x", Decision::Include),
        ("etc", Decision::Exclude),
    ] {
        assert_eq!(matcher.decide(path.as_bytes()), expected, "{path}");
    }
}

#[test]
fn a_full_path_wins_over_all_and_of_two_the_last() {
    let matcher = matcher(&["! pp:a", "+ pf:a/b", "- pf:c", "+ pf:/c/"]);
    assert_eq!(matcher.decide(b"a/b"), Decision::Include);
    assert_eq!(matcher.decide(b"a/b/c"), Decision::ExcludeNoRecurse);
    assert_eq!(matcher.decide(b"c"), Decision::Include);
}

#[test]
fn many_literal_patterns_keep_their_order() {
    let mut patterns: Vec<_> = (0..500).map(|n| pattern(&format!("- pp:dir/{n}"))).collect();
    patterns.insert(0, pattern("+ pp:dir/499/keep"));
    patterns.push(pattern("+ pp:dir"));
    patterns.push(pattern("- fm:dir2/"));
    let matcher = Matcher::new(patterns).unwrap();
    assert_eq!(matcher.decide(b"dir/499/keep/x"), Decision::Include);
    assert_eq!(matcher.decide(b"dir/499/lose"), Decision::Exclude);
    assert_eq!(matcher.decide(b"dir/500"), Decision::Include);
    assert_eq!(matcher.decide(b"dir2/x"), Decision::Exclude);
    assert_eq!(matcher.decide(b"dir2"), Decision::Default);
}

#[test]
fn what_borgmatic_sends_is_understood() {
    let matcher = matcher(&[r"+ re:(?s:run/user/0/borgmatic\-x\.y)$|(?s:run/user/0/borgmatic\-x\.y/.*)$", "- sh:**/*"]);
    assert_eq!(matcher.decide(b"run/user/0/borgmatic-x.y"), Decision::Include);
    assert_eq!(matcher.decide(b"run/user/0/borgmatic-x.y/a\n/b"), Decision::Include);
    assert_eq!(matcher.decide(b"run/user/0/borgmatic-xzy/a"), Decision::Exclude);
}

#[test]
fn what_takes_more_than_linear_time_is_refused_by_name() {
    for (text, word) in [
        ("- re:a(?=b)", "look-ahead"),
        ("- re:a(?!b)", "look-ahead"),
        ("- re:(?<=a)b", "look-behind"),
        ("- re:(?<!a)b", "look-behind"),
        (r"- re:(a)\1", "back reference"),
        ("- re:(?P<x>a)(?P=x)", "back reference"),
        ("- re:(?>a)", "atomic"),
        ("- re:a*+", "possessive"),
        ("- re:(a)?(?(1)b|c)", "conditional"),
    ] {
        let why = why(text);
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn errors_name_the_pattern_and_the_reason() {
    assert!(why("- re:a(b").contains("unclosed group"), "{}", why("- re:a(b"));
    assert!(why("- sh:[b-a]").contains("the range b-a is backward"));
    assert!(why(r"- re:(\w{1000}){1000}").contains("bytes"), "{}", why(r"- re:(\w{1000}){1000}"));
}

#[test]
fn bytes_that_are_not_utf_8_are_one_character_each() {
    let any = Matcher::new(vec![(Action::Exclude, Style::Shell, b"a?b/\xfe*".to_vec())]).unwrap();
    assert_eq!(any.decide(b"a\xffb/\xfe\xe9x"), Decision::Exclude);
    assert_eq!(any.decide(b"a\xff\xffb/\xfe"), Decision::Default);
    let escaped = matcher(&[r"- re:^\udcff$"]);
    assert_eq!(escaped.decide(b"\xff"), Decision::Exclude);
}

#[test]
fn without_arguments_all_is_selected_and_nothing_is_missed() {
    let selection = selection(&[]);
    assert!(selection.selects(b"a") && selection.never_matched().is_empty());
    assert_eq!(selection.prefixes(), None);
}

#[test]
fn arguments_that_match_nothing_are_named_as_given() {
    let selection = selection(&["pp:/etc/", "pp:etc/ssh", "sh:**/*.pem", "pf:none", "pp:/no/such"]);
    assert!(selection.selects(b"etc/ssh/key") && !selection.selects(b"home/key.txt"));
    assert_eq!(selection.never_matched(), [&b"**/*.pem"[..], b"none", b"/no/such"]);
}

#[test]
fn prefixes_are_disjoint_and_in_tree_order() {
    let some = |paths: &[&str]| selection(paths).prefixes();
    let expected = |paths: &[&str]| Some(paths.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(some(&["pp:b", "pf:a/c", "pp:/a.b/", "pp:b/x", "pp:a/c/d"]), expected(&["a/c", "a.b", "b"]));
    assert_eq!(some(&["sh:run/*_db/dump.json", "fm:etc"]), expected(&["etc", "run"]));
    assert_eq!(some(&["pp:a", "sh:a*"]), None);
    assert_eq!(some(&["pp:a", "re:^a/"]), None);
    assert_eq!(some(&["pp:/"]), None);
}

#[test]
fn a_filter_asks_full_paths_then_patterns_then_paths() {
    let filter = ItemFilter { patterns: matcher(&["! fm:*.o", "+ pp:src"]), paths: selection(&["pf:a/b.o", "pp:a"]) };
    for (path, wanted) in [("a/b.o", true), ("a/c.o", false), ("a/c", true), ("src/x", true), ("b", false)] {
        assert_eq!(filter.wants(path.as_bytes()), wanted, "{path}");
    }
    assert!(filter.paths.never_matched().is_empty());
}

fn any_pattern() -> impl Strategy<Value = (Action, Style, Vec<u8>)> {
    let pieces = ["a", "b", "c", "/", "*", "**", "?", "[ab]", "[!c]", "**/", ".", "-", "[", "é", "\\"];
    let text = proptest::collection::vec(prop::sample::select(pieces.to_vec()), 0..6)
        .prop_map(|all| all.concat().into_bytes());
    let actions = [Action::Include, Action::Exclude, Action::ExcludeNoRecurse];
    (prop::sample::select(actions.to_vec()), prop::sample::select(&STYLES[..]), text)
}

proptest! {
    #[test]
    fn a_list_decides_as_its_patterns_asked_one_by_one(
        patterns in proptest::collection::vec(any_pattern(), 0..40),
        paths in proptest::collection::vec("[abcé]{0,2}(/[abc.]{1,2}){0,3}", 1..10),
    ) {
        let single = |pattern: &(Action, Style, Vec<u8>)| Matcher::new(vec![pattern.clone()]);
        let patterns: Vec<_> = patterns.into_iter().filter(|pattern| single(pattern).is_ok()).collect();
        let all = Matcher::new(patterns.clone()).unwrap();
        for path in paths {
            let path = path.as_bytes();
            let answers = || patterns.iter().map(|pattern| (pattern.1, single(pattern).unwrap().decide(path)));
            let decided = |(_, answer): &(Style, Decision)| *answer != Decision::Default;
            let full = answers().filter(|(style, _)| *style == Style::PathFull).rfind(decided);
            let expected = full.or_else(|| answers().find(decided)).map_or(Decision::Default, |(_, answer)| answer);
            prop_assert_eq!(all.decide(path), expected);
        }
    }

    #[test]
    fn hostile_patterns_and_paths_never_panic(
        action in prop::sample::select(&[Action::Include, Action::Exclude][..]),
        style in prop::sample::select(&STYLES[..]),
        pattern in proptest::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b"\\[](){}?*+-^$|/.#xuN01"[..])],
            0..30,
        ),
        path in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        if let Ok(matcher) = Matcher::new(vec![(action, style, pattern.clone())]) {
            matcher.decide(&path);
            PathSelection::new(vec![(style, pattern)]).unwrap().prefixes();
        }
    }

    #[test]
    fn all_that_is_selected_lies_below_a_prefix(
        paths in proptest::collection::vec(any_pattern(), 1..5),
        item in "[abc]{1,2}(/[abc.]{1,2}){0,3}",
    ) {
        let paths: Vec<_> = paths.into_iter().map(|(_, style, text)| (style, text)).collect();
        if let Ok(selection) = PathSelection::new(paths)
            && selection.selects(item.as_bytes())
            && let Some(prefixes) = selection.prefixes()
        {
            let below = |prefix: &Vec<u8>| matches!(item.as_bytes().strip_prefix(&prefix[..]), Some([] | [b'/', ..]));
            prop_assert!(prefixes.iter().any(below), "{:?}", prefixes);
        }
    }
}
