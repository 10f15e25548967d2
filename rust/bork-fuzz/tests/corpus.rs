//! Every input that a fuzzer ever kept, again: as it is, all its prefixes, and all its flipped bits.

use bork_fuzz::{TARGETS, Target};
use std::path::{Path, PathBuf};

/// Inputs up to this length are also cut and flipped everywhere; longer ones at places that are spread evenly.
const PLACES_MAX: usize = 200;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let directory = corpus(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// Panics with the input, in hexadecimal, that the target does not like.
fn call(name: &str, target: Target, input: &[u8]) -> bool {
    std::panic::catch_unwind(|| target(input)).unwrap_or_else(|_| {
        let shown: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{name} breaks a promise for {shown}")
    })
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let inputs = inputs(name);
    let (mut accepted, mut refused, mut damaged) = (0, 0, 0);
    for input in &inputs {
        if call(name, *target, input) {
            accepted += 1
        } else {
            refused += 1
        }
        let step = input.len().div_ceil(PLACES_MAX).max(1);
        for at in (0..input.len()).step_by(step) {
            call(name, *target, &input[..at]);
            damaged += 1;
            for bit in 0..8 {
                let mut flipped = input.clone();
                flipped[at] ^= 1 << bit;
                call(name, *target, &flipped);
                damaged += 1;
            }
        }
    }
    println!("{name}: {accepted} accepted, {refused} refused, {damaged} cut or flipped");
    assert!(accepted > 0 && refused > 0, "{name}: the corpus has {accepted} accepted and {refused} refused inputs");
}

macro_rules! replayed {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        #[test]
        fn every_target_has_its_test_and_every_corpus_its_target() {
            let tested = [$(stringify!($name)),+];
            assert_eq!(TARGETS.map(|(name, _)| name)[..], tested[..]);
            let entries = std::fs::read_dir(corpus("")).expect("fuzz/corpus");
            let mut kept: Vec<_> = entries
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
                .collect();
            kept.sort();
            assert_eq!(kept, tested);
        }
    };
}

replayed! {
    acl content_list decompress header inner item key leaf msgpack pattern pull_head pull_hello pull_object pull_plan
    pull_problems pull_unit record render table tar toc trailer
}
