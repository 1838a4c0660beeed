//! The project's own chores, run as `cargo xtask <chore>`: one file, or one
//! folder, per chore.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user through standard output and standard error"
)]

mod arrows;
mod workspace;

use anyhow::Result;
use clap::Parser;

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Chore {
    /// Check that the crates depend on each other only as the architecture allows.
    Arrows,
}

fn main() -> Result<()> {
    match Chore::parse() {
        Chore::Arrows => arrows::run(),
    }
}
