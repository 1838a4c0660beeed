//! Names of the subsystems that a host requests from a guest.

use std::fmt;

use super::MAX_ID;

/// A subsystem of the guest's SSH server. Displayed as its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subsystem<'a> {
    /// `vic-attach ID`: the streams of a session, with [windows](super#control-frames) of its own.
    VicAttach(&'a str),
    /// `attach ID`: the streams of a session, for any SSH client.
    Attach(&'a str),
    /// `container-ids`: the ids of the sessions, one per line.
    ContainerIds,
    /// `version`: the [version](super::VERSION) of the protocol.
    Version,
}

impl<'a> Subsystem<'a> {
    /// Parses a name. Returns `None` if there is no such subsystem, or if the id of the session is
    /// [invalid](Self::is_id).
    pub fn parse(name: &'a str) -> Option<Self> {
        let (verb, argument) = name.split_once(' ').unwrap_or((name, ""));
        match verb {
            "vic-attach" if Self::is_id(argument) => Some(Self::VicAttach(argument)),
            "attach" if Self::is_id(argument) => Some(Self::Attach(argument)),
            "container-ids" => Some(Self::ContainerIds),
            "version" => Some(Self::Version),
            _ => None,
        }
    }

    /// Returns whether a text can be the id of a session: it is not empty, has at most [`MAX_ID`]
    /// bytes, and contains no blanks.
    pub fn is_id(text: &str) -> bool {
        !text.is_empty() && text.len() <= MAX_ID && !text.contains(char::is_whitespace)
    }
}

impl fmt::Display for Subsystem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VicAttach(id) => write!(f, "vic-attach {id}"),
            Self::Attach(id) => write!(f, "attach {id}"),
            Self::ContainerIds => f.write_str("container-ids"),
            Self::Version => f.write_str("version"),
        }
    }
}
