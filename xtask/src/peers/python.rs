//! Installs the pinned Python packages into a separate virtual environment.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::lock::{Lock, Pin};
use super::peer::Peer;
use crate::process::{on_path, output};

/// Installs the pinned packages below `folder` and returns their Python.
///
/// # Errors
/// Fails when files cannot be written below `folder`.
pub(crate) fn get(lock: &Lock, folder: &Path) -> Result<Peer> {
    let pins: Vec<&Pin> = lock.pins("pypi").collect();
    let names = pins
        .iter()
        .map(|pin| format!("{} {}", pin.name, pin.version));
    let what = names.collect::<Vec<_>>().join(", ");
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    if has(&python, &pins) {
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

    // pip accepts checksums only in a requirements file.
    let requirements = folder.join("requirements.txt");
    let mut lines = String::new();
    for pin in pins {
        let checksum = pin.checksum.as_deref();
        let checksum = checksum.context("pypi peers are pinned with a checksum")?;
        writeln!(lines, "{}=={} --hash={checksum}", pin.name, pin.version)?;
    }
    fs::write(&requirements, lines).with_context(|| format!("write {}", requirements.display()))?;
    println!("$ pip install {what}");
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

/// Returns whether `python` imports exactly these packages.
fn has(python: &Path, pins: &[&Pin]) -> bool {
    if !python.is_file() {
        return false;
    }
    let mut script = "import importlib.metadata as m".to_owned();
    for Pin { name, version, .. } in pins {
        let _ = write!(script, "; assert m.version('{name}') == '{version}'");
    }
    output(Command::new(python).args(["-c", &script])).is_ok_and(|done| done.status.success())
}
