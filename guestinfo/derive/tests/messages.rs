//! The error messages of the derive macro point at the mistake and list what is allowed.
#![allow(missing_docs, reason = "a test")]

#[test]
fn messages() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}
