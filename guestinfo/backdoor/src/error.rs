//! Why a message did not get through.

/// A message did not get through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no backdoor, so the port must not be touched.
    #[error("there is no VMware backdoor: {reason}")]
    NoBackdoor {
        /// The check that failed.
        reason: &'static str,
    },
    /// The host gives no channel; a machine has at most 128 of them.
    #[error("the host opens no channel for messages (status {status:#06x})")]
    Open {
        /// The status that the host returned.
        status: u16,
    },
    /// A message is longer than the host takes or we do.
    #[error("a message of {len} bytes is longer than {max}")]
    TooLong {
        /// Bytes of the message.
        len: usize,
        /// Bytes that are taken.
        max: usize,
    },
    /// The host did not do a step.
    #[error("the host refused to {step} (status {status:#06x})")]
    Step {
        /// The step.
        step: &'static str,
        /// The status that the host returned.
        status: u16,
    },
    /// The host has no answer to the message.
    #[error("the host has no answer")]
    NoAnswer,
    /// The host answered something else than was asked.
    #[error("the host answered with the wrong step ({found}) to {step}")]
    WrongStep {
        /// The step of the protocol.
        step: &'static str,
        /// The status of the response.
        found: u16,
    },
    /// Checkpoints of the machine interrupted the message again and again.
    #[error("the machine was interrupted {attempts} times while the message was on its way")]
    Interrupted {
        /// Number of attempts.
        attempts: usize,
    },
}
