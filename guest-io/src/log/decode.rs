//! Decodes records from chunks of a file.

use bytes::{Buf, Bytes, BytesMut};

use super::record::{HEADER_LENGTH, Header, Record};
use super::{End, Format, MAX_DATA};
use crate::Stream;

/// The items that a [`Decoder`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A record; its data is never empty.
    Record(Record),
    /// The final record of a run. Records of the next run may follow.
    End(End),
    /// This many bytes do not belong to a record: the file is damaged, or a writer was
    /// interrupted.
    Skipped(u64),
}

/// Decodes records from chunks of a log.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    buffer: BytesMut,
    skipped: u64,
    consumed: u64,
}

impl Decoder {
    /// Creates a decoder that starts at the beginning of a record.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            buffer: BytesMut::new(),
            skipped: 0,
            consumed: 0,
        }
    }

    /// Adds the next bytes of the file. Take all items before the next call: pushed bytes
    /// stay in memory until they are taken.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next item; `None` until more bytes are pushed.
    #[expect(
        clippy::should_implement_trait,
        reason = "there can be more items after `None`"
    )]
    pub fn next(&mut self) -> Option<Item> {
        match self.format {
            Format::Raw => self.next_raw(),
            Format::Records => self.next_record(),
        }
    }

    /// Takes the last items at the end of the input, including the data of a record that was not
    /// written completely. Call it until it returns `None`.
    pub fn finish(&mut self) -> Option<Item> {
        if let Some(item) = self.next() {
            return Some(item);
        }
        let header =
            Header::at(&self.buffer, 0).filter(|header| self.skipped == 0 && header.last.is_none());
        if let Some(header) = header
            && self.buffer.len() > HEADER_LENGTH
        {
            self.advance(HEADER_LENGTH);
            let length = self.buffer.len();
            return Some(self.take(Some(header), length));
        }
        self.skip(self.buffer.len());
        self.report_skipped()
    }

    /// Returns the number of bytes of all items that were taken. A new decoder can continue at
    /// this offset, relative to the start of this one.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    fn next_raw(&mut self) -> Option<Item> {
        if self.buffer.is_empty() {
            return None;
        }
        let length = self.buffer.len().min(MAX_DATA);
        Some(self.take(None, length))
    }

    fn next_record(&mut self) -> Option<Item> {
        loop {
            let Some(first) = self.buffer.first_chunk::<HEADER_LENGTH>() else {
                // Skipped bytes are reported when the next record is found.
                return None;
            };
            let Some(header) = Header::decode(first) else {
                let next = self.resynchronize();
                self.skip(next);
                continue;
            };
            if let Some(skipped) = self.report_skipped() {
                return Some(skipped);
            }
            if self.buffer.len() < header.record_length() {
                return None;
            }
            self.advance(HEADER_LENGTH);
            if header.last.is_some() {
                let end = End::of(&header, &self.buffer[..header.length]);
                self.advance(header.length);
                if let Some(end) = end {
                    return Some(Item::End(end));
                }
            } else if header.length > 0 {
                return Some(self.take(Some(header), header.length));
            }
        }
    }

    /// Returns the distance to the next byte at which a header may start.
    fn resynchronize(&self) -> usize {
        // The last bytes may be the start of a header.
        let last = self.buffer.len().saturating_sub(HEADER_LENGTH - 1);
        (1..last)
            .find(|&at| Header::at(&self.buffer, at).is_some())
            .unwrap_or(last)
            .max(1)
    }

    fn take(&mut self, header: Option<Header>, length: usize) -> Item {
        self.consumed += length as u64;
        let data: Bytes = self.buffer.split_to(length).freeze();
        Item::Record(Record {
            stream: header.map_or(Stream::Stdout, |header| header.stream),
            time: header.map(|header| header.time),
            data,
        })
    }

    fn advance(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.consumed += bytes as u64;
    }

    fn skip(&mut self, bytes: usize) {
        self.advance(bytes);
        self.skipped += bytes as u64;
    }

    fn report_skipped(&mut self) -> Option<Item> {
        let skipped = std::mem::take(&mut self.skipped);
        (skipped > 0).then_some(Item::Skipped(skipped))
    }
}
