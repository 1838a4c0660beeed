//! A long run of random operations and faults against the port layer.

use anyhow::Result;
use clap::Args as ClapArgs;

use crate::process;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The seed of the choices; random by default, and printed
    #[arg(long)]
    seed: Option<u64>,
    /// The number of operations of all clients together
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// Instead of random faults, inject each kind of fault at each request of each operation
    #[arg(long, conflicts_with_all = ["seed", "operations"])]
    every_request: bool,
}

/// Runs a long form of the port layer's `chaos` test.
///
/// # Errors
/// Fails if the test does.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut test = process::cargo([
        "test",
        "--package",
        "portlayer",
        "--test",
        "chaos",
        "--",
        "--ignored",
        "--exact",
        match args.every_request {
            true => "every_operation_is_interrupted_at_each_request",
            false => "a_long_run",
        },
        "--nocapture",
    ]);
    test.env("CHAOS_OPERATIONS", args.operations.to_string());
    if let Some(seed) = args.seed {
        test.env("CHAOS_SEED", seed.to_string());
    }
    process::run(&mut test)
}
