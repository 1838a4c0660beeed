//! The guest's end of the handshake.

use super::{ACK, Dialect, HandshakeError, LOSSINESS_TEST, NAK, Noise, SYN, noise_before};

/// The guest's end, which responds to every start of the handshake.
#[derive(Debug, Clone)]
pub struct Server {
    dialect: Dialect,
    token: u8,
    state: State,
    noise: Noise,
    output: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for SYN.
    Idle,
    /// SYN was received; the position follows.
    Syn,
    /// The response was sent; waiting for the ACK.
    Answered,
    /// The ACK was received; our token follows.
    Ack,
    /// The line is tested; this many bytes of the echo were received and are correct.
    Echo(usize),
    Done,
}

impl Server {
    /// Creates a server that waits for a client. `token` should be random.
    pub fn new(dialect: Dialect, token: u8) -> Self {
        Self {
            dialect,
            token,
            state: State::Idle,
            noise: Noise::default(),
            output: Vec::new(),
        }
    }

    /// Processes bytes from the line, and returns how many of them belong to the
    /// handshake. After [`Server::is_done`] returns `true`, the rest is payload.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TooMuchNoise`] if the peer sends other data for too long.
    pub fn receive(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        let mut refused = false;
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.is_done() {
                return Ok(at);
            }
            if self.state == State::Idle {
                let noise = noise_before(SYN, &input[at..]);
                self.noise.skip(noise)?;
                at += noise;
                if noise > 0 {
                    refused = true;
                    continue;
                }
            }
            at += 1;
            refused |= self.step(byte, at == input.len())?;
        }
        // One NAK per read, and none if it contains a valid SYN.
        if refused && matches!(self.state, State::Idle) {
            self.output.push(NAK);
        }
        Ok(input.len())
    }

    /// Returns whether the handshake is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the bytes to send.
    #[must_use = "the peer waits for these bytes"]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Returns whether the byte is refused.
    fn step(&mut self, byte: u8, last: bool) -> Result<bool, HandshakeError> {
        let (state, refused) = match self.state {
            State::Idle if byte == SYN => (State::Syn, false),
            State::Syn if last => {
                // Discard an unsent response to an earlier attempt.
                self.output.clear();
                self.token = self.token.wrapping_add(0x5b);
                self.output
                    .extend_from_slice(&[ACK, byte.wrapping_add(1), self.token]);
                (State::Answered, false)
            }
            State::Answered if byte == ACK => (State::Ack, false),
            // The client retries.
            State::Answered if byte == SYN => (State::Syn, false),
            State::Ack if last && byte == self.token.wrapping_add(1) => match self.dialect {
                Dialect::Vic1 => {
                    self.output.push(ACK);
                    (State::Done, false)
                }
                Dialect::Vic04 => {
                    self.output.extend_from_slice(LOSSINESS_TEST);
                    (State::Echo(0), false)
                }
            },
            State::Echo(right) if byte == LOSSINESS_TEST[right] => {
                if right + 1 < LOSSINESS_TEST.len() {
                    (State::Echo(right + 1), false)
                } else {
                    self.output.push(ACK);
                    (State::Done, false)
                }
            }
            _ if byte == SYN => (State::Syn, false),
            _ => (State::Idle, true),
        };
        if refused {
            self.noise.skip(1)?;
        }
        self.state = state;
        Ok(refused)
    }
}
