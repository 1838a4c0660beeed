//! Control frames, for requests that `russh` does not support.

/// A [control frame](super#control-frames).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlFrame {
    /// The peer may send this many bytes more.
    Grant(u32),
    /// The session may start.
    Unblock,
}

const GRANT: u8 = 1;
const UNBLOCK: u8 = 2;

impl ControlFrame {
    /// The length of an encoded frame in bytes.
    pub const LENGTH: usize = 5;

    /// Returns the bytes of the frame.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let (kind, number) = match self {
            Self::Grant(bytes) => (GRANT, bytes),
            Self::Unblock => (UNBLOCK, 0),
        };
        let [a, b, c, d] = number.to_be_bytes();
        [kind, a, b, c, d]
    }
}

/// Decodes control frames from chunks of any size. Frames of an unknown kind are skipped.
#[derive(Debug, Default)]
pub struct ControlDecoder {
    partial: [u8; ControlFrame::LENGTH],
    filled: usize,
}

impl ControlDecoder {
    /// Decodes a chunk, and calls `frame` for each frame that it completes.
    pub fn receive(&mut self, input: &[u8], mut frame: impl FnMut(ControlFrame)) {
        for &byte in input {
            self.partial[self.filled] = byte;
            self.filled += 1;
            if self.filled == ControlFrame::LENGTH {
                self.filled = 0;
                let [kind, a, b, c, d] = self.partial;
                match kind {
                    GRANT => frame(ControlFrame::Grant(u32::from_be_bytes([a, b, c, d]))),
                    UNBLOCK => frame(ControlFrame::Unblock),
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
        bytes.extend(ControlFrame::Grant(0x0102_0304).encode());
        bytes.extend([9, 0, 0, 0, 0]);
        bytes.extend(ControlFrame::Unblock.encode());
        assert_eq!(bytes[..5], [1, 1, 2, 3, 4]);
        for split in 0..bytes.len() {
            let mut decoder = ControlDecoder::default();
            let mut seen = Vec::new();
            decoder.receive(&bytes[..split], |c| seen.push(c));
            decoder.receive(&bytes[split..], |c| seen.push(c));
            assert_eq!(
                seen,
                [ControlFrame::Grant(0x0102_0304), ControlFrame::Unblock]
            );
        }
    }
}
