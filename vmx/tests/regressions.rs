//! Inputs that once caused a bug, each named for what went wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::Document;

/// `check` cut the name in the middle of a character when looking for `.present`.
#[test]
fn check_of_a_name_with_a_character_across_its_eighth_last_byte() {
    let bytes = "0Axx\u{FEFF}xxxxxx = \"x\"\n0Axx\u{FEFF}xx = \"x\"\n";
    assert!(!Document::parse_lenient(bytes).unwrap().check().is_empty());
}
