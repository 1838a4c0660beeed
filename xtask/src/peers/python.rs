//! Installs pyvmomi into a virtual environment of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::lock::Lock;
use super::peer::Peer;
use crate::process::{on_path, output};

/// Installs the pinned pyvmomi below `folder` and returns its Python.
///
/// # Errors
/// Fails when files cannot be written below `folder`.
pub(crate) fn get(lock: &Lock, folder: &Path) -> Result<Peer> {
    let pin = lock.pin("pypi")?;
    let what = format!("{} {}", pin.name, pin.version);
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    if version(&python, &pin.name) == Some(pin.version.clone()) {
        return Ok(Peer::had(python, what));
    }
    if !on_path("python3") {
        return Ok(Peer::missing("there is no Python (`python3`) on the PATH"));
    }

    println!(
        "$ python3 -m venv {}",
        environment.file_name().unwrap_or_default().display()
    );
    let made = output(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    if !made.status.success() {
        return Ok(Peer::missing(format!(
            "Python cannot make a virtual environment: {}",
            String::from_utf8_lossy(&made.stdout).trim()
        )));
    }

    // Only a requirements file can give pip a checksum.
    let requirements = folder.join("requirements.txt");
    let checksum = pin
        .checksum
        .as_deref()
        .context("pypi peers are pinned with a checksum")?;
    fs::write(
        &requirements,
        format!("{}=={} --hash={checksum}\n", pin.name, pin.version),
    )
    .with_context(|| format!("write {}", requirements.display()))?;
    println!("$ pip install {}=={}", pin.name, pin.version);
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]);
    let installed = output(install.arg("--requirement").arg(&requirements))?;
    if !installed.status.success() {
        return Ok(Peer::missing(format!(
            "pip cannot install {what}: {}",
            String::from_utf8_lossy(&installed.stderr).trim()
        )));
    }
    Ok(Peer::had(python, what))
}

/// Returns the version of `package` that `python` imports.
fn version(python: &Path, package: &str) -> Option<String> {
    if !python.is_file() {
        return None;
    }
    let script = format!("import importlib.metadata as m; print(m.version('{package}'))");
    let output = output(Command::new(python).args(["-c", &script])).ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
