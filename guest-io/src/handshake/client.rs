//! The host's end of the handshake.

use super::{ACK, Dialect, HandshakeError, LOSSINESS_TEST, NAK, Noise, SYN, noise_before};

/// The host's end, which starts the handshake and retries it.
#[derive(Debug, Clone)]
pub struct Client {
    position: u8,
    state: State,
    dialect: Option<Dialect>,
    noise: Noise,
    output: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// SYN was sent; waiting for the ACK.
    Syn,
    /// The ACK was received; our position follows.
    Ack,
    /// Our position was received; the server's token follows.
    Position,
    /// Our ACK was sent; waiting for the last step.
    Last,
    /// The server tests the line; contains the part of the test that was received.
    Test(Vec<u8>),
    /// The test was echoed; waiting for the result.
    Verdict,
    Done,
}

impl Client {
    /// Starts a handshake at `position`, which should be random, so that the response to an
    /// older attempt cannot be mistaken for the response to this one.
    pub fn new(position: u8) -> Self {
        Self {
            position,
            state: State::Syn,
            dialect: None,
            noise: Noise::default(),
            output: vec![SYN, position],
        }
    }

    /// Sends SYN again, at another position. Call it when the server has refused or has not
    /// responded in time.
    ///
    /// Does nothing once the handshake is complete.
    pub fn restart(&mut self) {
        if self.is_done() {
            return;
        }
        self.position = self.position.wrapping_add(0x35);
        self.state = State::Syn;
        self.output.clear();
        self.output.extend_from_slice(&[SYN, self.position]);
    }

    /// Processes bytes from the line, and returns how many of them belong to the
    /// handshake. After [`Client::is_done`] returns `true`, the rest is payload.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TooMuchNoise`] if the peer sends other data for too long.
    pub fn receive(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if self.is_done() {
                return Ok(at);
            }
            if self.state == State::Syn {
                let noise = noise_before(ACK, &input[at..]);
                self.noise.skip(noise)?;
                at += noise;
                if noise > 0 {
                    continue;
                }
            }
            at += 1;
            self.step(byte, at == input.len())?;
        }
        Ok(input.len())
    }

    /// Returns whether the handshake is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns the server's dialect; `None` until the handshake is complete.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect.filter(|_| self.is_done())
    }

    /// Takes the bytes to send.
    #[must_use = "the peer waits for these bytes"]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn step(&mut self, byte: u8, last: bool) -> Result<(), HandshakeError> {
        let state = std::mem::replace(&mut self.state, State::Syn);
        self.state = match state {
            State::Syn if byte == ACK => State::Ack,
            State::Ack if byte == self.position.wrapping_add(1) => State::Position,
            State::Position if last => {
                self.output.extend_from_slice(&[ACK, byte.wrapping_add(1)]);
                State::Last
            }
            State::Last if byte == ACK => {
                self.dialect = Some(Dialect::Vic1);
                State::Done
            }
            State::Last if byte == LOSSINESS_TEST[0] => State::Test(vec![byte]),
            State::Test(mut test) => {
                test.push(byte);
                if test.len() < LOSSINESS_TEST.len() {
                    State::Test(test)
                } else {
                    // Echoes the received bytes, which the server compares with the test.
                    self.output.extend_from_slice(&test);
                    State::Verdict
                }
            }
            State::Verdict if byte == ACK => {
                self.dialect = Some(Dialect::Vic04);
                State::Done
            }
            // The server refused; `restart` starts the next attempt.
            State::Last | State::Verdict if byte == NAK => State::Syn,
            _ => {
                self.noise.skip(1)?;
                if byte == ACK { State::Ack } else { State::Syn }
            }
        };
        Ok(())
    }
}
