//! No manifest makes the parser panic, and what it returns is read again from what the writer makes
//! of it.
#![no_main]
#![allow(
    dead_code,
    reason = "the parser is private, so its file is included here"
)]

use libfuzzer_sys::fuzz_target;

mod nfc {
    pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Stands for the module with the import.
#[path = "../../src/ovf"]
mod ovf {
    mod manifest;

    use manifest::{Algorithm, Digests, format, parse, plain};

    pub(super) fn read(text: &str) {
        let Some(lines) = parse(text) else {
            return;
        };
        for line in &lines {
            assert!(line.digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(line.file.len() <= text.len());
            assert!(!line.file.starts_with("./"));
            assert_eq!(plain(&line.file), line.file);
            if line.algorithm == Algorithm::Sha256 {
                let again = parse(&format(&line.file, &line.digest));
                let again = again.expect("the writer's own line");
                assert_eq!(again.len(), 1);
                assert_eq!(&again[0], line);
            }
            let finished = Digests::needed(Some(&lines), &line.file).finish();
            assert!(finished.get(line.algorithm).is_some());
        }
    }
}

fuzz_target!(|text: &str| ovf::read(text));
