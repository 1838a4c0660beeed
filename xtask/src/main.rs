//! The project's development commands, run as `cargo xtask <command>`. Each command is
//! one file or one folder.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user through standard output and standard error"
)]

mod arrows;
mod bench_peers;
mod chaos;
mod ci;
mod codegen;
mod cost;
mod interop;
mod peers;
mod process;
mod record;
mod words;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The project's development commands
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Chore {
    /// Check that the crates depend on each other only as the architecture allows
    Arrows,
    /// Measure the Docker front end and a real engine
    BenchDocker(interop::docker::figures::Args),
    /// Compare the bindings' codec with other codecs, and with its targets
    BenchPeers(bench_peers::Args),
    /// Run random operations and faults against the port layer for minutes
    Chaos(chaos::Args),
    /// Run the gate that every change must pass
    Ci(ci::Args),
    /// Generate the Rust source of the vSphere API from its schema
    Codegen {
        /// Write nothing; fail when a generated file is not current
        #[arg(long)]
        check: bool,
    },
    /// Measure the build cost of the bindings, and fail when it exceeds its limits
    Cost,
    /// Run the interoperability suite with third-party clients and servers
    Interop(interop::Args),
    /// Run a command and print its cost: processor time, wall time, memory
    #[command(hide = true)]
    Measure {
        /// The command
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    /// Record vcsim's responses again, for the tests of the bindings
    Record,
    /// Record the first session of the Docker front end, for its documentation
    RecordDocker(interop::docker::recorded::Args),
    /// Create the schema of the vSphere API from a dump of the registry
    SchemaImport {
        /// The dump, a JSON file
        dump: PathBuf,
    },
    /// Count the words that our text avoids, and fail if there are more than recorded
    Words {
        /// Lower the recorded counts of crates that have fewer now
        #[arg(long)]
        write: bool,
        /// Print every occurrence
        #[arg(long, conflicts_with = "write")]
        list: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Chore::parse() {
        Chore::Arrows => arrows::run(),
        Chore::BenchDocker(args) => interop::docker::figures::start(&args),
        Chore::BenchPeers(args) => bench_peers::start(&args),
        Chore::Chaos(args) => chaos::run(&args),
        Chore::Ci(args) => ci::start(&args),
        Chore::Codegen { check } => codegen::run(check),
        Chore::Cost => cost::run(),
        Chore::Interop(args) => interop::start(&args),
        Chore::Measure { command } => cost::measure(&command),
        Chore::Record => record::start(),
        Chore::RecordDocker(args) => interop::docker::recorded::start(&args),
        Chore::SchemaImport { dump } => codegen::import(&dump),
        Chore::Words { list: true, .. } => words::list(),
        Chore::Words { write, .. } => words::run(write),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
