//! The log of a container: what its processes wrote, as records in one file.
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
//! VIC always wrote stream 0; we write the real one. A record holds one line with its line
//! feed, or a part of a line that is longer, or was not finished when it was written.
//! VIC 0.4 wrote raw bytes: [`Format::Raw`].
//!
//! [`encode`] writes records, [`Decoder`] reads them from any number of pieces. [`Tail`] and
//! [`Seek`] find out where to start reading without reading the whole file: they name a
//! range of the file, and get its bytes. Nothing here does I/O.
//!
//! A log is written by a guest and not trusted. What is no record is skipped, and reported
//! as [`Item::Skipped`].
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
mod record;
mod rotate;
mod seek;
mod tail;

pub use decode::{Decoder, Item};
pub use record::{HEADER_LENGTH, MAX_DATA, Record, encode};
pub use rotate::{Rename, Rotation};
pub use seek::Seek;
pub use tail::{Start, Tail};

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Records, as VIC 1.x and we write them.
    Records,
    /// Bytes of both streams without any structure, as VIC 0.4 wrote them.
    Raw,
}

impl Format {
    /// Recognizes the format by how the file begins: give it the first
    /// [`HEADER_LENGTH`] bytes, or all that there are.
    ///
    /// Returns `None` while too few bytes are there to tell.
    pub fn recognize(beginning: &[u8]) -> Option<Self> {
        match beginning.first_chunk::<HEADER_LENGTH>() {
            Some(header) if record::Header::decode(header).is_some() => Some(Self::Records),
            Some(_) => Some(Self::Raw),
            None => None,
        }
    }
}

/// What a search in a log needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// The bytes of this range of the file: not empty, and at most
    /// [`BLOCK`] long.
    Read(std::ops::Range<u64>),
    /// Nothing more: the search has ended.
    Done(T),
}

/// The most that a search reads at a time: 64 KiB.
pub const BLOCK: u64 = 64 * 1024;
