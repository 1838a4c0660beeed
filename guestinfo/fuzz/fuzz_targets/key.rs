//! Checks that keys print as they were parsed, and that patterns never panic.
#![no_main]

use guestinfo::{Key, Pattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Key>() {
        Ok(key) => {
            assert_eq!(key.to_string(), text);
            assert!(key.starts_with(&key));
            let _ = key.path().parse::<Pattern>().map(|p| p.matches(&key));
        }
        Err(error) => assert!(error.position() <= text.len()),
    }
});
