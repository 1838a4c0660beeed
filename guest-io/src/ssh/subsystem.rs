//! Names of the subsystems that a host requests from a guest.

use std::fmt;

use super::{MAX_ID, MAX_PATH};

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
    /// `reload`: the agent reads its keys again. The response is a
    /// [report](super::ReloadReport).
    Reload,
    /// `vic-archive-out PATH`, `vic-archive-in PATH`: a [tar archive](super#archives), with
    /// [windows](super#control-frames) of its own.
    VicArchive(ArchiveDirection, &'a str),
    /// `archive-out PATH`, `archive-in PATH`: a [tar archive](super#archives), for any SSH client.
    Archive(ArchiveDirection, &'a str),
}

/// The direction of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveDirection {
    /// Out of the container.
    Out,
    /// Into the container.
    In,
}

impl<'a> Subsystem<'a> {
    /// Parses a name. Returns `None` if there is no such subsystem, or if the id of the session is
    /// [invalid](Self::is_id), or the path of the archive [is](Self::is_path).
    pub fn parse(name: &'a str) -> Option<Self> {
        let (verb, argument) = name.split_once(' ').unwrap_or((name, ""));
        let archive = |direction, make: fn(ArchiveDirection, &'a str) -> Self| {
            Self::is_path(argument).then(|| make(direction, argument))
        };
        match verb {
            "vic-attach" if Self::is_id(argument) => Some(Self::VicAttach(argument)),
            "attach" if Self::is_id(argument) => Some(Self::Attach(argument)),
            "container-ids" => Some(Self::ContainerIds),
            "version" => Some(Self::Version),
            "reload" => Some(Self::Reload),
            "vic-archive-out" => archive(ArchiveDirection::Out, Self::VicArchive),
            "vic-archive-in" => archive(ArchiveDirection::In, Self::VicArchive),
            "archive-out" => archive(ArchiveDirection::Out, Self::Archive),
            "archive-in" => archive(ArchiveDirection::In, Self::Archive),
            _ => None,
        }
    }

    /// Returns whether a text can be the id of a session: it is not empty, has at most [`MAX_ID`]
    /// bytes, and contains no blanks.
    pub fn is_id(text: &str) -> bool {
        !text.is_empty() && text.len() <= MAX_ID && !text.contains(char::is_whitespace)
    }

    /// Returns whether a text can be the path of an archive: it is absolute, has at most
    /// [`MAX_PATH`] bytes, and contains no NUL.
    pub fn is_path(text: &str) -> bool {
        text.starts_with('/') && text.len() <= MAX_PATH && !text.contains('\0')
    }
}

impl fmt::Display for Subsystem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VicAttach(id) => write!(f, "vic-attach {id}"),
            Self::Attach(id) => write!(f, "attach {id}"),
            Self::ContainerIds => f.write_str("container-ids"),
            Self::Version => f.write_str("version"),
            Self::Reload => f.write_str("reload"),
            Self::VicArchive(direction, path) => write!(f, "vic-archive-{direction} {path}"),
            Self::Archive(direction, path) => write!(f, "archive-{direction} {path}"),
        }
    }
}

impl fmt::Display for ArchiveDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "out",
            Self::In => "in",
        })
    }
}
