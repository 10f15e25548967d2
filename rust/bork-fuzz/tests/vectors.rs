//! The frames of vectors/pull.json, which another program encoded, are accepted, and encoded the same.

use bork_format::pull::{FrameKind, HEAD_LENGTH, decode_head};
use bork_fuzz::pulled;
use std::path::Path;

fn frames() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/pull.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let values = text.lines().filter_map(|line| line.trim().strip_prefix("\"frame\": \"")?.strip_suffix('"'));
    values.map(|hex| hex.as_bytes().chunks(2).map(byte).collect()).collect()
}

fn byte(digits: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(digits).expect("digits"), 16).expect("a byte")
}

#[test]
fn every_frame_of_the_vectors_is_accepted() {
    let frames = frames();
    assert!(frames.len() >= 15);
    for frame in frames {
        let (kind, length) = decode_head(*frame.first_chunk().expect("a head")).expect("a known kind");
        let body = &frame[HEAD_LENGTH..];
        assert_eq!(body.len(), length);
        let accepted = match kind {
            FrameKind::Hello => pulled::hello(body),
            FrameKind::Plan => pulled::plan(body),
            FrameKind::Object => pulled::object(body),
            // Behind the codec, which is none, and the length.
            FrameKind::Unit => pulled::unit(&body[1 + body[1..].iter().take_while(|byte| **byte > 0x7f).count() + 1..]),
            _ => true,
        };
        assert!(accepted, "{kind:?}");
    }
}
