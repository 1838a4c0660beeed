//! Identifiers of 32 bytes as hexadecimal digits.

use std::fmt;

/// Returns the 64 lower-case hexadecimal digits of an identifier.
pub(crate) fn digits(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = [0_u8; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 0xf]) {
            *digit = DIGITS[usize::from(value)];
        }
    }
    text
}

/// Writes the digits of an identifier at once: lists format thousands.
pub(crate) fn write(bytes: &[u8; 32], to: &mut impl fmt::Write) -> fmt::Result {
    to.write_str(std::str::from_utf8(&digits(bytes)).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_as_formatting_writes_it() {
        for byte in 0..=255_u8 {
            let mut text = String::new();
            assert_eq!(write(&[byte; 32], &mut text), Ok(()));
            assert_eq!(text, format!("{byte:02x}").repeat(32));
        }
    }
}
