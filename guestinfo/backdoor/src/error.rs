//! The errors of sending a message.

/// An error of sending a message to the host or receiving its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no backdoor, so its port must not be read.
    #[error("there is no VMware backdoor: {reason}")]
    NoBackdoor {
        /// The check that failed.
        reason: &'static str,
    },
    /// The host did not open a channel; a machine has at most 128 of them.
    #[error("the host opens no channel for messages (status {status:#06x})")]
    Open {
        /// The status that the host returned.
        status: u16,
    },
    /// A message is longer than the host or this crate allows.
    #[error("a message of {len} bytes is longer than {max}")]
    TooLong {
        /// The length of the message, in bytes.
        len: usize,
        /// The maximum length, in bytes.
        max: usize,
    },
    /// The host refused a step of the protocol.
    #[error("the host refused to {step} (status {status:#06x})")]
    Step {
        /// The refused step.
        step: &'static str,
        /// The status that the host returned.
        status: u16,
    },
    /// The host has no answer to the message.
    #[error("the host has no answer")]
    NoAnswer,
    /// The host's answer belongs to a different step than the one requested.
    #[error("the host answered with the wrong step ({found}) to {step}")]
    WrongStep {
        /// The step of the protocol.
        step: &'static str,
        /// The step that the host answered.
        found: u16,
    },
    /// Checkpoints of the machine interrupted the message on every attempt.
    #[error("the machine was interrupted {attempts} times during the message")]
    Interrupted {
        /// The number of attempts.
        attempts: usize,
    },
}
