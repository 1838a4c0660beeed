//! A server to talk to: where it listens and who may log in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Background;

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `https://127.0.0.1:port/sdk`, without a user.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    _server: Background,
}

impl Endpoint {
    /// Starts `command`, which prints its address as
    /// `GOVC_URL=https://user:password@host:port/sdk` once it listens.
    ///
    /// # Errors
    /// When it does not start, or prints no such address.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut server = Background::start(command)?;
        let address = server.wait_for_line(PATIENCE, address)?;
        let (url, user, password) = parts(&address).with_context(|| {
            format!("understand the address that the server printed, `{address}`")
        })?;
        Ok(Self {
            url,
            user,
            password,
            _server: server,
        })
    }

    /// Starts vcsim, serving an ESX host or a vCenter.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn vcsim(program: &Path, esx: bool) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([
            "-l",
            "127.0.0.1:0",
            "-stdinexit",
            "-username",
            "root",
            "-password",
            "V1rtual!",
        ]);
        if esx {
            command.arg("-esx");
        }
        Self::start(&mut command)
    }

    /// The authority of the address, `host:port`.
    pub(super) fn authority(&self) -> &str {
        self.url
            .trim_start_matches("https://")
            .split('/')
            .next()
            .unwrap_or_default()
    }
}

/// The value of `GOVC_URL` in a line for a shell.
fn address(line: &str) -> Option<String> {
    let (_, value) = line.split_once("GOVC_URL=")?;
    value.split_whitespace().next().map(str::to_owned)
}

/// The address without its user, the user, and the password.
fn parts(address: &str) -> Option<(String, String, String)> {
    let rest = address.strip_prefix("https://")?;
    let (who, place) = rest.rsplit_once('@')?;
    let (user, password) = who.split_once(':')?;
    Some((
        format!("https://{place}"),
        user.to_owned(),
        password.replace("%21", "!"),
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    #[test]
    fn an_address_is_taken_from_the_line_for_the_shell() {
        let line = "export GOVC_URL=https://root:V1rtual%21@127.0.0.1:40443/sdk GOVC_SIM_PID=1";
        let (url, user, password) = parts(&address(line).unwrap()).unwrap();
        assert_eq!(url, "https://127.0.0.1:40443/sdk");
        assert_eq!((user.as_str(), password.as_str()), ("root", "V1rtual!"));
        assert_eq!(address("listening"), None);
    }
}
