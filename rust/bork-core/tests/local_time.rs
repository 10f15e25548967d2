//! Local time is that of `TZ`. The C library reads it once for a process, so the claim is tested in
//! a process of its own.
#![allow(clippy::disallowed_methods)] // A test starts itself again; the engine starts nothing.

use bork_core::render::local_offset;
use std::process::Command;

#[test]
fn offsets_follow_tz_across_a_change_to_summer_time() {
    let this = std::env::current_exe().expect("a test is a file");
    let mut child = Command::new(this);
    child.args(["--ignored", "--exact", "child_in_central_europe"]).env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
    let output = child.output().expect("a test can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "started by offsets_follow_tz_across_a_change_to_summer_time"]
fn child_in_central_europe() {
    for (seconds, offset) in [
        (1_711_846_799, 3600),
        (1_711_846_800, 7200),
        (1_729_990_799, 7200),
        (1_729_990_800, 3600),
        (-1, 3600),
        (4_102_444_800, 3600),
        (i64::MAX, 0),
    ] {
        assert_eq!(local_offset(seconds), offset, "{seconds}");
    }
}
