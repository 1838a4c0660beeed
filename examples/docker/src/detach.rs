//! The detach keys: a sequence that disconnects a client and leaves the container running.

use crate::error::{ApiError, Result};

/// A detach sequence, recognised across reads. The bytes of an incomplete sequence are passed on.
#[derive(Clone, Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl Default for DetachKeys {
    /// Returns docker's default: ctrl-p, ctrl-q.
    fn default() -> Self {
        Self {
            keys: vec![0x10, 0x11],
            matched: 0,
        }
    }
}

impl DetachKeys {
    /// Parses docker's notation: keys separated by commas, each a single character, or `ctrl-`
    /// followed by a letter or one of `@ [ \ ] ^ _`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let keys = text.split(',').map(|key| match key.as_bytes() {
            [single] => Some(*single),
            [b'c', b't', b'r', b'l', b'-', letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'c', b't', b'r', b'l', b'-', sign @ (b'@' | b'['..=b'_')] => Some(sign - b'@'),
            _ => None,
        });
        let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(|| {
            ApiError::bad_request(format!("Invalid escape keys ({text}) provided"))
        })?;
        Ok(Self { keys, matched: 0 })
    }

    /// Appends those of `bytes` that are meant for the process to `input`, and returns whether the
    /// sequence is complete. Bytes after the sequence are dropped.
    pub(crate) fn filter(&mut self, bytes: &[u8], input: &mut Vec<u8>) -> bool {
        for &byte in bytes {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return true;
                }
                continue;
            }
            input.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(byte == self.keys[0]);
            if self.matched == 0 {
                input.push(byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads_and_other_bytes_are_passed() {
        let mut keys = DetachKeys::default();
        let mut input = Vec::new();
        assert!(!keys.filter(b"a\x10", &mut input));
        assert!(!keys.filter(b"b\x10\x10", &mut input));
        assert_eq!(input, b"a\x10b\x10");
        assert!(keys.filter(b"\x11rest", &mut input));
        assert_eq!(input, b"a\x10b\x10");
    }

    #[test]
    fn dockers_notation_is_read() {
        assert_eq!(
            DetachKeys::parse("ctrl-a,x,ctrl-[").unwrap().keys,
            [1, b'x', 27]
        );
        assert!(DetachKeys::parse("ctrl-").is_err());
        assert!(DetachKeys::parse("").is_err());
    }
}
