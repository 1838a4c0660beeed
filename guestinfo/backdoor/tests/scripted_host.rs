//! Tests of the message protocol with a scripted host.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;

use guestinfo_backdoor::{Channel, Error, MAX_MESSAGE_BYTES, Port, Registers};

const SUCCESS: u32 = 0x0001_0000;
const DO_RECEIVE: u32 = 0x0002_0000;
const CHECKPOINT: u32 = 0x0010_0000;

const OPEN: u32 = 0;
const SEND_SIZE: u32 = 1;
const SEND_PAYLOAD: u32 = 2;
const RECEIVE_SIZE: u32 = 3;
const RECEIVE_PAYLOAD: u32 = 4;
const RECEIVE_STATUS: u32 = 5;
const CLOSE: u32 = 6;

/// A host that behaves as the hypervisor's documentation describes, with optional
/// deviations.
#[derive(Debug, Default)]
struct Host {
    answers: VecDeque<Vec<u8>>,
    /// Does not support cookies.
    old: bool,
    /// The steps, counted over all calls, at which a checkpoint occurs.
    checkpoints: Vec<usize>,
    /// The step that the host refuses.
    refuses: Option<u32>,
    /// Announces this size for the answer instead of the true one.
    announces: Option<u32>,
    /// Reports the wrong step when it answers.
    confused: bool,
    received: Vec<Vec<u8>>,
    open: Option<Open>,
    closed: usize,
    /// What the guest reported about receiving the answer.
    arrived: Vec<u32>,
    calls: usize,
}

#[derive(Debug)]
struct Open {
    cookies: (u32, u32),
    message: Vec<u8>,
    size: usize,
    answer: Vec<u8>,
    sent: usize,
}

impl Host {
    fn answering<const N: usize>(answers: [&[u8]; N]) -> Self {
        Self {
            answers: answers.map(<[u8]>::to_vec).into(),
            ..Self::default()
        }
    }
}

impl Port for Host {
    fn call(&mut self, mut registers: Registers) -> Registers {
        self.calls += 1;
        assert_eq!(registers.eax, Registers::MAGIC);
        assert_eq!(registers.ecx & 0xffff, Registers::MESSAGE);
        assert_eq!(registers.edx & 0xffff, Registers::PORT);
        let step = registers.ecx >> 16;
        let argument = registers.ebx;
        registers.ecx = 0;
        if self.refuses == Some(step) {
            return registers;
        }
        if step == OPEN {
            assert!(self.open.is_none(), "a channel is open already");
            let wants_cookies = argument & 0x8000_0000 != 0;
            assert_eq!(&(argument & 0x7fff_ffff).to_le_bytes(), b"RPCI");
            if self.old && wants_cookies {
                return registers;
            }
            let cookies = if wants_cookies {
                (0xdead, 0xbeef)
            } else {
                (0, 0)
            };
            (registers.esi, registers.edi) = cookies;
            registers.edx = 7 << 16 | Registers::PORT;
            registers.ecx = SUCCESS;
            self.open = Some(Open {
                cookies,
                message: Vec::new(),
                size: 0,
                answer: Vec::new(),
                sent: 0,
            });
            return registers;
        }
        assert_eq!(registers.edx >> 16, 7, "the channel's id");
        let open = self.open.as_mut().expect("an open channel");
        assert_eq!((registers.esi, registers.edi), open.cookies);
        if let Some(at) = self.checkpoints.iter().position(|at| *at == self.calls) {
            self.checkpoints.remove(at);
            registers.ecx = CHECKPOINT;
            return registers;
        }
        registers.ecx = SUCCESS;
        match step {
            SEND_SIZE => {
                open.message.clear();
                open.size = argument as usize;
            }
            SEND_PAYLOAD => {
                open.message.extend_from_slice(&argument.to_le_bytes());
                if open.message.len() >= open.size {
                    let padding = open.message.split_off(open.size);
                    assert!(padding.iter().all(|b| *b == 0) && padding.len() < 4);
                    self.received.push(open.message.clone());
                }
            }
            RECEIVE_SIZE => {
                open.sent = 0;
                // After a checkpoint, the guest requests the same answer again.
                if open.answer.is_empty() {
                    match self.answers.pop_front() {
                        Some(answer) => open.answer = answer,
                        None => return registers,
                    }
                }
                registers.ecx = SUCCESS | DO_RECEIVE;
                registers.ebx = self.announces.unwrap_or(open.answer.len() as u32);
                registers.edx = SEND_SIZE << 16;
            }
            RECEIVE_PAYLOAD => {
                let mut word = [0xff; 4];
                let rest = &open.answer[open.sent..];
                let len = rest.len().min(4);
                word[..len].copy_from_slice(&rest[..len]);
                open.sent += len;
                registers.ebx = u32::from_le_bytes(word);
                let said = if self.confused { CLOSE } else { SEND_PAYLOAD };
                registers.edx = said << 16;
            }
            RECEIVE_STATUS => {
                self.arrived.push(argument);
                open.answer.clear();
            }
            CLOSE => {
                self.closed += 1;
                self.open = None;
            }
            _ => panic!("step {step}"),
        }
        registers
    }
}

fn call(host: &mut Host, message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut channel = Channel::open(host)?;
    let answer = channel.call(message)?;
    channel.close()?;
    Ok(answer)
}

