//! Runs govc, which is configured by environment variables.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::endpoint::Endpoint;
use crate::process::capture;

/// A govc that connects to one endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Govc<'a> {
    program: &'a Path,
    endpoint: &'a Endpoint,
}

impl<'a> Govc<'a> {
    pub(super) fn new(program: &'a Path, endpoint: &'a Endpoint) -> Self {
        Self { program, endpoint }
    }

    /// Runs govc and returns what it printed.
    ///
    /// # Errors
    /// Fails when govc exits with a non-zero status.
    pub(super) fn run(self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.program);
        self.endpoint.set_user(&mut command);
        command.args(arguments).env("GOVC_URL", &self.endpoint.url);
        // A session that is cached on disk would outlive the endpoint.
        command
            .env("GOVC_INSECURE", "true")
            .env("GOVC_PERSIST_SESSION", "false");
        capture(&mut command)
    }

    /// Returns the line of a known-hosts file that pins the endpoint's certificate.
    ///
    /// # Errors
    /// Fails when govc cannot retrieve the certificate.
    pub(super) fn known_host(self) -> Result<String> {
        let printed = self.run(&["about.cert", "-thumbprint"])?;
        let line = printed
            .lines()
            .next()
            .context("govc about.cert printed nothing")?;
        Ok(format!("{line}\n"))
    }

    /// Returns the sorted inventory paths of all objects of one of govc's kinds (`m` for
    /// machines, `p` for pools).
    ///
    /// # Errors
    /// Fails when govc cannot list them.
    pub(super) fn find(self, kind: &str) -> Result<Vec<String>> {
        let mut paths: Vec<String> = self
            .run(&["find", "/", "-type", kind])?
            .lines()
            .map(str::to_owned)
            .collect();
        paths.sort_unstable();
        Ok(paths)
    }
}
