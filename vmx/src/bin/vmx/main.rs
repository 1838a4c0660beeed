//! `vmx`: read, explain and edit VMX files without losing a byte.

mod check;
mod devices;
mod diff;
mod file;
mod get;
mod lock;
mod output;
mod replace;
mod set;
mod show;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::Output;

/// Read, explain and edit VMX files without losing a byte.
///
/// FILE may be `-` for standard input. Files that VMware would refuse are read
/// nevertheless, and their problems are reported on standard error.
#[derive(Parser)]
#[command(name = "vmx", version)]
struct Arguments {
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// The encoding of files that declare none, as VMware names it.
    #[arg(long, global = true, value_name = "NAME", default_value = "UTF-8", value_parser = file::encoding)]
    encoding: vmx::Encoding,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(show::Show),
    Get(get::Get),
    Set(set::Set),
    Diff(diff::Diff),
    Check(check::Check),
    Devices(devices::Devices),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Standard output is line-buffered, so buffer it in larger blocks.
    let writer = io::BufWriter::new(io::stdout().lock());
    let mut output = Output::new(writer, arguments.json, arguments.encoding);
    let result = match &arguments.command {
        Command::Show(command) => command.run(&mut output),
        Command::Get(command) => command.run(&mut output),
        Command::Set(command) => command.run(&mut output),
        Command::Diff(command) => command.run(&mut output),
        Command::Check(command) => command.run(&mut output),
        Command::Devices(command) => command.run(&mut output),
    };
    match result.and_then(|code| output.finish().map(|()| code)) {
        Ok(code) => code,
        // The reader of our output has closed it, for example `head`.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}
