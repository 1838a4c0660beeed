//! No archive makes the reader panic, return more than the archive has, or loop.
#![no_main]
#![allow(
    dead_code,
    reason = "the reader is private, so its files are included here"
)]

use libfuzzer_sys::fuzz_target;

mod error {
    pub(crate) fn reason(error: &std::io::Error) -> String {
        error.to_string()
    }
}

#[path = "../../src/archive"]
mod archive {
    mod entry;
    mod reader;

    use entry::Kind;
    use reader::TarReader;

    fn quoted(name: &[u8]) -> String {
        format!("{:?}", String::from_utf8_lossy(name))
    }

    /// Reads an archive; every second file is skipped.
    pub(super) fn read(data: &[u8]) {
        let mut reader = TarReader::new(data);
        for number in 0..=data.len() / 512 {
            let Ok(Some(entry)) = reader.next() else {
                return;
            };
            let stored = entry.name.len()
                + entry
                    .xattrs
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum::<usize>();
            // An extended header can say each of its records once.
            assert!(stored <= data.len(), "{stored} bytes of {}", data.len());
            if let Kind::File(size) = entry.kind
                && number % 2 == 0
            {
                let mut copied = 0;
                let done = reader.copy_to(|part| {
                    copied += part.len() as u64;
                    Ok(())
                });
                assert!(done.is_err() || copied == size);
            }
        }
        assert!(matches!(reader.next(), Ok(None) | Err(_)));
    }
}

fuzz_target!(|data: &[u8]| archive::read(data));
