//! Unpacks a Docker engine from Debian's packages, without installing it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::peer::Peer;
use crate::process::{on_path, output};

/// The engine, what it runs, and a shell for images.
const PACKAGES: [&str; 5] = [
    "docker.io",
    "containerd",
    "runc",
    "iptables",
    "busybox-static",
];

/// Unpacks the packages below `folder` and returns the engine's program, `usr/sbin/dockerd`
/// of the directory with all of them. The versions are those that this Debian provides: apt
/// verifies them, and older ones cannot be downloaded.
///
/// # Errors
/// Fails when files cannot be written below `folder`.
pub(crate) fn get(folder: &Path) -> Result<Peer> {
    let root = folder.join("engine");
    let program = root.join("usr/sbin/dockerd");
    if let Ok(what) = fs::read_to_string(root.join("versions")) {
        return Ok(Peer::had(program, what));
    }
    for needed in ["apt-get", "dpkg"] {
        if !on_path(needed) {
            return Ok(Peer::missing(format!("there is no {needed} command")));
        }
    }
    // Renamed when complete, so that an interrupted run leaves nothing that looks complete.
    let new = tempfile::tempdir_in(folder).context("make a directory for the engine")?;
    println!("$ apt-get download {}", PACKAGES.join(" "));
    let mut download = Command::new("apt-get");
    download.args(["download", "-q"]).args(PACKAGES);
    let downloaded = output(download.current_dir(new.path()))?;
    if !downloaded.status.success() {
        let reason = String::from_utf8_lossy(&downloaded.stderr);
        let reason = reason.lines().last().unwrap_or_default().to_owned();
        return Ok(Peer::missing(format!(
            "Debian's packages cannot be downloaded: {reason}"
        )));
    }
    let mut versions = Vec::new();
    for entry in fs::read_dir(new.path())? {
        let path = entry?.path();
        let unpacked = output(Command::new("dpkg").arg("-x").arg(&path).arg(new.path()))?;
        if !unpacked.status.success() {
            let reason = String::from_utf8_lossy(&unpacked.stderr).into_owned();
            return Ok(Peer::missing(format!("dpkg cannot unpack: {reason}")));
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut fields = name.split('_');
        if let (Some(package), Some(version)) = (fields.next(), fields.next()) {
            versions.push(format!("{package} {}", version.replace("%3a", ":")));
        }
        fs::remove_file(&path)?;
    }
    versions.sort();
    let what = versions.join(", ");
    fs::write(new.path().join("versions"), &what)?;
    let _ = fs::remove_dir_all(&root);
    fs::rename(new.keep(), &root).with_context(|| format!("make {}", root.display()))?;
    Ok(Peer::had(program, what))
}
