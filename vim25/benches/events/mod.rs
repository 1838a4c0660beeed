//! The baseline that the codec is compared with in the same run.

use std::hint::black_box;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Streams bare `quick-xml` `Reader` events, `from_str` in its default
/// configuration, and counts them.
pub(crate) fn count(xml: &str) -> usize {
    let mut reader = Reader::from_str(xml);
    let mut count = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => return count,
            event => {
                black_box(event);
                count += 1;
            }
        }
    }
}
