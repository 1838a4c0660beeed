//! The derive macro's messages point at what is wrong and say what is allowed.
#![allow(missing_docs, reason = "a test")]

#[test]
fn messages() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}
