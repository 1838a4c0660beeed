//! The handshake that starts every connection over a serial line.
//!
//! A serial line also carries whatever the guest's firmware and kernel print, and neither end
//! notices when the other one is replaced. Therefore the host (the *client*) and the guest
//! (the *server*) first agree on a position in the stream:
//!
//! ```text
//! client  16 p                      SYN, a random position
//! server  06 p+1 t                  ACK, and a token of its own
//! client  06 t+1                    ACK
//! server  06                        ACK: the payload follows
//! ```
//!
//! VIC 0.4 tests the line between the last two steps, because some lines translate or
//! drop control characters: the server sends [`LOSSINESS_TEST`], the client echoes it,
//! and only an exact echo is confirmed with `06`. The server chooses the [`Dialect`]; a
//! client recognizes it from the response.
//!
//! `15` (NAK) refuses a step. A client that gets no response calls [`Client::restart`],
//! about once a second. Both ends skip bytes that do not belong to the handshake, up to
//! [`MAX_NOISE`]. A step, except the last one, is accepted only if nothing follows it in the same
//! read, because its sender waits for the response, and noise does not. Noise can still look
//! like a handshake, so a client should check how the payload starts.
//!
//! [`Client`] and [`Server`] do no I/O: pass received bytes to `receive`, and send
//! what `take_output` returns.
//!
//! ```
//! use guest_io::handshake::{Client, Dialect, Server};
//!
//! let mut host = Client::new(7);
//! let mut guest = Server::new(Dialect::Vic1, 99);
//! while !(host.is_done() && guest.is_done()) {
//!     guest.receive(&host.take_output())?;
//!     host.receive(&guest.take_output())?;
//! }
//! # Ok::<(), guest_io::handshake::HandshakeError>(())
//! ```

mod client;
mod server;

pub use client::Client;
pub use server::Server;

/// Starts the handshake; the client's position follows.
pub const SYN: u8 = 0x16;
/// Confirms a step.
pub const ACK: u8 = 0x06;
/// Refuses a step.
pub const NAK: u8 = 0x15;

/// The bytes that a server of VIC 0.4 sends to test whether the line drops any.
pub const LOSSINESS_TEST: &[u8; 23] = b"\x1b[32mhello world\x1b[39m!\n";

/// The maximum number of bytes that do not belong to the handshake: 32 MiB, which is more than a
/// guest can have in flight to a previous host.
pub const MAX_NOISE: usize = 32 * 1024 * 1024;

/// The variant of the handshake, chosen by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// VIC 0.4, with the lossiness test.
    Vic04,
    /// VIC 1.x and this crate, without the test.
    Vic1,
}

/// The error of a failed handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// More than [`MAX_NOISE`] bytes did not belong to the handshake.
    #[error("the line carried more than {MAX_NOISE} bytes that do not belong to a handshake")]
    TooMuchNoise,
}

/// Counts the skipped bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Noise(usize);

impl Noise {
    fn skip(&mut self, bytes: usize) -> Result<(), HandshakeError> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_NOISE {
            return Err(HandshakeError::TooMuchNoise);
        }
        Ok(())
    }
}

/// Returns the number of bytes before `byte`, with which a step starts.
fn noise_before(byte: u8, input: &[u8]) -> usize {
    input.iter().position(|b| *b == byte).unwrap_or(input.len())
}
