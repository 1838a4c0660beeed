//! The agent's binary. Under the name `tether-supervisor` it is the first process of
//! a container, which receives requests over the socket that is its standard input.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

fn main() -> ExitCode {
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
