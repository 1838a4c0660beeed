//! The agent's commands, which clients start as programs in the guest.

use simulator::{GuestProgram, GuestProgramRefusal};
use tether::{Platform as _, Sessions, signal_number};

use crate::platform::MachinePlatform;

/// Executes `kill`, which signals the process of the session that is passed as the user (or of
/// the only session), or `group-kill`, which signals all processes of the container.
pub(crate) async fn execute(
    command: GuestProgram,
    sessions: &Sessions,
    platform: &MachinePlatform,
) {
    let all = match command.path.as_str() {
        "kill" => false,
        "group-kill" => true,
        _ => return command.refuse(GuestProgramRefusal::NotFound),
    };
    let Some(signal) = signal_number(command.arguments.trim().trim_start_matches('-')) else {
        return command.refuse(GuestProgramRefusal::Arguments);
    };
    let sent = if all {
        platform
            .signal(0, signal)
            .await
            .map_err(|error| error.to_string())
    } else {
        match sessions.get(&command.user).or_else(|| sessions.only()) {
            Some(session) => session
                .signal(signal)
                .await
                .map_err(|error| error.to_string()),
            None => return command.refuse(GuestProgramRefusal::Login),
        }
    };
    match sent {
        Ok(()) => command.started(1),
        Err(error) => {
            tracing::debug!(error, signal, "a signal was not delivered");
            command.refuse(GuestProgramRefusal::State);
        }
    }
}
