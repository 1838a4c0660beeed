//! The size of the agent's static binary.

use std::path::PathBuf;
use std::process::Command;

use super::line;

/// The target that is linked statically.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Builds the agent as its documentation says, and measures the file.
pub(super) fn measure() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(&root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "-p", "tether", "--features", "ssh", "--locked"])
        .args(["--profile", "tether", "--target", TRIPLE, "--quiet"])
        .status()
        .unwrap();
    assert!(built.success(), "the agent does not build: {built}");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let path = target.join(TRIPLE).join("tether/tether");
    let bytes = std::fs::metadata(&path).unwrap().len();
    line(
        "size of the agent's static binary with SSH, stripped",
        "4 MB",
        &format!("{:.2} MB", bytes as f64 / 1e6),
        bytes < 4_000_000,
    );
}
