//! The agent's binary. As the first process of a machine, it runs the machine. Under the name
//! `tether-supervisor`, it is the first process of a container and receives requests over the
//! socket that is its standard input.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        let Err(error) = tether::run_machine();
        // The kernel panics when its first process ends, so the host sees the machine stop.
        let _ = writeln!(io::stderr(), "tether: {error}");
        return ExitCode::FAILURE;
    }
    if std::env::args_os().next().as_deref() != Some(OsStr::new("tether-supervisor")) {
        return ExitCode::from(2);
    }
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    match tether::sys::run_container(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
