//! A server to talk to: where it listens and who may log in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Background;

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who may log in, and how: something with characters that addresses and
/// shells treat in their own ways.
const USER: &str = "root";
const PASSWORD: &str = "V1rtual!&";

/// The password as a part of an address.
const PASSWORD_IN_ADDRESS: &str = "V1rtual%21%26";

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `https://127.0.0.1:port/sdk`, without a user.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    /// Where there is more than one of something, which one to take: variables
    /// as govc names them.
    pub(super) choices: &'static [(&'static str, &'static str)],
    _server: Background,
}

impl Endpoint {
    /// Starts vcsim, serving an ESX host or a vCenter.
    ///
    /// # Errors
    /// When it does not start, or prints no address.
    pub(super) fn vcsim(program: &Path, esx: bool) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([
            "-l",
            "127.0.0.1:0",
            "-stdinexit",
            "-username",
            USER,
            "-password",
            PASSWORD,
        ]);
        if esx {
            command.arg("-esx");
        }
        let mut server = Background::start(&mut command)?;
        let address = server.wait_for_line(PATIENCE, |line| {
            let (_, value) = line.split_once("GOVC_URL=")?;
            value.split_whitespace().next().map(str::to_owned)
        })?;
        let url = without_user(&address)
            .with_context(|| format!("understand the address that vcsim printed, `{address}`"))?;
        let choices: &[_] = if esx {
            &[]
        } else {
            &[
                ("GOVC_RESOURCE_POOL", "DC0_C0"),
                ("GOVC_NETWORK", "DC0_DVPG0"),
            ]
        };
        Ok(Self {
            choices,
            ..Self::new(url, server)
        })
    }

    /// Starts our simulator's command.
    ///
    /// # Errors
    /// When it does not start, or prints no address.
    pub(super) fn ours(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["--port", "0", "--user", USER])
            .env("SIMULATOR_PASSWORD", PASSWORD);
        let mut server = Background::start(&mut command)?;
        let url = server.wait_for_line(PATIENCE, |line| {
            line.strip_prefix("url ").map(str::to_owned)
        })?;
        Ok(Self::new(url, server))
    }

    fn new(url: String, server: Background) -> Self {
        Self {
            url,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            choices: &[],
            _server: server,
        }
    }

    /// The address with user and password in it.
    pub(super) fn with_user(&self) -> String {
        let place = self.url.trim_start_matches("https://");
        format!("https://{USER}:{PASSWORD_IN_ADDRESS}@{place}")
    }

    /// `command`, told by its environment who may log in, and by nothing else
    /// of the surroundings.
    pub(super) fn tell(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("GOVC_") || name.starts_with("VSPHERE_") {
                command.env_remove(name.as_ref());
            }
        }
        command
            .env("GOVC_USERNAME", &self.user)
            .env("GOVC_PASSWORD", &self.password);
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

/// An address without its user and password.
fn without_user(address: &str) -> Option<String> {
    let (_, place) = address.strip_prefix("https://")?.rsplit_once('@')?;
    Some(format!("https://{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_its_user() {
        let address = "https://root:V1rtual%21@127.0.0.1:40443/sdk";
        assert_eq!(
            without_user(address).as_deref(),
            Some("https://127.0.0.1:40443/sdk")
        );
        assert_eq!(without_user("127.0.0.1"), None);
    }
}
