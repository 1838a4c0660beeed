//! Derives a container's state from a snapshot of its machine.

use crate::exec::Signal;
use crate::{Capabilities, Capability, ExitStatus, State};

/// Power state of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    Off,
    Suspended,
    /// The power state cannot be read.
    Unknown,
}

/// A snapshot of a machine. The power state and the keys that only the host can write are
/// trusted; everything else is reported by the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed<'a> {
    pub(crate) power: Power,
    /// Why the endpoint cannot work with the machine, if it cannot.
    pub(crate) unusable: Option<&'a str>,
    /// Host only: whether a start was recorded. The first start may not be recorded.
    pub(crate) begun: bool,
    /// Host only: the exit status of the last run, persisted when the machine was seen off.
    pub(crate) recorded: Option<ExitStatus>,
    /// The guest's report of the launch: empty before the launch, `true` after a successful one,
    /// otherwise the reason of the failure.
    pub(crate) started: &'a str,
    /// The guest's report of the exit status.
    pub(crate) status: Option<ExitStatus>,
}

/// The value of `started` after a successful launch.
const STARTED: &str = "true";

impl<'a> Observed<'a> {
    pub(crate) fn state(&self) -> State {
        if let Some(reason) = self.unusable {
            return State::Broken {
                reason: reason.to_owned(),
            };
        }
        match self.power {
            Power::Unknown => State::Unknown {
                reason: "the endpoint does not know whether its machine is on: the machine's host may not \
                         respond"
                    .into(),
            },
            Power::Suspended => State::Suspended,
            Power::On if self.started == STARTED => State::Running,
            Power::On => State::Starting,
            // For a machine that an operator powered on, only the guest's report exists.
            Power::Off if self.begun || self.recorded.is_some() || !self.started.is_empty() => {
                State::Stopped { exit: self.exit() }
            }
            Power::Off => State::Created,
        }
    }

    /// Returns why the process was not launched, as the guest reported it.
    pub(crate) fn failure(&self) -> Option<&'a str> {
        (!self.started.is_empty() && self.started != STARTED).then_some(self.started)
    }

    /// Returns the exit status that the guest reported, if any; the machine powers off next.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.status.filter(|_| self.started == STARTED)
    }

    fn exit(&self) -> ExitStatus {
        self.recorded
            .or_else(|| self.ended())
            .unwrap_or(match self.started {
                "" => ExitStatus::NeverOn,
                STARTED => ExitStatus::Lost,
                _ => ExitStatus::NotLaunched,
            })
    }
}

/// Returns the exit status for the number and the signal that a guest reported; signal 0 means
/// none. `oom` is its report that the kernel killed the process because memory ran out. A guest that does not report signals encodes them in the number, like a shell: 128 plus
/// the signal's number. `-1` is what VIC's guest writes for any signal, so the signal is unknown.
pub(crate) fn exit_of(status: i32, signal: Option<i32>, oom: bool) -> ExitStatus {
    let exit = exit_by_number(status, signal);
    if oom && exit == ExitStatus::KILLED {
        return ExitStatus::OutOfMemory;
    }
    exit
}

fn exit_by_number(status: i32, signal: Option<i32>) -> ExitStatus {
    match signal.map(u8::try_from) {
        Some(Ok(0)) => return ExitStatus::Code(status),
        Some(Ok(number)) => return ExitStatus::Signal(Signal::new(number).ok()),
        Some(Err(_)) | None => {}
    }
    match u8::try_from(status) {
        Ok(status @ 129..=192) => ExitStatus::Signal(Signal::new(status - 128).ok()),
        Err(_) if status == -1 => ExitStatus::Signal(None),
        _ => ExitStatus::Code(status),
    }
}

