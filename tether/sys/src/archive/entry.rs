//! An entry of a tar archive.

/// An entry whose headers have been read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name, as in the archive.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// The permissions, with the set-id bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// The extended attributes, by name.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The kind of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with this number of bytes, which follow.
    File(u64),
    #[default]
    Directory,
    Symlink(Vec<u8>),
    /// Another name of an earlier file.
    HardLink(Vec<u8>),
    Fifo,
    /// A device node: whether it is a block device, and its number.
    Device(bool, u32, u32),
}

/// Parses a time in seconds, with a fraction.
pub(super) fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_may_precede_the_epoch() {
        for (text, time) in [
            ("0", Some((0, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.0000000019", Some((12, 1))),
            ("-2.25", Some((-3, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("", None),
            ("1.x", None),
            ("1e3", None),
            ("9223372036854775808", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), time, "{text}");
        }
    }
}
