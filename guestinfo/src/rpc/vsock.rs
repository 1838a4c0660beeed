//! The framing of messages on a socket connected to the hypervisor.
//!
//! A frame is its length followed by fields; all numbers are big endian:
//!
//! ```text
//! u32 length of what follows
//! u32 type (1 number, 2 text)   u32 field   value
//!     number: u32 low word, u32 high word
//!     text:   u32 length, bytes
//! ```
//!
//! Field 1 is the kind of packet (1 data, 2 ping), field 2 the message, and field 3 asks
//! the host to close the connection after its answer.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

use super::MAX_MESSAGE_BYTES;
use super::rpci::Channel;

/// The port on which the hypervisor (context ID 0) accepts guest messages.
pub const VSOCK_PORT: u32 = 976;

const NUMBER: u32 = 1;
const TEXT: u32 = 2;
const FIELD_KIND: u32 = 1;
const FIELD_MESSAGE: u32 = 2;
const FIELD_FAST_CLOSE: u32 = 3;
const KIND_DATA: u64 = 1;

/// The maximum size of a frame; the fields around a message need less than the
/// difference.
const MAX_FRAME_BYTES: usize = MAX_MESSAGE_BYTES + 1024;
/// The maximum number of attempts when the connection is reset before a response.
const ATTEMPTS: usize = 8;

/// A channel over sockets to the hypervisor, one connection per message.
///
/// The caller opens the connections, with a crate that supports `AF_VSOCK`, and should
/// set timeouts on them. After a reset, the connection is opened again, up to 8 times,
/// because the host drops connections when it is busy; `info-get` and `info-set` may
/// safely be sent twice.
pub struct Vsock<F> {
    connect: F,
}

impl<F> Vsock<F> {
    /// Creates a channel that uses the streams returned by `connect`.
    pub const fn new(connect: F) -> Self {
        Self { connect }
    }
}

impl<F> fmt::Debug for Vsock<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vsock").finish_non_exhaustive()
    }
}

impl<F, S> Channel for Vsock<F>
where
    F: FnMut() -> io::Result<S>,
    S: Read + Write,
{
    fn call(&mut self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let mut attempt = 1;
        loop {
            match self.call_once(message) {
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionReset && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                result => return Ok(result?),
            }
        }
    }
}

impl<F, S> Vsock<F>
where
    F: FnMut() -> io::Result<S>,
    S: Read + Write,
{
    fn call_once(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = (self.connect)()?;
        stream.write_all(&frame(message))?;
        stream.flush()?;

        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(malformed("the answer is longer than 64 KiB"));
        }
        let mut fields = vec![0; length];
        stream.read_exact(&mut fields)?;
        message_of(&fields)
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut fields = Vec::with_capacity(message.len() + 64);
    push_number(&mut fields, FIELD_KIND, KIND_DATA);
    push_words(&mut fields, &[TEXT, FIELD_MESSAGE, message.len() as u32]);
    fields.extend_from_slice(message);
    push_number(&mut fields, FIELD_FAST_CLOSE, 1);
    let mut frame = (fields.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&fields);
    frame
}

fn push_number(fields: &mut Vec<u8>, field: u32, value: u64) {
    push_words(fields, &[NUMBER, field, value as u32, (value >> 32) as u32]);
}

fn push_words(fields: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        fields.extend_from_slice(&word.to_be_bytes());
    }
}

/// Returns the message in the fields of a frame. Unknown fields are skipped.
fn message_of(mut fields: &[u8]) -> io::Result<Vec<u8>> {
    let mut message = None;
    while !fields.is_empty() {
        let kind = take_word(&mut fields)?;
        let field = take_word(&mut fields)?;
        match kind {
            NUMBER => {
                let low = take_word(&mut fields)?;
                let high = take_word(&mut fields)?;
                let value = u64::from(low) | u64::from(high) << 32;
                if field == FIELD_KIND && value != KIND_DATA {
                    return Err(malformed("the answer is not a data packet"));
                }
            }
            TEXT => {
                let length = take_word(&mut fields)? as usize;
                let (text, rest) = fields
                    .split_at_checked(length)
                    .ok_or_else(|| malformed("a field is truncated"))?;
                fields = rest;
                if field == FIELD_MESSAGE {
                    message = Some(text.to_vec());
                }
            }
            _ => return Err(malformed("a field has an unknown type")),
        }
    }
    message.ok_or_else(|| malformed("the answer holds no message"))
}

fn take_word(fields: &mut &[u8]) -> io::Result<u32> {
    let (word, rest) = fields
        .split_first_chunk()
        .ok_or_else(|| malformed("a field is truncated"))?;
    *fields = rest;
    Ok(u32::from_be_bytes(*word))
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
