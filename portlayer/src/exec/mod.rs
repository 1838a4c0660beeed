//! Containers as processes: create, start, look at, wait for, stop, remove.

mod ext;
mod info;
mod signal;
mod spec;

use std::time::Duration;

use async_trait::async_trait;

pub use ext::ExecExt;
pub use info::{ContainerInfo, Listing, Quarantined};
pub use signal::{ParseSignalError, Signal};
pub use spec::{Command, ContainerSpec};

use crate::{Capabilities, ContainerId, ExitStatus, Result, State};

/// The life of containers on one virtual container host.
///
/// # What every implementation keeps
/// The `conformance` module (feature `conformance`) tests these on each implementation.
/// - **State lives in the back end.** Nothing is kept only in this object: another one on the
///   same host, or the same program started again, sees the same containers.
/// - **One at a time per container.** Operations on one container queue; operations on different
///   containers run in parallel. `inspect`, `list` and `wait` never queue.
/// - **Dropping a future is safe.** Nothing half-sent is left behind by the object itself. What
///   the endpoint has begun it finishes: a dropped `create` may leave the container created, a
///   dropped `start` may leave it started. `inspect` tells.
/// - **No hidden timeouts on `wait`.** A caller who wants one wraps the future. All other
///   operations end in bounded time, with [`Timeout`](crate::ErrorKind::Timeout) if need be.
/// - **Errors name the container.** An id that no container has gives
///   [`NotFound`](crate::ErrorKind::NotFound) from every method that takes one.
#[async_trait]
pub trait Exec: std::fmt::Debug + Send + Sync + 'static {
    /// What this back end, with its endpoint, can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes a container and leaves it [`Created`](State::Created). Gives the id back.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field, for a spec that
    ///   [`validate`](ContainerSpec::validate) refuses.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a container of this host has the id or
    ///   the name. After an [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown), asking again with
    ///   the same spec thus tells whether the first try succeeded.
    /// - [`NotFound`](crate::ErrorKind::NotFound) naming the network that does not exist.
    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId>;

    /// Starts the process and waits until it is known to have started.
    ///
    /// Gives the state then: [`Running`](State::Running), or [`Stopped`](State::Stopped) with the
    /// exit if the process has ended already, which is not an error. Without
    /// [`GuestKeys`](crate::Capability::GuestKeys) nobody can tell whether the process started:
    /// then this returns as soon as the machine is on, with [`Starting`](State::Starting).
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is created or stopped.
    /// - [`GuestFailed`](crate::ErrorKind::GuestFailed) with the guest's reason if the process could
    ///   not be launched. The container is stopped, or will be soon.
    /// - [`Timeout`](crate::ErrorKind::Timeout) if the guest did not report in time; the container is
    ///   left starting.
    async fn start(&self, id: &ContainerId) -> Result<State>;

    /// What is known about one container.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo>;

    /// All containers of this host, sorted by creation time and then id. A container that cannot
    /// be read does not fail the list: it is reported beside the others.
    ///
    /// # Errors
    /// Only such as concern the whole endpoint.
    async fn list(&self) -> Result<Listing>;

    /// Waits until the container is stopped and gives its exit, at once if it is stopped
    /// already. A container that was not started yet is waited for too.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) also when it is removed meanwhile.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) when it is, or becomes, broken.
    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus>;

    /// Ends the container: asks its process with `signal` where that can be delivered, gives it
    /// `grace` to end, then switches the machine off. Gives the exit; a container that has
    /// stopped already is left alone. An order that is known not to be deliverable is not waited
    /// for.
    ///
    /// # Errors
    /// [`InvalidState`](crate::ErrorKind::InvalidState) if it was never started, or is broken.
    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus>;

    /// Sends a signal to the container's process and does not wait for its effect.
    /// [`Signal::KILL`] works on every back end: where it cannot be delivered the machine is
    /// switched off.
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is on.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) for other signals without
    ///   [`Signals`](crate::Capability::Signals).
    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()>;

    /// Removes a container that is not on, with everything that is only its own; what it shares
    /// with others, such as its image, stays.
    ///
    /// # Errors
    /// [`InvalidState`](crate::ErrorKind::InvalidState) while it is on.
    async fn remove(&self, id: &ContainerId) -> Result<()>;
}

/// How [`Exec::stop`] goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopOptions {
    /// What the process is sent first. Default: `TERM`.
    pub signal: Signal,
    /// How long it may take to end after that. Default: 10 seconds. Zero: the machine is switched
    /// off at once.
    pub grace: Duration,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self {
            signal: Signal::TERM,
            grace: Duration::from_secs(10),
        }
    }
}

impl StopOptions {
    /// No signal and no grace: off.
    pub const AT_ONCE: Self = Self {
        signal: Signal::KILL,
        grace: Duration::ZERO,
    };
}
