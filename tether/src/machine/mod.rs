//! Runs the agent as the first process of a machine.

mod button;
mod dhcp;
mod keys;
mod leased_card;
mod lines;
mod network;
mod platform;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tether_sys::SysError;

use self::button::PowerButton;
use self::lines::SerialLines;
pub use self::network::fixed_link;
use self::platform::OwnMachine;
use crate::agent::Agent;
use crate::supervisor::Supervisor;

/// Runs a container's machine as its first process, from boot to power-off; see the
/// [crate's documentation](crate#as-the-first-process-of-a-machine).
///
/// # Errors
/// Fails in a process other than the first, and when the machine cannot be switched off. Never
/// returns otherwise.
pub fn run_machine() -> Result<Infallible, SysError> {
    tether_sys::run_machine(|socket, notes| match run(socket, notes) {
        Ok(()) => 0,
        Err(error) => {
            // The keys may be inaccessible, so the error is printed on the console.
            let _ = writeln!(io::stderr(), "tether: {}", causes(&*error));
            1
        }
    })
}

fn run(socket: OwnedFd, notes: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let done = runtime.block_on(async {
        let keys = keys::find()?;
        let machine = OwnMachine::new(Supervisor::new(socket)?, PowerButton::watch(), notes);
        let lines = Arc::new(SerialLines::find());
        Agent::new(Arc::new(machine), lines, keys).run().await?;
        Ok(())
    });
    // Does not wait for the thread that watches the power button.
    runtime.shutdown_background();
    done
}

/// Formats an error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