/// Adjusts a state for endpoints whose guests report nothing: a container is never `Running`, and
/// its exit status is unknown. Keys that claim otherwise were written by another program.
pub(crate) fn without_guest(state: State, capabilities: Capabilities) -> State {
    if capabilities.contains(Capability::GuestKeys) {
        return state;
    }
    match state {
        State::Running => State::Starting,
        State::Stopped { exit } if exit != ExitStatus::KILLED => State::Stopped {
            exit: ExitStatus::Lost,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(power: Power, started: &str, status: Option<i32>) -> Observed<'_> {
        Observed {
            power,
            unusable: None,
            begun: !started.is_empty(),
            recorded: None,
            started,
            status: status.map(|status| exit_of(status, None, false)),
        }
    }

    #[test]
    fn power_and_keys_give_the_state() {
        let stopped = |exit| State::Stopped { exit };
        for (power, started, status, expected) in [
            (Power::Off, "", None, State::Created),
            (Power::On, "", None, State::Starting),
            (Power::On, "true", None, State::Running),
            // The guest reports the exit before it powers off.
            (Power::On, "true", Some(3), State::Running),
            (Power::Off, "true", Some(3), stopped(ExitStatus::Code(3))),
            (Power::Off, "true", Some(0), stopped(ExitStatus::Code(0))),
            (
                Power::Off,
                "true",
                Some(143),
                stopped(ExitStatus::Signal(Some(Signal::TERM))),
            ),
            (
                Power::Off,
                "true",
                Some(-1),
                stopped(ExitStatus::Signal(None)),
            ),
            (Power::Off, "true", None, stopped(ExitStatus::Lost)),
            // A status without a start, or together with a launch failure, is not the process's
            // status.
            (
                Power::Off,
                "no such file",
                Some(0),
                stopped(ExitStatus::NotLaunched),
            ),
        ] {
            assert_eq!(
                machine(power, started, status).state(),
                expected,
                "{started} {status:?}"
            );
        }
    }

    #[test]
    fn a_guest_that_names_the_signal_is_not_guessed_at() {
        for (status, signal, expected) in [
            (143, Some(0), ExitStatus::Code(143)),
            (143, None, ExitStatus::Signal(Some(Signal::TERM))),
            (143, Some(9), ExitStatus::KILLED),
            (0, Some(15), ExitStatus::Signal(Some(Signal::TERM))),
            (255, Some(250), ExitStatus::Signal(None)),
            // Not the number of a signal.
            (3, Some(-1), ExitStatus::Code(3)),
            (137, Some(1 << 20), ExitStatus::KILLED),
        ] {
            assert_eq!(
                exit_of(status, signal, false),
                expected,
                "{status} {signal:?}"
            );
        }
    }

    #[test]
    fn only_a_killed_process_ran_out_of_memory() {
        assert_eq!(exit_of(137, Some(9), true), ExitStatus::OutOfMemory);
        assert_eq!(exit_of(137, Some(0), true), ExitStatus::Code(137));
        assert_eq!(exit_of(0, None, true), ExitStatus::Code(0));
    }

    #[test]
    fn a_machine_that_went_off_before_the_guest_spoke_is_stopped_and_not_created() {
        let observed = Observed {
            begun: true,
            ..machine(Power::Off, "", None)
        };
        assert_eq!(
            observed.state(),
            State::Stopped {
                exit: ExitStatus::NeverOn
            }
        );
    }

    #[test]
    fn what_the_host_wrote_down_wins() {
        let recorded = Some(ExitStatus::Code(4));
        let observed = Observed {
            recorded,
            begun: true,
            ..machine(Power::Off, "", None)
        };
        assert_eq!(
            observed.state(),
            State::Stopped {
                exit: ExitStatus::Code(4)
            }
        );
    }

    #[test]
    fn a_machine_that_cannot_be_used_is_broken_whatever_its_keys_say() {
        let unusable = Some("its files are inaccessible");
        let observed = Observed {
            unusable,
            ..machine(Power::On, "true", None)
        };
        assert!(matches!(observed.state(), State::Broken { .. }));
        assert_eq!(
            machine(Power::Suspended, "true", None).state(),
            State::Suspended
        );
        assert!(matches!(
            machine(Power::Unknown, "true", None).state(),
            State::Unknown { .. }
        ));
    }

    #[test]
    fn without_a_guest_nothing_is_claimed() {
        let none = Capabilities::none();
        assert_eq!(without_guest(State::Running, none), State::Starting);
        assert_eq!(
            without_guest(
                State::Stopped {
                    exit: ExitStatus::Code(0)
                },
                none
            ),
            State::Stopped {
                exit: ExitStatus::Lost
            }
        );
        assert_eq!(without_guest(State::Created, none), State::Created);
    }

    #[test]
    fn failure_is_the_guest_word_unless_it_started() {
        assert_eq!(
            machine(Power::Off, "no such file", None).failure(),
            Some("no such file")
        );
        assert_eq!(machine(Power::Off, "true", None).failure(), None);
        assert_eq!(machine(Power::Off, "", None).failure(), None);
    }
}
