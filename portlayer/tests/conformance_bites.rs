//! Tests of the conformance suite itself: for every broken promise, the expected case fails.
#![cfg(feature = "conformance")]

#[path = "conformance_bites/events.rs"]
mod events;
#[path = "conformance_bites/exports.rs"]
mod exports;
#[path = "conformance_bites/images.rs"]
mod images;
#[path = "conformance_bites/networks.rs"]
mod networks;
#[path = "conformance_bites/store.rs"]
mod store;
#[path = "conformance_bites/streams.rs"]
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use portlayer::conformance::{self, Fixture, Process, Verdict};
use portlayer::exec::{
    Command, ContainerInfo, ContainerSpec, Edit, Listing, Signal, StartOptions, StopOptions,
};
use portlayer::memory::MemoryExec;
use portlayer::{
    Capabilities, Capability, ContainerId, Error, ErrorKind, Exec, ExecExt, ExitStatus, PortLayer,
    Resource, Result, State,
};

/// A defect of an implementation.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// `inspect` and `list` omit the last argument.
    LosesArguments,
    /// A second container with the same name is created under another name.
    RenamesDuplicates,
    /// `create` accepts a specification that `validate` refuses.
    TakesBadNames,
    /// An unknown id results in an internal error.
    UnknownIsInternal,
    /// `list` returns no containers.
    ListsNothing,
    /// `start` reports a running process before this is known.
    StartAlwaysRuns,
    /// `start` does not report launch failures.
    HidesLaunchFailures,
    /// `wait` always returns success.
    WaitSeesSuccess,
    /// `wait` returns at once for a container that was not started.
    WaitDoesNotWait,
    /// `remove` succeeds for a running container.
    RemovesWhileOn,
    /// `start` succeeds for a running container.
    StartsTwice,
    /// `stop` never sends a signal.
    StopNeverAsks,
    /// Signalling a stopped container succeeds.
    SignalsTheDead,
    /// `wait` always returns the exit status of the first run.
    FirstExitForEver,
    /// `only_if_never_started` is ignored.
    StartsAgain,
    /// Other callers see a starting container as lost.
    LosesStarts,
    /// A dropped `stop` leaves the container in the state stopping.
    StopsForEver,
    /// The exit status of a container that was powered off is reported as lost.
    LosesKills,
    /// `update` does not remove labels.
    KeepsLabels,
    /// `update` applies part of an edit that should be refused.
    EditsWhileOn,
    /// Labels that were changed while the container was on are forgotten when it is stopped.
    ForgetsAtStop,
    /// `pause` has no effect.
    PausesNothing,
}

#[derive(Clone, Debug)]
struct Breaking {
    exec: MemoryExec,
    broken: Broken,
    state: Arc<Mutex<BrokenState>>,
}

#[derive(Debug, Default)]
struct BrokenState {
    exits: BTreeMap<ContainerId, ExitStatus>,
    stopping: BTreeSet<ContainerId>,
    starting: BTreeSet<ContainerId>,
}

