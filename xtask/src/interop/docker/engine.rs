//! Runs a real Docker engine in separate namespaces.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::command::Docker;
use super::registry::Registry;
use crate::peers::Peer;
use crate::process::{Background, is_root, on_path};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs as the first process of the namespaces. It ends at the end of its input, and with it all
/// processes in them. `$1` is a directory, `$2` a registry's configuration or empty.
const SCRIPT: &str = r#"
mount --make-rprivate /
ip link set lo up
[ -z "$2" ] || docker-registry serve "$2" >"$1/registry.log" 2>&1 &
dockerd --data-root "$1/data" --exec-root "$1/run" --pidfile "$1/pid" \
    -H "unix://$1/docker.sock" >"$1/log" 2>&1 &
cat >/dev/null
"#;

/// A running engine; dropping it ends it and its containers.
#[derive(Debug)]
pub(super) struct Engine {
    directory: tempfile::TempDir,
    _namespaces: Background,
}

impl Engine {
    /// Returns the reason why an engine cannot be started here, if one is known.
    pub(super) fn missing(peer: &Peer) -> Option<String> {
        if let Peer::Missing { reason } = peer {
            return Some(format!("there is no real engine: {reason}"));
        }
        if !is_root() {
            return Some("only root can start a real engine".into());
        }
        ["unshare", "ip"]
            .into_iter()
            .find(|program| !on_path(program))
            .map(|program| format!("{program}, which starts a real engine, is not installed"))
    }

    /// Starts the engine. With a registry, another one with the same images and address runs
    /// in the engine's network namespace.
    ///
    /// # Errors
    /// Fails with the last lines of its log when it does not respond.
    pub(super) fn start(program: &Path, registry: Option<&Registry>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let programs = program.parent().unwrap_or(program);
        let mut path = programs.as_os_str().to_owned();
        for more in [programs.with_file_name("bin").as_os_str()]
            .into_iter()
            .chain(std::env::var_os("PATH").as_deref())
        {
            path.push(":");
            path.push(more);
        }
        let mut command = Command::new("unshare");
        command
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ])
            .args(["sh", "-c", SCRIPT, "engine"])
            .arg(directory.path())
            .arg(registry.map(Registry::config).unwrap_or_default())
            .env("PATH", path);
        let engine = Self {
            _namespaces: Background::start(&mut command)?,
            directory,
        };
        let start = Instant::now();
        while engine.docker().ok(["version"]).is_err() {
            if start.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(engine.directory.path().join("log"));
                let log = log.unwrap_or_default();
                let from = log.lines().count().saturating_sub(3);
                let last: Vec<&str> = log.lines().skip(from).collect();
                bail!("the engine does not respond: {}", last.join(" | "));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the engine does not say when it is ready"
            )]
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// Returns a docker command that connects to the engine.
    pub(super) fn docker(&self) -> Docker {
        Docker::on_socket(
            &self.directory.path().join("docker.sock"),
            self.directory.path().join("config"),
        )
    }
}
