//! The process of a container.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Limit, Signal};

/// The process to run in a container, and its user.
///
/// ```
/// use portlayer::exec::Command;
///
/// let command = Command::new("/bin/echo").arg("hello").env("LANG", "C").user("nobody");
/// assert_eq!(command.args, ["hello"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Command {
    /// The program: a path in the root file system, or a name for the guest to look up in its
    /// `PATH`.
    pub path: String,
    /// The arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The environment variables as names and values, in order.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The working directory. `None`: the root directory.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// The user, by name or number. `None`: root.
    #[serde(default)]
    pub user: Option<String>,
    /// The group, by name or number. `None`: the user's own group.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether the process has a terminal. Standard output and error are then one stream.
    #[serde(default)]
    pub tty: bool,
    /// Whether standard input stays open, for a caller to attach to.
    #[serde(default)]
    pub open_stdin: bool,
    /// The signal that asks the process to exit. `None`: `TERM`.
    #[serde(default)]
    pub stop_signal: Option<Signal>,
    /// The limits of the process's resources. Those that are not listed are the guest's. Guests of
    /// VIC ignore them.
    #[serde(default)]
    pub limits: Vec<Limit>,
}

impl Command {
    /// Creates a command without arguments that runs as root, without a terminal and with standard
    /// input closed.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: None,
            user: None,
            group: None,
            tty: false,
            open_stdin: false,
            stop_signal: None,
            limits: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory, which must be an absolute path.
    #[must_use]
    pub fn working_dir(mut self, path: impl Into<String>) -> Self {
        self.working_dir = Some(path.into());
        self
    }

    /// Sets the user, by name or number.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the group, by name or number.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets whether the process has a terminal.
    #[must_use]
    pub fn tty(mut self, tty: bool) -> Self {
        self.tty = tty;
        self
    }

    /// Sets whether standard input stays open.
    #[must_use]
    pub fn open_stdin(mut self, open: bool) -> Self {
        self.open_stdin = open;
        self
    }

    /// Sets the signal that asks the process to exit.
    #[must_use]
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = Some(signal);
        self
    }

    /// Adds a limit of the process's resources. If the guest cannot set it, the start fails.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }
}

impl fmt::Display for Command {
    /// Prints the program and its arguments in readable form, without quoting them for a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}