impl Breaking {
    fn new(broken: Broken) -> Self {
        Self {
            exec: MemoryExec::new(conformance::memory::behaviour),
            broken,
            state: Arc::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, BrokenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaking {
    fn spoil(&self, mut info: ContainerInfo) -> ContainerInfo {
        if let Broken::LosesArguments = self.broken {
            info.command.args.pop();
        }
        if self.state().stopping.contains(&info.id) && info.state == State::Running {
            info.state = State::Stopping;
        }
        if self.state().starting.contains(&info.id) {
            info.state = State::Stopped {
                exit: ExitStatus::Lost,
            };
        }
        if let (Broken::LosesKills, State::Stopped { exit }) = (self.broken, &mut info.state)
            && *exit == ExitStatus::KILLED
        {
            *exit = ExitStatus::Lost;
        }
        info
    }

    fn rename<T>(&self, result: Result<T>) -> Result<T> {
        match (self.broken, result) {
            (Broken::UnknownIsInternal, Err(error)) if error.is_not_found() => Err(
                Error::internal(error.resource().clone(), "unknown container"),
            ),
            (_, result) => result,
        }
    }
}

#[async_trait]
impl Exec for Breaking {
    fn capabilities(&self) -> Capabilities {
        match self.broken {
            // Without this capability, `start` does not report on the process.
            Broken::StartAlwaysRuns => self.exec.capabilities().without(Capability::GuestKeys),
            _ => self.exec.capabilities(),
        }
    }

    async fn create(&self, mut spec: ContainerSpec) -> Result<ContainerId> {
        if let (Broken::TakesBadNames, Err(_)) = (self.broken, spec.validate()) {
            spec.name = spec.id.to_string();
        }
        match (self.broken, self.exec.create(spec.clone()).await) {
            (
                Broken::RenamesDuplicates,
                Err(Error {
                    kind: ErrorKind::AlreadyExists,
                    ..
                }),
            ) => {
                self.exec
                    .create({
                        let name = spec.id.to_string();
                        spec.name(name)
                    })
                    .await
            }
            (_, created) => created,
        }
    }

    async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let options = match self.broken {
            Broken::StartsAgain => StartOptions::new(),
            _ => options,
        };
        if let Broken::LosesStarts = self.broken {
            self.state().starting.insert(*id);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            self.state().starting.remove(id);
        }
        match (self.broken, self.exec.start(id, options).await) {
            (
                Broken::StartsTwice,
                Err(Error {
                    kind: ErrorKind::InvalidState { .. },
                    ..
                }),
            ) => Ok(State::Running),
            (
                Broken::HidesLaunchFailures,
                Err(Error {
                    kind: ErrorKind::GuestFailed { .. },
                    ..
                }),
            ) => Ok(State::Running),
            (_, started) => self.rename(started),
        }
    }

    async fn inspect(&self, id: &ContainerId) -> Result<ContainerInfo> {
        self.rename(self.exec.inspect(id).await.map(|info| self.spoil(info)))
    }

    async fn list(&self) -> Result<Listing> {
        let mut listing = self.exec.list().await?;
        if let Broken::ListsNothing = self.broken {
            listing.containers.clear();
        }
        listing.containers = listing
            .containers
            .into_iter()
            .map(|info| self.spoil(Arc::unwrap_or_clone(info)).into())
            .collect();
        Ok(listing)
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus> {
        if let (Broken::WaitDoesNotWait, Ok(State::Created)) = (
            self.broken,
            self.exec.inspect(id).await.map(|info| info.state),
        ) {
            return Ok(ExitStatus::Lost);
        }
        let exit = self.rename(self.exec.wait(id).await)?;
        Ok(match self.broken {
            Broken::WaitSeesSuccess => ExitStatus::Code(0),
            Broken::FirstExitForEver => *self.state().exits.entry(*id).or_insert(exit),
            _ => exit,
        })
    }

    async fn stop(&self, id: &ContainerId, options: StopOptions) -> Result<ExitStatus> {
        let options = match self.broken {
            Broken::StopNeverAsks => StopOptions::AT_ONCE,
            Broken::StopsForEver => {
                self.state().stopping.insert(*id);
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                options
            }
            _ => options,
        };
        match (self.broken, self.rename(self.exec.stop(id, options).await)) {
            (Broken::LosesKills, Ok(ExitStatus::KILLED)) => Ok(ExitStatus::Lost),
            (Broken::ForgetsAtStop, stopped) => {
                let forget = Edit::new().remove_label("tier").label("old", "1");
                self.exec.update(id, forget).await?;
                stopped
            }
            (_, stopped) => stopped,
        }
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        match (self.broken, self.exec.signal(id, signal).await) {
            (
                Broken::SignalsTheDead,
                Err(Error {
                    kind: ErrorKind::InvalidState { .. },
                    ..
                }),
            ) => Ok(()),
            (_, signalled) => self.rename(signalled),
        }
    }

    async fn update(&self, id: &ContainerId, mut edit: Edit) -> Result<()> {
        if let Broken::KeepsLabels = self.broken {
            edit.labels.retain(|_, value| value.is_some());
        }
        match (self.broken, self.exec.update(id, edit.clone()).await) {
            (
                Broken::EditsWhileOn,
                Err(Error {
                    kind: ErrorKind::InvalidState { .. },
                    ..
                }),
            ) => {
                edit.resources = None;
                edit.command = None;
                self.exec.update(id, edit).await
            }
            (_, updated) => self.rename(updated),
        }
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        match self.broken {
            Broken::PausesNothing => Ok(()),
            _ => self.rename(self.exec.pause(id).await),
        }
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        self.exec.resume(id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        match self.broken {
            Broken::RemovesWhileOn => self.exec.remove_forced(id).await,
            _ => self.rename(self.exec.remove(id).await),
        }
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        Ok(PortLayer::new(self.clone()))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

#[tokio::test]
async fn every_broken_promise_is_noticed() {
    for (broken, expected) in [
        (Broken::LosesArguments, "what_was_asked_for_is_read_back"),
        (Broken::RenamesDuplicates, "an_id_and_a_name_are_given_once"),
        (
            Broken::TakesBadNames,
            "a_bad_field_is_named_and_nothing_is_made",
        ),
        (Broken::UnknownIsInternal, "an_unknown_id_is_not_found"),
        (Broken::ListsNothing, "what_was_asked_for_is_read_back"),
        (Broken::StartAlwaysRuns, "start_tells_what_is_known"),
        (Broken::HidesLaunchFailures, "a_launch_that_fails_says_why"),
        (
            Broken::WaitSeesSuccess,
            "a_process_that_ends_at_once_is_stopped_with_its_exit",
        ),
        (
            Broken::WaitDoesNotWait,
            "wait_sees_the_end_from_before_the_start",
        ),
        (Broken::RemovesWhileOn, "remove_is_refused_while_on"),
        (Broken::StartsTwice, "start_is_refused_while_on"),
        (Broken::StopNeverAsks, "stop_asks_first"),
        (Broken::SignalsTheDead, "a_signal_is_refused_while_off"),
        (
            Broken::FirstExitForEver,
            "a_new_run_forgets_the_exit_of_the_last",
        ),
        (Broken::StartsAgain, "only_one_start_is_the_first"),
        (Broken::LosesStarts, "a_start_is_no_end_for_anybody"),
        (
            Broken::StopsForEver,
            "a_dropped_stop_leaves_the_process_running",
        ),
        (
            Broken::LosesKills,
            "a_stop_that_switches_off_ends_with_kill",
        ),
        (Broken::KeepsLabels, "an_edit_changes_what_it_names"),
        (
            Broken::EditsWhileOn,
            "an_edit_is_refused_in_the_wrong_state",
        ),
        (
            Broken::ForgetsAtStop,
            "a_change_made_while_on_is_kept_or_refused",
        ),
        (Broken::PausesNothing, "pause_and_resume"),
    ] {
        let report = conformance::run(&Breaking::new(broken)).await;
        let failed: BTreeSet<_> = report
            .outcomes()
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
            .map(|outcome| outcome.case)
            .collect();
        assert!(
            failed.contains(expected),
            "{broken:?} went unnoticed:\n{report}"
        );
        assert!(!report.is_success());
    }
}

#[tokio::test]
async fn a_fixture_that_cannot_open_fails_every_case() {
    struct Closed;

    #[async_trait]
    impl Fixture for Closed {
        async fn open(&self) -> Result<PortLayer> {
            Err(Error::not_found(Resource::container("closed")))
        }

        fn command(&self, process: Process) -> Command {
            conformance::memory::command(process)
        }
    }

    let report = conformance::run(&Closed).await;
    assert!(
        report
            .outcomes()
            .iter()
            .all(|o| matches!(o.verdict, Verdict::Failed(_)))
    );
    assert!(
        report
            .to_string()
            .contains("container \"closed\" was not found")
    );
}