#[test]
fn messages_of_every_length_get_through() {
    for len in [1, 2, 3, 4, 5, 7, 8, 100] {
        let message: Vec<u8> = (0..len).map(|b| b as u8 + 1).collect();
        let mut host = Host::answering([&message]);
        assert_eq!(call(&mut host, &message).unwrap(), message);
        assert_eq!(host.received, [message]);
        assert_eq!((host.closed, host.arrived), (1, vec![1]));
    }
}

#[test]
fn a_channel_takes_several_messages() {
    let mut host = Host::answering([b"1 a", b"0 No value found"]);
    let mut channel = Channel::open(&mut host).unwrap();
    assert_eq!(channel.call(b"info-get guestinfo.a").unwrap(), b"1 a");
    assert_eq!(
        channel.call(b"info-get guestinfo.b").unwrap(),
        b"0 No value found"
    );
    drop(channel);
    assert_eq!(host.closed, 1);
}

#[test]
fn hosts_without_cookies_are_opened_without() {
    let mut host = Host {
        old: true,
        ..Host::answering([b"1 "])
    };
    assert_eq!(call(&mut host, b"x").unwrap(), b"1 ");
}

#[test]
fn a_checkpoint_at_any_step_repeats_the_operation() {
    let mut host = Host::answering([b"1 value"]);
    call(&mut host, b"info-get guestinfo.k").unwrap();
    let steps = host.calls;
    // Checkpoints while opening are not included, and closing needs no repetition.
    for at in 2..steps {
        let mut host = Host {
            checkpoints: vec![at],
            ..Host::answering([b"1 value"])
        };
        assert_eq!(
            call(&mut host, b"info-get guestinfo.k").unwrap(),
            b"1 value",
            "{at}"
        );
        assert_eq!(host.received.last().unwrap(), b"info-get guestinfo.k");
        assert_eq!(host.closed, 1);
    }
    // Two checkpoints, in different operations.
    let mut host = Host {
        checkpoints: vec![3, 15],
        ..Host::answering([b"1 value"])
    };
    assert_eq!(
        call(&mut host, b"info-get guestinfo.k").unwrap(),
        b"1 value"
    );
}

#[test]
fn checkpoints_without_end_are_an_error() {
    let mut host = Host {
        checkpoints: (2..100).collect(),
        ..Host::answering([b"1 value"])
    };
    assert_eq!(
        call(&mut host, b"x"),
        Err(Error::Interrupted { attempts: 8 })
    );
}

#[test]
fn every_refused_step_is_named_and_the_channel_is_closed() {
    for (refused, expected) in [
        (OPEN, Error::Open { status: 0 }),
        (
            SEND_SIZE,
            Error::Step {
                step: "take the size of a message",
                status: 0,
            },
        ),
        (
            SEND_PAYLOAD,
            Error::Step {
                step: "take a part of a message",
                status: 0,
            },
        ),
        (
            RECEIVE_SIZE,
            Error::Step {
                step: "give the size of its answer",
                status: 0,
            },
        ),
        (
            RECEIVE_PAYLOAD,
            Error::Step {
                step: "give a part of its answer",
                status: 0,
            },
        ),
        (
            RECEIVE_STATUS,
            Error::Step {
                step: "take note that its answer arrived",
                status: 0,
            },
        ),
        (
            CLOSE,
            Error::Step {
                step: "close the channel",
                status: 0,
            },
        ),
    ] {
        let mut host = Host {
            refuses: Some(refused),
            ..Host::answering([b"1 value"])
        };
        assert_eq!(call(&mut host, b"x"), Err(expected), "{refused}");
        let closed = usize::from(!matches!(refused, OPEN | CLOSE));
        assert_eq!(host.closed, closed, "{refused}");
    }
}

#[test]
fn no_answer_is_told_apart_from_an_empty_one() {
    let mut host = Host::default();
    assert_eq!(call(&mut host, b"x"), Err(Error::NoAnswer));
    let mut host = Host {
        announces: Some(0),
        ..Host::answering([b"ignored"])
    };
    assert_eq!(call(&mut host, b"x").unwrap(), b"");
}

#[test]
fn answers_to_another_step_are_errors() {
    let mut host = Host {
        confused: true,
        ..Host::answering([b"1 value"])
    };
    let error = call(&mut host, b"x").unwrap_err();
    assert_eq!(
        error,
        Error::WrongStep {
            step: "give a part of its answer",
            found: 6
        }
    );
}

#[test]
fn messages_of_64_kib_are_too_long_either_way() {
    let mut host = Host::answering([b"1 "]);
    let long = vec![b'x'; MAX_MESSAGE_BYTES];
    assert!(matches!(
        call(&mut host, &long),
        Err(Error::TooLong { len: 65536, .. })
    ));
    assert!(host.received.is_empty());
    assert_eq!(host.closed, 1);
    assert_eq!(call(&mut host, &long[1..]).unwrap(), b"1 ");

    let mut host = Host {
        announces: Some(u32::MAX),
        ..Host::answering([b"1 "])
    };
    assert!(matches!(call(&mut host, b"x"), Err(Error::TooLong { .. })));
    // The guest reports to the host that its answer did not arrive.
    assert_eq!((host.arrived, host.closed), (vec![0], 1));
}
