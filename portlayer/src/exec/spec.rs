//! What a caller asks for.

use serde::{Deserialize, Serialize};

use crate::{ContainerId, Error, Resource, Result};

/// A virtual machine's name has at most 80 characters; the id's short form and a dash follow.
const NAME_MAX: usize = 64;
/// What fits a configuration value with room for its neighbours.
const TEXT_MAX: usize = 32 * 1024;

/// What is to run in a container, and on which path of which image.
///
/// ```
/// use portlayer::exec::Command;
///
/// let command = Command::new("/bin/echo").arg("hello").env("LANG", "C");
/// assert_eq!(command.args, ["hello"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program: a path in the image, or a name for the guest to look up in its `PATH`.
    pub path: String,
    /// The arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The environment, in order.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where it starts. `None`: the guest's default, the root directory.
    #[serde(default)]
    pub working_dir: Option<String>,
}

impl Command {
    /// This program without arguments.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: None,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The directory it starts in.
    #[must_use]
    pub fn working_dir(mut self, path: impl Into<String>) -> Self {
        self.working_dir = Some(path.into());
        self
    }
}

impl std::fmt::Display for Command {
    /// The program and its arguments, for people: not quoted for a shell.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

/// A container as it is asked for: a plain value, nothing happens before
/// [`Exec::create`](super::Exec::create).
///
/// ```
/// use portlayer::exec::{Command, ContainerSpec};
///
/// let spec = ContainerSpec {
///     memory_mib: 512,
///     ..ContainerSpec::new("jovial_ride", "hello-world", Command::new("/hello"))
/// };
/// assert!(spec.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its identity.
    pub id: ContainerId,
    /// Its name: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or a digit. Unique
    /// on its host.
    pub name: String,
    /// The image it is made from, as the user referred to it. It is recorded; turning it into a
    /// disk is the storage layer's work.
    pub image: String,
    /// What runs in it.
    pub command: Command,
    /// The network of its interface, by name. `None`: the host's bridge network.
    #[serde(default)]
    pub network: Option<String>,
    /// Virtual processors, at least 1.
    pub cpus: u32,
    /// Memory in MiB, at least 4 and a multiple of 4.
    pub memory_mib: u64,
}

impl ContainerSpec {
    /// A container with a new id on the host's bridge network, with 1 processor and 1024 MiB.
    pub fn new(name: impl Into<String>, image: impl Into<String>, command: Command) -> Self {
        Self {
            id: ContainerId::generate(),
            name: name.into(),
            image: image.into(),
            command,
            network: None,
            cpus: 1,
            memory_mib: 1024,
        }
    }

    /// Checks what can be checked without an endpoint. Every implementation does so first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] naming the first field that cannot be used.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, reason: &str| {
            Err(Error::invalid_argument(
                Resource::container(&self.name),
                field,
                reason,
            ))
        };
        let mut letters = self.name.bytes();
        if self.name.len() > NAME_MAX
            || !letters
                .next()
                .is_some_and(|first| first.is_ascii_alphanumeric())
            || !letters.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        {
            return refuse(
                "name",
                "a name has 1 to 64 letters, digits, '_', '.' and '-' and begins with a letter or \
                 a digit",
            );
        }
        if !is_text(&self.image) {
            return refuse(
                "image",
                "it is empty, too long or holds a control character",
            );
        }
        if self.network.as_deref().is_some_and(|name| !is_text(name)) {
            return refuse(
                "network",
                "it is empty, too long or holds a control character",
            );
        }
        if !is_text(&self.command.path) {
            return refuse(
                "command.path",
                "it is empty, too long or holds a control character",
            );
        }
        if self
            .command
            .working_dir
            .as_deref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            return refuse("command.working_dir", "it does not begin with '/'");
        }
        if self.command.args.iter().any(|arg| arg.contains('\0'))
            || self.command.args.iter().map(String::len).sum::<usize>() > TEXT_MAX
        {
            return refuse(
                "command.args",
                "they hold a NUL or are longer than 32 KiB together",
            );
        }
        let bad_variable = |(name, value): &(String, String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        };
        if self.command.env.iter().any(bad_variable)
            || self
                .command
                .env
                .iter()
                .map(|(n, v)| n.len() + v.len())
                .sum::<usize>()
                > TEXT_MAX
        {
            return refuse(
                "command.env",
                "a name is empty or holds '=', something holds a NUL, or they are longer than 32 \
                 KiB together",
            );
        }
        if self.cpus == 0 || self.cpus > i32::MAX as u32 {
            return refuse("cpus", "there must be at least 1");
        }
        if self.memory_mib == 0
            || !self.memory_mib.is_multiple_of(4)
            || self.memory_mib > i32::MAX as u64
        {
            return refuse("memory_mib", "it must be a multiple of 4, and not 0");
        }
        Ok(())
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::ErrorKind;

    fn spec() -> ContainerSpec {
        ContainerSpec::new("jovial_ride", "hello-world", Command::new("/hello"))
    }

    #[track_caller]
    fn refused(spec: &ContainerSpec, expected: &str) {
        match spec.validate() {
            Err(Error {
                kind: ErrorKind::InvalidArgument { field },
                ..
            }) => assert_eq!(field, expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_bad_field_is_named() {
        spec().validate().unwrap();
        for name in ["", "-a", "a b", "a/b", "ä", &"a".repeat(65)] {
            refused(
                &ContainerSpec {
                    name: name.into(),
                    ..spec()
                },
                "name",
            );
        }
        refused(
            &ContainerSpec {
                image: String::new(),
                ..spec()
            },
            "image",
        );
        refused(
            &ContainerSpec {
                network: Some(String::new()),
                ..spec()
            },
            "network",
        );
        refused(
            &ContainerSpec {
                command: Command::new(""),
                ..spec()
            },
            "command.path",
        );
        refused(&ContainerSpec { cpus: 0, ..spec() }, "cpus");
        refused(
            &ContainerSpec {
                memory_mib: 6,
                ..spec()
            },
            "memory_mib",
        );
        let command = Command::new("/x").env("A=B", "c");
        refused(&ContainerSpec { command, ..spec() }, "command.env");
        let command = Command::new("/x").arg("a\0b");
        refused(&ContainerSpec { command, ..spec() }, "command.args");
        let command = Command::new("/x").working_dir("here");
        refused(&ContainerSpec { command, ..spec() }, "command.working_dir");
    }

    #[test]
    fn json_round_trips() {
        let spec = ContainerSpec {
            command: Command::new("/a")
                .arg("b|c")
                .env("D", "e=f")
                .working_dir("/g"),
            ..spec()
        };
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ContainerSpec>(&json).unwrap(), spec);
    }
}
