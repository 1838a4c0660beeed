//! The message protocol.

use crate::error::Error;
use crate::port::{Port, Registers, Status};

/// The longest message either side may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The protocol number of guest-to-host remote calls: `RPCI`.
const PROTOCOL: u32 = 0x4943_5052;
/// The flag that requests cookies, so that no other process can use the channel.
const WITH_COOKIES: u32 = 0x8000_0000;
/// The maximum number of attempts for an operation that checkpoints interrupt.
const ATTEMPTS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Step {
    Open = 0,
    SendSize = 1,
    SendPayload = 2,
    ReceiveSize = 3,
    ReceivePayload = 4,
    ReceiveStatus = 5,
    Close = 6,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open a channel",
            Self::SendSize => "take the size of a message",
            Self::SendPayload => "take a part of a message",
            Self::ReceiveSize => "give the size of its answer",
            Self::ReceivePayload => "give a part of its answer",
            Self::ReceiveStatus => "take note that its answer arrived",
            Self::Close => "close the channel",
        }
    }
}

/// Why one attempt of an operation stopped.
enum Stop {
    /// A checkpoint occurred, so the operation has to be repeated.
    Checkpoint,
    Failed(Error),
}

/// An open channel. It is closed when dropped.
#[derive(Debug)]
pub struct Channel<P: Port> {
    port: P,
    id: u32,
    cookies: (u32, u32),
    open: bool,
}

impl<P: Port> Channel<P> {
    /// Opens a channel, with cookies if the host supports them.
    ///
    /// # Errors
    /// Fails if the host does not open a channel.
    pub fn open(mut port: P) -> Result<Self, Error> {
        let mut status = Status(0);
        for argument in [PROTOCOL | WITH_COOKIES, PROTOCOL] {
            let result = port.call(Registers {
                eax: Registers::MAGIC,
                ebx: argument,
                ecx: Registers::MESSAGE | (Step::Open as u32) << 16,
                edx: Registers::PORT,
                ..Registers::default()
            });
            status = result.status();
            if status.has(Status::SUCCESS) {
                let cookies = if argument == PROTOCOL {
                    (0, 0)
                } else {
                    (result.esi, result.edi)
                };
                return Ok(Self {
                    port,
                    id: result.edx >> 16,
                    cookies,
                    open: true,
                });
            }
        }
        Err(Error::Open { status: status.0 })
    }

    /// Sends a message and receives the answer.
    ///
    /// # Errors
    /// Fails if the message or the answer is not transferred, or is longer than
    /// [`MAX_MESSAGE_BYTES`].
    pub fn call(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        if message.len() >= MAX_MESSAGE_BYTES {
            return Err(Error::TooLong {
                len: message.len(),
                max: MAX_MESSAGE_BYTES - 1,
            });
        }
        self.repeat(|channel| channel.send(message))?;
        self.repeat(Self::receive)
    }

    /// Closes the channel. Dropping it closes it too, but ignores errors.
    ///
    /// # Errors
    /// Fails if the host refuses to close the channel.
    pub fn close(mut self) -> Result<(), Error> {
        self.open = false;
        match self.step(Step::Close, 0) {
            Ok(_) => Ok(()),
            // A checkpoint has already closed the channel.
            Err(Stop::Checkpoint) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.step(Step::SendSize, message.len() as u32)?;
        for part in message.chunks(4) {
            // The last word is padded with zero bytes.
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            self.step(Step::SendPayload, u32::from_le_bytes(word))?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, Stop> {
        let announced = self.step(Step::ReceiveSize, 0)?;
        if !announced.status().has(Status::DO_RECEIVE) {
            return Err(Stop::Failed(Error::NoAnswer));
        }
        Self::expect(&announced, Step::ReceiveSize, Step::SendSize)?;
        let len = announced.ebx as usize;
        if len > MAX_MESSAGE_BYTES {
            // Tell the host that its response did not arrive. Best effort.
            let _ = self.step(Step::ReceiveStatus, 0);
            return Err(Stop::Failed(Error::TooLong {
                len,
                max: MAX_MESSAGE_BYTES,
            }));
        }
        let mut answer = Vec::with_capacity(len.next_multiple_of(4));
        while answer.len() < len {
            let part = self.step(Step::ReceivePayload, u32::from(Status::SUCCESS))?;
            Self::expect(&part, Step::ReceivePayload, Step::SendPayload)?;
            answer.extend_from_slice(&part.ebx.to_le_bytes());
        }
        answer.truncate(len);
        self.step(Step::ReceiveStatus, u32::from(Status::SUCCESS))?;
        Ok(answer)
    }

    /// Repeats an operation after checkpoints, a limited number of times.
    fn repeat<T>(
        &mut self,
        mut operation: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Error> {
        for _ in 0..ATTEMPTS {
            match operation(self) {
                Ok(value) => return Ok(value),
                Err(Stop::Checkpoint) => (),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        Err(Error::Interrupted { attempts: ATTEMPTS })
    }

    fn step(&mut self, step: Step, argument: u32) -> Result<Registers, Stop> {
        let result = self.port.call(Registers {
            eax: Registers::MAGIC,
            ebx: argument,
            ecx: Registers::MESSAGE | (step as u32) << 16,
            edx: Registers::PORT | self.id << 16,
            esi: self.cookies.0,
            edi: self.cookies.1,
        });
        let status = result.status();
        if status.has(Status::SUCCESS) {
            Ok(result)
        } else if status.has(Status::CHECKPOINT) {
            Err(Stop::Checkpoint)
        } else {
            Err(Stop::Failed(Error::Step {
                step: step.name(),
                status: status.0,
            }))
        }
    }

    /// Checks that the answer belongs to the expected step, which the host reports in
    /// `edx`.
    fn expect(result: &Registers, step: Step, expected: Step) -> Result<(), Stop> {
        let found = (result.edx >> 16) as u16;
        if found == expected as u16 {
            return Ok(());
        }
        Err(Stop::Failed(Error::WrongStep {
            step: step.name(),
            found,
        }))
    }
}

impl<P: Port> Drop for Channel<P> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.step(Step::Close, 0);
        }
    }
}
