//! The file that the benches measure.

use std::io::Write;

/// Returns a file of 1 MiB and 10,000 keys: half devices and settings, half container
/// state.
pub(crate) fn file() -> Vec<u8> {
    const KEYS: usize = 10_000;
    const SIZE: usize = 1024 * 1024;
    let mut file =
        b".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"20\"\n".to_vec();
    for key in 3..KEYS {
        let name = match key % 2 {
            0 => format!("scsi{}:{}.setting{key}", key % 4, key % 16),
            _ => format!("guestinfo./sessions|{key:012x}/cmd/Path"),
        };
        // Divides the remaining size among the remaining keys.
        let length = (SIZE - file.len()) / (KEYS - key);
        let value = length.saturating_sub(name.len() + 6);
        writeln!(
            file,
            "{name} = \"{}\"",
            &"/usr/lib/value_0123456789 ".repeat(5)[..value]
        )
        .unwrap();
    }
    assert!((SIZE - 200..=SIZE).contains(&file.len()), "{}", file.len());
    file
}
