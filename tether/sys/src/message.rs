//! The messages between an agent and its supervisor.

use std::net::SocketAddr;

use crate::wire::{Reader, Writer};
use crate::{Archive, ContainerSetup, Launch};

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// The number of characters per line.
    pub columns: u16,
    /// The number of lines.
    pub rows: u16,
}

impl Default for TerminalSize {
    /// 80 by 24.
    fn default() -> Self {
        Self {
            columns: 80,
            rows: 24,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The process exited with this status.
    Code(i32),
    /// The process was ended by this signal, by its Linux number.
    Signal(i32),
    /// The kernel killed the process because the machine's memory ran out. Only the first process
    /// of a machine reports this; it is the signal `KILL` elsewhere.
    OutOfMemory,
}

impl Exit {
    /// Returns the status as in a shell: the exit status, or 128 plus the signal's number.
    ///
    /// ```
    /// assert_eq!(tether_sys::Exit::Signal(9).status(), 137);
    /// ```
    #[must_use]
    pub const fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
            Self::OutOfMemory => 128 + Self::KILL,
        }
    }

    /// Returns the Linux number of the signal that ended the process, if one did.
    #[must_use]
    pub const fn signal(self) -> Option<i32> {
        match self {
            Self::Code(_) => None,
            Self::Signal(signal) => Some(signal),
            Self::OutOfMemory => Some(Self::KILL),
        }
    }

    const KILL: i32 = 9;
}

/// The transport of a connection from inside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// A UDP socket that sends to one address and receives from it.
    Udp,
}

/// A request of the agent. `id` is returned in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Creates the container. Must be the first message, and must not be repeated.
    SetUp(Box<ContainerSetup>),
    /// Starts a process.
    Launch {
        /// The id of the request, chosen by the agent.
        id: u32,
        /// The process.
        launch: Box<Launch>,
    },
    /// Sends a signal.
    Signal {
        /// The id of the request, chosen by the agent.
        id: u32,
        /// The process id from [`Event::Launched`]; 0 for all
        /// processes of the container except the supervisor.
        pid: i32,
        /// The Linux number of the signal.
        signal: i32,
    },
    /// Replaces the content of one of [`ContainerSetup::files`].
    WriteFile {
        /// The id of the request, chosen by the agent.
        id: u32,
        /// The path, as in the setup.
        path: String,
        /// The new content.
        content: Vec<u8>,
    },
    /// Connects to an address from inside the container.
    Dial {
        /// The id of the request, chosen by the agent.
        id: u32,
        /// The transport.
        transport: Transport,
        /// The address.
        address: SocketAddr,
    },
    /// Starts the transfer of an archive, as a process.
    Archive {
        /// The id of the request, chosen by the agent.
        id: u32,
        /// The archive.
        archive: Box<Archive>,
    },
}

/// A report of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The container was created. The message contains the files of its network cards, from which
    /// the frames that it sends are read, and to which those that it receives are written.
    Ready {
        /// One sentence for each feature that the system refused.
        notes: Vec<String>,
        /// For each file, the index of the card in [`ContainerSetup::cards`].
        cards: Vec<u32>,
    },
    /// The process was started, or the transfer of an archive. The message contains its terminal's
    /// master, or the agent's ends of standard input (if it is open), output and error.
    Launched {
        /// The id of the request.
        id: u32,
        /// The process id in the container.
        pid: i32,
    },
    /// The signal was sent, the file was written, or the connection was started. In the last case
    /// the message contains a non-blocking socket, which becomes writable when the connection is established
    /// or has failed.
    Done {
        /// The id of the request.
        id: u32,
    },
    /// The request failed.
    Failed {
        /// The id of the request; 0 for the set-up.
        id: u32,
        /// The reason, as text.
        reason: String,
    },
    /// A process ended.
    Exited {
        /// The process id in the container.
        pid: i32,
        /// How the process ended.
        exit: Exit,
    },
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Self::SetUp(setup) => {
                to.u8(0);
                setup.encode(&mut to);
            }
            Self::Launch { id, launch } => {
                to.u8(1).u32(*id);
                launch.encode(&mut to);
            }
            Self::Signal { id, pid, signal } => {
                to.u8(2).u32(*id).i32(*pid).i32(*signal);
            }
            Self::Dial {
                id,
                transport,
                address,
            } => {
                let transport = match transport {
                    Transport::Tcp => 0,
                    Transport::Udp => 1,
                };
                to.u8(3).u32(*id).u8(transport);
                to.text(&address.to_string());
            }
            Self::WriteFile { id, path, content } => {
                to.u8(4).u32(*id).text(path).bytes(content);
            }
            Self::Archive { id, archive } => {
                to.u8(5).u32(*id);
                archive.encode(&mut to);
            }
        }
        to.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let request = match from.u8()? {
            0 => Self::SetUp(Box::new(ContainerSetup::decode(&mut from)?)),
            1 => Self::Launch {
                id: from.u32()?,
                launch: Box::new(Launch::decode(&mut from)?),
            },
            2 => Self::Signal {
                id: from.u32()?,
                pid: from.i32()?,
                signal: from.i32()?,
            },
            3 => Self::Dial {
                id: from.u32()?,
                transport: match from.u8()? {
                    0 => Transport::Tcp,
                    1 => Transport::Udp,
                    _ => return None,
                },
                address: from.socket_address()?,
            },
            4 => Self::WriteFile {
                id: from.u32()?,
                path: from.text()?,
                content: from.bytes()?,
            },
            5 => Self::Archive {
                id: from.u32()?,
                archive: Box::new(Archive::decode(&mut from)?),
            },
            _ => return None,
        };
        from.0.is_empty().then_some(request)
    }
}

impl Event {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Self::Ready { notes, cards } => {
                to.u8(0).list(notes, |to, note| {
                    to.text(note);
                });
                to.list(cards, |to, card| {
                    to.u32(*card);
                });
            }
            Self::Launched { id, pid } => {
                to.u8(1).u32(*id).i32(*pid);
            }
            Self::Done { id } => {
                to.u8(2).u32(*id);
            }
            Self::Failed { id, reason } => {
                to.u8(3).u32(*id).text(reason);
            }
            Self::Exited { pid, exit } => {
                let (kind, number) = match exit {
                    Exit::Code(code) => (0, *code),
                    Exit::Signal(signal) => (1, *signal),
                    Exit::OutOfMemory => (2, 0),
                };
                to.u8(4).i32(*pid).u8(kind).i32(number);
            }
        }
        to.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let event = match from.u8()? {
            0 => Self::Ready {
                notes: from.list(Reader::text)?,
                cards: from.list(Reader::u32)?,
            },
            1 => Self::Launched {
                id: from.u32()?,
                pid: from.i32()?,
            },
            2 => Self::Done { id: from.u32()? },
            3 => Self::Failed {
                id: from.u32()?,
                reason: from.text()?,
            },
            4 => Self::Exited {
                pid: from.i32()?,
                exit: match (from.u8()?, from.i32()?) {
                    (0, code) => Exit::Code(code),
                    (1, signal) => Exit::Signal(signal),
                    (2, 0) => Exit::OutOfMemory,
                    _ => return None,
                },
            },
            _ => return None,
        };
        from.0.is_empty().then_some(event)
    }
}
