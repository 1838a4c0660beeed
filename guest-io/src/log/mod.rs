//! The log of a container: the output of its processes, as records in one file.
//!
//! The guest appends to its second serial port, which is a file. The format is VIC's
//! `iolog`: each record is a header of [`HEADER_LENGTH`] characters, the base64 of ten
//! bytes, and up to [`MAX_DATA`] bytes of output:
//!
//! ```text
//! 8 bytes   little-endian, nanoseconds since 1970
//! 2 bytes   little-endian, length << 4 | stream << 3     (stream: 0 stdout, 1 stderr)
//! ```
//!
//! VIC always wrote stream 0; this crate writes the actual stream. A record contains one line with
//! its line feed, or part of a line that is too long or was not complete when it was written.
//! VIC 0.4 wrote raw bytes: [`Format::Raw`].
//!
//! At the end of a run, the agent writes a [final record](End), which VIC does not have.
//!
//! [`encode`] writes records, and [`Decoder`] reads them from chunks of any size. [`Tail`] and
//! [`Seek`] find the offset at which to start reading, without reading the whole file: they
//! request a range of the file, and the caller supplies its bytes. Nothing here does I/O.
//!
//! A log is written by a guest and not trusted. Bytes that are not a record are skipped, and
//! reported as [`Item::Skipped`].
//!
//! ```
//! use guest_io::Stream;
//! use guest_io::log::{Decoder, Format, Item, Record, encode};
//!
//! let mut file = Vec::new();
//! encode(Stream::Stderr, 1_467_000_000_000_000_000, b"no space left\n", &mut file);
//! let mut decoder = Decoder::new(Format::Records);
//! decoder.push(&file);
//! let Some(Item::Record(record)) = decoder.next() else { panic!() };
//! assert_eq!(record.stream, Stream::Stderr);
//! assert_eq!(&record.data[..], b"no space left\n");
//! ```

mod decode;
mod end;
mod record;
mod rotate;
mod seek;
mod tail;

pub use decode::{Decoder, Item};
pub use end::{End, Outcome, RunMark};
pub use record::{HEADER_LENGTH, MAX_DATA, Record, encode};
pub use rotate::{Rename, Rotation, part_name};
pub use seek::Seek;
pub use tail::{Start, Tail};

/// The format of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Records, as written by VIC 1.x and this crate.
    Records,
    /// Unstructured bytes of both streams, as written by VIC 0.4.
    Raw,
}

impl Format {
    /// Detects the format from the start of a file: pass the first
    /// [`HEADER_LENGTH`] bytes, or all if there are fewer.
    ///
    /// Returns `None` if there are too few bytes to detect it.
    pub fn recognize(beginning: &[u8]) -> Option<Self> {
        match beginning.first_chunk::<HEADER_LENGTH>() {
            Some(header) if record::Header::decode(header).is_some() => Some(Self::Records),
            Some(_) => Some(Self::Raw),
            None => None,
        }
    }
}

/// The next step of a search in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// The search needs the bytes of this range of the file, which is not empty and at most
    /// [`BLOCK`] long.
    Read(std::ops::Range<u64>),
    /// The search has ended with this result.
    Done(T),
}

/// The maximum number of bytes that a search requests at once: 64 KiB.
pub const BLOCK: u64 = 64 * 1024;
