//! The header of an Ethernet frame.

/// A MAC address.
pub(super) type Mac = [u8; 6];

/// The size of the header: destination, source, type.
const HEADER: usize = 14;
/// The size of a VLAN tag, which a guest may add.
const TAG: usize = 4;

/// The addresses of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) destination: Mac,
    pub(super) source: Mac,
}

impl Frame {
    /// Parses the header of a frame; `None` if the frame is too short, or its sender is a group.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (destination, rest) = bytes.split_first_chunk()?;
        let (source, _) = rest.split_first_chunk()?;
        (bytes.len() >= HEADER && !is_group(source)).then_some(Self {
            destination: *destination,
            source: *source,
        })
    }

    /// Returns whether the frame is a broadcast or a multicast.
    pub(super) fn is_to_group(&self) -> bool {
        is_group(&self.destination)
    }
}

fn is_group(mac: &Mac) -> bool {
    mac[0] & 1 == 1
}

/// Returns the size of the longest frame with packets of `mtu` bytes.
pub(super) fn longest(mtu: usize) -> usize {
    mtu.saturating_add(HEADER + TAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_frames_are_not_parsed() {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let frame = Frame::parse(&bytes).expect("a frame");
        assert_eq!(frame.destination, [2, 0, 0, 0, 0, 1]);
        assert_eq!(frame.source, [2, 0, 0, 0, 0, 2]);
        assert!(!frame.is_to_group());
        for length in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..length]), None);
        }
        bytes[0] = 0xff;
        assert!(Frame::parse(&bytes).is_some_and(|frame| frame.is_to_group()));
        bytes[6] = 0xff;
        assert_eq!(Frame::parse(&bytes), None, "a group cannot be a sender");
    }
}
