//! Runs Debian's registry on loopback; skopeo pushes the images.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image;

use crate::process::{Background, on_path, run};

/// A registry; dropping it stops it.
#[derive(Debug)]
pub(super) struct Registry {
    address: String,
    directory: tempfile::TempDir,
    _server: Background,
}

impl Registry {
    /// Returns the reason why a registry cannot run here; `None` if it can.
    pub(super) fn missing() -> Option<String> {
        ["docker-registry", "skopeo", "umoci"]
            .into_iter()
            .find(|program| !on_path(program))
            .map(|program| format!("there is no {program} command"))
    }

    pub(super) fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        // If another program takes the port in between, the registry and the check fail.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = directory.path().join("config.yml");
        let storage = directory.path().join("storage");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: \
                 '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
                storage.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let server = Background::start(&mut command)?;
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if start.elapsed() > Duration::from_secs(30) {
                bail!("docker-registry does not listen on {address}");
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the registry does not say when it listens"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            address,
            directory,
            _server: server,
        })
    }

    /// Pushes an image with two layers under this name and tag, and returns its full name. Its
    /// command is `/hello`, which is `program`.
    pub(super) fn fill(&self, name: &str, program: &[u8]) -> Result<String> {
        let layout = self.directory.path().join("layout");
        let image = format!("{}:1", layout.display());
        let files = self.directory.path().join("files");
        std::fs::create_dir_all(&files)?;
        let umoci = |arguments: &[&str]| {
            run(Command::new("umoci").args(arguments)).context("make an image")
        };
        umoci(&["init", "--layout", &layout.display().to_string()])?;
        umoci(&["new", "--image", &image])?;
        let data = b"data".repeat(10_000);
        for (name, content) in [("hello", program), ("data", &data)] {
            let file = image::write(files.join(name), content)?;
            let target = format!("/{name}");
            umoci(&[
                "insert",
                "--image",
                &image,
                &file.display().to_string(),
                &target,
            ])?;
        }
        umoci(&[
            "config",
            "--image",
            &image,
            "--config.cmd",
            "/hello",
            "--os",
            "linux",
            "--architecture",
            "amd64",
        ])?;
        let name = format!("{}/{name}", self.address);
        run(Command::new("skopeo").args([
            "copy",
            "--quiet",
            "--insecure-policy",
            "--dest-tls-verify=false",
            &format!("oci:{image}"),
            &format!("docker://{name}"),
        ]))?;
        Ok(name)
    }

    /// Returns the configuration file, with which another registry can serve the same images.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.path().join("config.yml")
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Copies an image of this registry, under another name, to an archive in the format of
    /// `docker save`.
    pub(super) fn archive(&self, name: &str, new_name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join("archive.tar");
        run(Command::new("skopeo").args([
            "copy",
            "--quiet",
            "--insecure-policy",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &format!("docker-archive:{}:{new_name}", path.display()),
        ]))?;
        Ok(path)
    }
}
