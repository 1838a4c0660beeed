//! `.vmsn` files: the state of a machine at the time of a snapshot.
//!
//! Such a file has groups of named values. This one has the group `Snapshot` with the value
//! `cfgFile`, the content of the `.vmx` file; the memory of a machine is not stored. The layout is
//! that of the readers for memory forensics, such as Volatility:
//!
//! - a header of 12 bytes: magic number, unused, number of groups;
//! - for each group 80 bytes: its name, padded to 64 bytes, and the offset of its values;
//! - for each value: a byte that is 62 for values with a length of 64 bits, the length of the
//!   name, the name, the length of the value in the file and in memory, the length of a padding,
//!   the padding and the value. A byte 0 follows the last value.

const MAGIC: u32 = 0xbed2_bed2;
const HEADER: usize = 12;
const GROUP: usize = 80;
const NAME: usize = 64;
/// The flags of a value with a length of 64 bits.
const LONG: u8 = 62;
const SNAPSHOT: &[u8] = b"Snapshot";
const CONFIG: &[u8] = b"cfgFile";

/// Returns the content of a file with this configuration.
pub(super) fn encode(config: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(256 + config.len());
    for word in [MAGIC, 0, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut name = [0; NAME];
    for (to, from) in name.iter_mut().zip(SNAPSHOT) {
        *to = *from;
    }
    file.extend(name);
    file.extend(((HEADER + GROUP) as u64).to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.extend([LONG, CONFIG.len() as u8]);
    file.extend(CONFIG);
    for _ in 0..2 {
        file.extend((config.len() as u64).to_le_bytes());
    }
    file.extend(0u16.to_le_bytes());
    file.extend(config);
    file.push(0);
    file
}

/// Returns the configuration in a file; `None` if the file does not have this form.
pub(super) fn decode(file: &[u8]) -> Option<&[u8]> {
    let mut header = Reader(file);
    if header.number(4)? != u64::from(MAGIC) {
        return None;
    }
    header.bytes(4)?;
    let groups = header.number(4)?;
    for _ in 0..groups {
        let name = header.bytes(NAME)?;
        let at = usize::try_from(header.number(8)?).ok()?;
        header.bytes(8)?;
        if name.strip_prefix(SNAPSHOT).and_then(<[u8]>::first) == Some(&0) {
            return config(Reader(file.get(at..)?));
        }
    }
    None
}

/// Returns the configuration among the values of a group.
fn config(mut values: Reader<'_>) -> Option<&[u8]> {
    loop {
        let flags = values.number(1)?;
        let length = values.number(1)?;
        if flags == 0 {
            return None;
        }
        let name = values.bytes(usize::try_from(length).ok()?)?;
        // Values of an array have up to three indices.
        values.bytes(usize::try_from(flags >> 6).ok()? * 4)?;
        let value = match flags & 0x3f {
            62 | 63 => {
                let length = values.number(8)?;
                values.bytes(8)?;
                let padding = values.number(2)?;
                values.bytes(usize::try_from(padding).ok()?)?;
                values.bytes(usize::try_from(length).ok()?)?
            }
            length => values.bytes(usize::try_from(length).ok()?)?,
        };
        if name == CONFIG {
            return Some(value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a number of up to 8 bytes.
    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.bytes(length)?;
        let add = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(bytes.iter().rev().fold(0, add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_found_in_its_file() {
        let text = b"memSize = \"64\"\n".repeat(100);
        let file = encode(&text);
        assert_eq!(decode(&file), Some(&text[..]));
        assert_eq!(decode(&encode(b"")), Some(&b""[..]));
        // A file that ends anywhere is not read as another one.
        for end in 0..file.len() - 1 {
            assert_eq!(decode(&file[..end]), None, "{end}");
        }
    }

    #[test]
    fn other_values_are_skipped() {
        let mut file = encode(b"text");
        let mut values = file.split_off(HEADER + GROUP);
        // A value of 4 bytes with one index comes first.
        let other = [0x44, 1, b'x', 0, 0, 0, 0, 1, 2, 3, 4];
        file.extend(other);
        file.append(&mut values);
        assert_eq!(decode(&file), Some(&b"text"[..]));
    }
}
