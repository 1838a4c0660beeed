//! Containers as processes: create, start, inspect, wait for, stop, remove.

mod command;
mod edit;
mod ext;
mod info;
mod limit;
mod options;
mod resources;
mod root;
mod signal;
mod spec;

use std::sync::Arc;

use async_trait::async_trait;

pub use command::Command;
pub use edit::Edit;
pub use ext::ExecExt;
pub use info::{ContainerInfo, Listing, Quarantined};
pub use limit::{Limit, LimitKind, ParseLimitKindError};
pub use options::{StartOptions, StopOptions};
pub use resources::{Allocation, Resources, Shares};
#[cfg(feature = "vsphere")]
pub(crate) use resources::{refused_cpus, refused_memory};
pub use root::RootFs;
pub use signal::{ParseSignalError, Signal};
pub use spec::ContainerSpec;
pub(crate) use spec::refuse_labels;

use crate::{Capabilities, ContainerId, Error, ExitStatus, Resource, Result, State};

/// The containers of one virtual container host, and their life cycle.
///
/// # Guarantees
/// The `conformance` module (feature `conformance`) tests these on each implementation.
/// - **State lives in the back end.** Nothing is stored only in this object: another `Exec` on the
///   same host, or the same program after a restart, sees the same containers. Changes made through
///   this object, and states that it has returned, are visible through it immediately. Changes made
///   by others may take a moment to appear.
/// - **One operation at a time per container.** Operations on the same container queue; operations
///   on different containers run in parallel. `inspect`, `list` and `wait` never queue.
/// - **During power-on a container is [`Starting`](State::Starting) for every observer**, not only
///   for the object that is starting it.
/// - **Dropping a future is safe.** Requests are never sent partially, but an operation that has
///   begun continues at the endpoint: a dropped `create` may leave the container created, a dropped
///   `start` may leave it started, a dropped `stop` leaves it running or stops it later. Use
///   `inspect` to find out.
/// - **No hidden timeouts on `wait`.** Callers add their own. All other operations finish in
///   bounded time, if necessary with [`Timeout`](crate::ErrorKind::Timeout).
/// - **Errors name the container.** Every method that takes an id returns
///   [`NotFound`](crate::ErrorKind::NotFound) if no container has that id.
///
/// # After a failure
/// An error that is listed with a method means that the method had no effect, except for
/// [`GuestFailed`](crate::ErrorKind::GuestFailed) and [`Timeout`](crate::ErrorKind::Timeout). After
/// an [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown), a `Timeout`, or a future that was dropped,
/// the operation may have been carried out, or may still be. What a repetition then does:
///
/// | method | repeating it | how an earlier success shows |
/// | --- | --- | --- |
/// | `create` | safe with the same spec, which contains the id | [`AlreadyExists`](crate::ErrorKind::AlreadyExists) |
/// | `start` | may run the process a second time if it has ended already; safe with [`only_if_never_started`](StartOptions::only_if_never_started) | [`InvalidState`](crate::ErrorKind::InvalidState) |
/// | `inspect`, `list`, `resolve`, `wait` | safe: they change nothing | |
/// | `stop` | safe, unless somebody else has started the container again | the exit status of the run |
/// | `signal` | the process may receive the signal twice; safe for `KILL` | `InvalidState` for `KILL`, once the container is off |
/// | `update` | safe: an edit sets values | success |
/// | `pause` | safe | success |
/// | `resume` | safe | `InvalidState`: the container runs |
/// | `remove` | safe | [`NotFound`](crate::ErrorKind::NotFound) |
#[async_trait]
pub trait Exec: std::fmt::Debug + Send + Sync + 'static {
    /// Returns the capabilities of this back end and its endpoint.
    fn capabilities(&self) -> Capabilities;

    /// Creates a container in the state [`Created`](State::Created) and returns its id.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field, for a spec that
    ///   [`validate`](ContainerSpec::validate) refuses.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a container of this host has the id
    ///   or the name. After an [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown), retry with the
    ///   same spec: this error then shows that the first attempt succeeded.
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the image, a volume or a scope does not exist;
    ///   the error names it.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) if there is no room for another container; on
    ///   vSphere, images count too.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) for an image, a mount or an endpoint where
    ///   the back end lacks [`Images`](crate::Capability::Images),
    ///   [`Volumes`](crate::Capability::Volumes) or [`Networks`](crate::Capability::Networks).
    async fn create(&self, spec: ContainerSpec) -> Result<ContainerId>;

    /// Starts the process and waits until it is known to have started.
    ///
    /// Returns the resulting state: [`Running`](State::Running), or [`Stopped`](State::Stopped)
    /// with the exit status if the process has already ended, which is not an error. Without
    /// [`GuestKeys`](crate::Capability::GuestKeys) it is unknown whether the process started: this
    /// then returns [`Starting`](State::Starting) as soon as the machine is on.
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is created or
    ///   stopped; with [`only_if_never_started`](StartOptions::only_if_never_started), unless it
    ///   is created.
    /// - [`GuestFailed`](crate::ErrorKind::GuestFailed) with the guest's reason if the process
    ///   could not be launched. The container is stopped, or will be soon, with
    ///   [`NotLaunched`](ExitStatus::NotLaunched).
    /// - [`Timeout`](crate::ErrorKind::Timeout) if the guest did not report in time; the container
    ///   remains in the state [`Starting`](State::Starting).
    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State>;

    /// Returns the description of one container.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo>;

    /// Returns all containers of this host, sorted by creation time and then id. An unreadable
    /// container does not make the call fail: it is listed in [`Listing::quarantined`].
    ///
    /// # Errors
    /// Returns only errors that affect the whole endpoint.
    async fn list(&self) -> Result<Listing>;

    /// Finds a container by name, id or prefix of an id. A full id or name takes precedence over a
    /// prefix. The default implementation searches the [`list`](Self::list).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no container matches,
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if several ids have the prefix.
    async fn resolve(&self, text: &str) -> Result<ContainerId> {
        let containers = self.list().await?.containers;
        let is_it = |c: &&Arc<ContainerInfo>| c.name == text || c.id.to_string() == text;
        if let Some(found) = containers.iter().find(is_it) {
            return Ok(found.id);
        }
        let is_prefix = |id: &ContainerId| !text.is_empty() && id.to_string().starts_with(text);
        let found = containers.iter().map(|c| c.id).filter(is_prefix);
        the_one(text, found)
    }

    /// Waits until the container is stopped and returns its exit status. If the container is
    /// already stopped, this returns immediately. It keeps waiting while the container has not been
    /// started yet, while its state is [`Unknown`](State::Unknown), and while the endpoint is
    /// unavailable.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the container does not exist, or is removed
    ///   during the wait.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the container is broken, or becomes
    ///   broken.
    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus>;

    /// Stops the container: sends its process a signal, waits `grace` for it to exit, then switches
    /// the machine off. Returns the exit status. For a stopped container this is a no-op; a
    /// container that is still being switched on is stopped as soon as it is on. The grace period
    /// is skipped only if the back end knows that the signal was not delivered. If the machine had
    /// to be switched off, the exit status is [`Signal`](ExitStatus::Signal) `KILL`.
    ///
    /// # Errors
    /// [`InvalidState`](crate::ErrorKind::InvalidState) if the container was never started, or is
    /// broken.
    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus>;

    /// Sends a signal to the container's process without waiting for its effect. [`Signal::KILL`]
    /// works on every back end and ends the process with exit status [`Signal`](ExitStatus::Signal)
    /// `KILL`. If it cannot be delivered, the machine is switched off.
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is on.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) for signals other than `KILL` without
    ///   [`Signals`](crate::Capability::Signals).
    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()>;

    /// Applies an edit to a container, either completely or not at all.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field, for an edit that
    ///   [`validate`](Edit::validate) refuses.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is in a state in
    ///   which the edit is [allowed](Edit::allowed). The source names the field that can be changed
    ///   [only while it is off](Edit::only_while_off), and why.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if another container has the new name.
    /// - [`Conflict`](crate::ErrorKind::Conflict) if another writer changed the same settings
    ///   concurrently.
    async fn update(&self, id: &ContainerId, edit: Edit) -> Result<()>;

    /// Suspends a running container. Already [`Suspended`](State::Suspended) counts as success.
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is running, starting
    ///   or suspended.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) without
    ///   [`Suspend`](crate::Capability::Suspend).
    async fn pause(&self, id: &ContainerId) -> Result<()>;

    /// Resumes a suspended container.
    ///
    /// # Errors
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) unless the container is suspended.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) without
    ///   [`Suspend`](crate::Capability::Suspend).
    async fn resume(&self, id: &ContainerId) -> Result<()>;

    /// Removes a container that is not on, with everything that belongs only to it; shared
    /// resources, such as its image and its volumes, are kept.
    ///
    /// # Errors
    /// [`InvalidState`](crate::ErrorKind::InvalidState) while the container is on.
    async fn remove(&self, id: &ContainerId) -> Result<()>;
}

/// Returns the only id that begins with a text.
pub(crate) fn the_one(
    text: &str,
    ids: impl IntoIterator<Item = ContainerId>,
) -> Result<ContainerId> {
    let mut ids = ids.into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(Error::not_found(Resource::container(text))),
        (Some(_), Some(_)) => Err(Error::invalid_argument(
            Resource::container(text),
            "id",
            "more than one container id has this prefix",
        )),
    }
}
