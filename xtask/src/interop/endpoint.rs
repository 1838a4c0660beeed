//! A running server that serves the vSphere API, with its address and user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Background;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user and password. The password has characters that URLs and shells treat
/// specially.
const USER: &str = "root";
const PASSWORD: &str = "V1rtual!&";

/// The password, escaped for a URL.
const PASSWORD_IN_ADDRESS: &str = "V1rtual%21%26";

/// The objects of vcsim's vCenter to use, as environment variables of govc.
const VCENTER: &[(&str, &str)] = &[
    ("GOVC_RESOURCE_POOL", "DC0_C0"),
    ("GOVC_NETWORK", "DC0_DVPG0"),
];

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `https://127.0.0.1:port/sdk`, without a user.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    /// Which object to use where the inventory has several, as environment variables of
    /// govc.
    pub(super) choices: &'static [(&'static str, &'static str)],
    _server: Background,
}

impl Endpoint {
    /// Starts vcsim, serving an ESX host or a vCenter.
    ///
    /// # Errors
    /// Fails when it does not start, or prints no address.
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
            .with_context(|| format!("parse the address that vcsim printed, `{address}`"))?;
        Ok(Self {
            choices: if esx { &[] } else { VCENTER },
            ..Self::new(url, server)
        })
    }

    /// Starts our simulator's command.
    ///
    /// # Errors
    /// Fails when it does not start, or prints no address.
    pub(super) fn ours(program: &Path, esx: bool) -> Result<Self> {
        // `hello_world` expects an empty host; a vCenter has the same inventory as vcsim's.
        match esx {
            true => Self::esx_with(program, &["-vm", "0"]),
            false => Self::vcenter_with(program, &[]),
        }
    }

    /// Starts our simulator's command as an ESXi host, with more arguments.
    ///
    /// # Errors
    /// Fails when it does not start, or prints no address.
    pub(super) fn esx_with(program: &Path, arguments: &[&str]) -> Result<Self> {
        Self::with(program, &[&["-esx"], arguments].concat(), &[])
    }

    /// Starts our simulator's command as a vCenter, with more arguments.
    ///
    /// # Errors
    /// Fails when it does not start, or prints no address.
    pub(super) fn vcenter_with(program: &Path, arguments: &[&str]) -> Result<Self> {
        Self::with(program, arguments, VCENTER)
    }

    fn with(
        program: &Path,
        model: &[&str],
        choices: &'static [(&'static str, &'static str)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["-l", "127.0.0.1:0", "-username", USER])
            .args(model)
            .env("SIMULATOR_PASSWORD", PASSWORD);
        let mut server = Background::start(&mut command)?;
        let url = server.wait_for_line(PATIENCE, |line| {
            line.strip_prefix("url ").map(str::to_owned)
        })?;
        Ok(Self {
            choices,
            ..Self::new(url, server)
        })
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

    /// Returns the URL including user and password.
    pub(super) fn with_user(&self) -> String {
        let rest = self.url.trim_start_matches("https://");
        format!("https://{USER}:{PASSWORD_IN_ADDRESS}@{rest}")
    }

    /// Sets the endpoint's user and password in the environment of `command`, and removes
    /// all other variables of govc and of ours.
    pub(super) fn set_user(&self, command: &mut Command) {
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

    /// Returns the authority of the URL, `host:port`.
    pub(super) fn authority(&self) -> &str {
        self.url
            .trim_start_matches("https://")
            .split('/')
            .next()
            .unwrap_or_default()
    }
}

/// Returns a URL without its user and password.
fn without_user(address: &str) -> Option<String> {
    let (_, rest) = address.strip_prefix("https://")?.rsplit_once('@')?;
    Some(format!("https://{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_removed_from_a_url() {
        let address = "https://root:V1rtual%21@127.0.0.1:40443/sdk";
        assert_eq!(
            without_user(address).as_deref(),
            Some("https://127.0.0.1:40443/sdk")
        );
        assert_eq!(without_user("127.0.0.1"), None);
    }
}
