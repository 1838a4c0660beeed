//! Programs that are installed, or unpacked from Debian's packages.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::{capture, on_path, run};

/// A package's programs.
#[derive(Debug)]
pub(super) struct Package {
    /// The directory with the unpacked packages; `None` if the package is installed.
    root: Option<PathBuf>,
}

impl Package {
    /// Returns OpenSSH's client; see [`get`](Self::get).
    pub(super) fn openssh(folder: &Path) -> Result<Self, String> {
        let found = Self::get(folder, "openssh-client", "ssh")?;
        capture(found.on_path(Command::new("ssh").arg("-V")))
            .map_err(|error| format!("the unpacked ssh does not run: {error:#}"))?;
        Ok(found)
    }

    /// Returns the programs that map subordinate ids, which must belong to root and run as root; see
    /// [`get`](Self::get).
    pub(super) fn uidmap(folder: &Path) -> Result<Self, String> {
        Self::get(folder, "uidmap", "newuidmap")
    }

    /// Returns the package of an installed program, or the one in `folder`; downloads and unpacks it
    /// the first time. This does not require root.
    ///
    /// # Errors
    /// Returns the reason why there is no such program, for [`Report::not_run`].
    ///
    /// [`Report::not_run`]: super::report::Report::not_run
    fn get(folder: &Path, package: &str, program: &str) -> Result<Self, String> {
        if on_path(program) {
            return Ok(Self { root: None });
        }
        let root = folder.join(package);
        if !root.is_dir() {
            for needed in ["apt-get", "apt-cache", "dpkg-deb", "dpkg-query"] {
                if !on_path(needed) {
                    return Err(format!(
                        "{program} is not installed, and {needed}, which downloads it, neither"
                    ));
                }
            }
            unpack(package, folder, &root)
                .map_err(|error| format!("cannot download {package}: {error:#}"))?;
        }
        Ok(Self { root: Some(root) })
    }

    /// Makes the programs available to a command by their names.
    pub(super) fn on_path<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let Some(root) = &self.root else {
            return command;
        };
        let with = |first: Vec<PathBuf>, name: &str| -> OsString {
            let rest = env::var_os(name).unwrap_or_default();
            let all = first.into_iter().chain(env::split_paths(&rest));
            env::join_paths(all).unwrap_or(rest.clone())
        };
        let mut libraries = Vec::new();
        for directory in ["usr/lib", "lib"] {
            let entries = fs::read_dir(root.join(directory)).into_iter().flatten();
            let directories = entries.flatten().map(|entry| entry.path());
            libraries.extend(directories.filter(|path| path.is_dir()));
        }
        command
            .env("PATH", with(vec![root.join("usr/bin")], "PATH"))
            .env("LD_LIBRARY_PATH", with(libraries, "LD_LIBRARY_PATH"))
    }
}

/// Downloads and unpacks the package, and those it depends on that are not installed.
fn unpack(package: &str, folder: &Path, root: &Path) -> Result<()> {
    let options = [
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ];
    let depends = capture(
        Command::new("apt-cache")
            .arg("depends")
            .args(options)
            .arg(package),
    )?;
    // Packages are at the start of a line, and their dependencies are indented. A virtual package is
    // in angle brackets.
    let names = depends
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let missing: Vec<_> = names.filter(|name| !is_installed(name)).collect();
    ensure!(
        missing.contains(&package),
        "the package is installed, but lacks the program"
    );
    println!("downloading {}", missing.join(", "));
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let download = tempfile::tempdir_in(folder).context("create a folder for packages")?;
    run(Command::new("apt-get")
        .args(["download", "-q"])
        .args(missing)
        .current_dir(download.path())
        .stdout(Stdio::null()))?;
    let unpacked = tempfile::tempdir_in(folder).context("create a folder for the programs")?;
    for package in fs::read_dir(download.path()).context("list the packages")? {
        let package = package.context("list the packages")?.path();
        let mut unpack = Command::new("dpkg-deb");
        run(unpack.arg("-x").arg(package).arg(unpacked.path()))?;
    }
    // Renamed last, so that an interrupted download is not mistaken for the package.
    fs::rename(unpacked.keep(), root).with_context(|| format!("create {}", root.display()))
}

fn is_installed(package: &str) -> bool {
    let status = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    status.is_ok_and(|output| output.stdout == b"installed")
}
