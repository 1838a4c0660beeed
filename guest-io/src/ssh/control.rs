//! Control frames, for requests that `russh` does not support.

/// A control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// The peer may send this many bytes more.
    Grant(u32),
    /// The session may start.
    Unblock,
}

const GRANT: u8 = 1;
const UNBLOCK: u8 = 2;
const LENGTH: usize = 5;

impl Control {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        let (kind, number) = match self {
            Self::Grant(bytes) => (GRANT, bytes),
            Self::Unblock => (UNBLOCK, 0),
        };
        let [a, b, c, d] = number.to_be_bytes();
        [kind, a, b, c, d]
    }
}

/// Decodes frames from chunks; frames of an unknown kind are skipped.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    partial: [u8; LENGTH],
    filled: usize,
}

impl Decoder {
    pub(super) fn receive(&mut self, input: &[u8], mut frame: impl FnMut(Control)) {
        for &byte in input {
            self.partial[self.filled] = byte;
            self.filled += 1;
            if self.filled == LENGTH {
                self.filled = 0;
                let [kind, a, b, c, d] = self.partial;
                match kind {
                    GRANT => frame(Control::Grant(u32::from_be_bytes([a, b, c, d]))),
                    UNBLOCK => frame(Control::Unblock),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_decoded_from_chunks_and_unknown_ones_are_skipped() {
        let mut bytes = Vec::new();
        bytes.extend(Control::Grant(0x0102_0304).encode());
        bytes.extend([9, 0, 0, 0, 0]);
        bytes.extend(Control::Unblock.encode());
        for split in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            decoder.receive(&bytes[..split], |c| seen.push(c));
            decoder.receive(&bytes[split..], |c| seen.push(c));
            assert_eq!(seen, [Control::Grant(0x0102_0304), Control::Unblock]);
        }
    }
}
