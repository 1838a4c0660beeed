//! HTTP range requests.

/// The part of a file that a request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file: the request has no range, or an unsupported one.
    Whole,
    /// The bytes from `first` to `last`.
    Bytes { first: u64, last: u64 },
    /// The range starts beyond the end of the file.
    Beyond,
}

impl Part {
    /// Parses a `Range` header for a file of `length` bytes. Multiple ranges are
    /// ignored, as RFC 9110 permits.
    pub(super) fn of(header: Option<&str>, length: u64) -> Self {
        let Some((first, last)) = header
            .and_then(|header| header.trim().strip_prefix("bytes="))
            .filter(|range| !range.contains(','))
            .and_then(|range| range.trim().split_once('-'))
        else {
            return Self::Whole;
        };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let (first, last) = match (first.trim(), last.trim()) {
            ("", count) => match number(count) {
                None => return Self::Whole,
                Some(0) => return Self::Beyond,
                Some(count) => (length.saturating_sub(count), length.saturating_sub(1)),
            },
            (first, "") => match number(first) {
                None => return Self::Whole,
                Some(first) => (first, length.saturating_sub(1)),
            },
            (first, last) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => {
                    (first, last.min(length.saturating_sub(1)))
                }
                _ => return Self::Whole,
            },
        };
        if first >= length {
            Self::Beyond
        } else {
            Self::Bytes { first, last }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part::{self, Beyond, Bytes, Whole};

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let bytes = |first, last| Bytes { first, last };
        for (header, part) in [
            ("bytes=0-4", bytes(0, 4)),
            ("bytes=5-", bytes(5, 9)),
            ("bytes=-3", bytes(7, 9)),
            ("bytes=-30", bytes(0, 9)),
            ("bytes=8-30", bytes(8, 9)),
            ("bytes=10-", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=5-4", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=a-b", Whole),
            ("bytes=-", Whole),
            ("lines=0-4", Whole),
            ("bytes=99999999999999999999-", Whole),
        ] {
            assert_eq!(Part::of(Some(header), 10), part, "{header}");
        }
        assert_eq!(Part::of(None, 10), Whole);
        assert_eq!(Part::of(Some("bytes=0-"), 0), Beyond);
        assert_eq!(Part::of(Some("bytes=-1"), 0), Beyond);
    }
}
