//! Starts a container.

use std::ops::ControlFlow;

use guestinfo::Dialect;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::{Shared, Snapshot};
use crate::exec::StartOptions;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Written;
use crate::vsphere::index::Seen;
use crate::vsphere::machine_spec::options as key_changes;
use crate::vsphere::record::Record;
use crate::vsphere::run_state::RunState;
use crate::{
    Capability, ContainerId, Error, ErrorKind, ExitStatus, Resource, Result, State, StateKind,
};

/// The reason of a failed start if the machine went off before its guest reported anything.
const BOOT_FAILED: &str = "its machine went off before its agent reported anything: the boot failed, \
                           for example by a kernel panic, a damaged boot image or too little \
                           memory, or the machine was switched off by another program; the \
                           machine's console shows the reason of a failed boot";

/// The explanation of a start that timed out.
const BOOT_HANGS: &str = "its machine is on, but its agent has not reported: the boot hangs, the \
                          kernel has panicked, or the process waits for a client to attach; the \
                          machine's console shows what it does, and a stop switches it off";

impl Shared {
    pub(super) async fn start(&self, id: &ContainerId, options: StartOptions) -> Result<State> {
        let resource = Resource::container(id);
        let vm = {
            let _turn = self.ids.turn(*id).await;
            self.networks.refuse_conflict(id).await?;
            let _rivals = self.refuse_rivals(id).await?;
            let _starting = self.in_progress.mark(*id, StateKind::Starting);
            // Before the keys show the run, because clients then read its log.
            self.rotate_log(id).await;
            let snapshot = self.begin_run(id, options).await?;
            self.blocking.written(id);
            self.switch_on(id, &snapshot, options).await?;
            snapshot.machine.vm.clone()
        };
        if !self.capabilities.contains(Capability::GuestKeys) {
            return Ok(State::Starting);
        }
        // Release the lock, so that other callers can stop the container.
        let report = self.index.watch(&vm, &resource, |machine| {
            let snapshot = self.snapshot(id, machine);
            match (snapshot.failure, snapshot.state) {
                (Some(reason), _) => {
                    ControlFlow::Break(Err(Error::guest_failed(resource.clone(), reason)))
                }
                (None, state @ (State::Running | State::Stopped { .. })) => {
                    ControlFlow::Break(Ok(state))
                }
                (None, State::Broken { reason }) => ControlFlow::Break(Err(Error::invalid_state(
                    resource.clone(),
                    StateKind::Broken,
                    StateKind::STARTABLE,
                )
                .with_source(reason))),
                (None, _) => ControlFlow::Continue(()),
            }
        });
        match tokio::time::timeout(self.options.start_timeout, report).await {
            Ok(report) => {
                let mut state = report??;
                if state.exit() == Some(ExitStatus::NeverOn) {
                    state = self.went_off(id, &vm).await?;
                }
                let mut failure = None;
                if state.exit() == Some(ExitStatus::NeverOn) {
                    failure = self.logged_failure(id).await;
                }
                if let State::Stopped { .. } = state {
                    self.write_down(id).await;
                }
                match (failure, state.exit()) {
                    (Some(reason), _) => Err(Error::guest_failed(resource, reason)),
                    (None, Some(ExitStatus::NeverOn)) => {
                        Err(Error::guest_failed(resource, BOOT_FAILED))
                    }
                    _ => Ok(state),
                }
            }
            Err(_elapsed) => Err(Error::timeout(
                resource,
                "the guest's report that the process started",
            )
            .with_source(BOOT_HANGS)),
        }
    }

    /// Returns the state of a container whose machine went off before its guest reported anything.
    /// If another program has switched it off, that program records so after the power-off.
    async fn went_off(&self, id: &ContainerId, vm: &Ref<mo::VirtualMachine>) -> Result<State> {
        let resource = Resource::container(id);
        let recorded = self.index.watch(vm, &resource, |machine| {
            let state = self.snapshot(id, machine).state;
            match state.exit() {
                Some(ExitStatus::NeverOn) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(state),
            }
        });
        match tokio::time::timeout(self.options.settle_timeout, recorded).await {
            Ok(state) => state,
            Err(_elapsed) => Ok(State::Stopped {
                exit: ExitStatus::NeverOn,
            }),
        }
    }

    /// Fails if a running container has one of this container's ports or addresses. While the
    /// returned guard is held, no other container with rivals is powered on.
    async fn refuse_rivals(
        &self,
        id: &ContainerId,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>> {
        if self.networks.table().rivals(id).is_empty() {
            return Ok(None);
        }
        let turn = self.networks.rivals_turn().await;
        let rivals = self.networks.table().rivals(id);
        for (rival, error) in rivals {
            match self.look(&rival).await {
                Ok(snapshot) if snapshot.state.kind().may_be_on() => return Err(error),
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(Some(turn))
    }

    /// Records the start of a run, clears what the guest reported about the previous run, and
    /// returns the machine's snapshot from before the change.
    ///
    /// The machine is off at this time, because keys that are written while it is on are not kept.
    ///
    /// A container that was never started has had the keys of its first run since it was created.
    /// So nothing is sent for it, unless the caller needs proof that it was not started before.
    async fn begin_run(&self, id: &ContainerId, options: StartOptions) -> Result<Snapshot> {
        let blocked = self.blocking.begin(id);
        if !blocked && !options.only_if_never_started {
            let snapshot = self.snapshot_unmarked(id, &self.indexed(id).await?);
            if snapshot.state == State::Created && snapshot.run().is_first(self.dialect(&snapshot))
            {
                return Ok(snapshot);
            }
        }
        self.edit(id, options.allowed(), |snapshot| {
            let run = snapshot.run().restarted(self.dialect(snapshot));
            let run = run.blocked(blocked);
            self.run_change(id, snapshot, &run).map(Some)
        })
        .await
    }

    /// Powers on the machine, and waits until the index shows that it is on.
    async fn switch_on(
        &self,
        id: &ContainerId,
        before: &Snapshot,
        options: StartOptions,
    ) -> Result<()> {
        let resource = Resource::container(id);
        let vm = &before.machine.vm;
        if let Err(error) = self.endpoint.power_on(vm, &resource).await {
            if matches!(
                error.kind,
                ErrorKind::InvalidState { .. } | ErrorKind::Conflict { .. } | ErrorKind::NotFound
            ) {
                // Another caller powered it on first.
                let snapshot = self.look_for_edit(id).await?;
                self.require(id, &snapshot, options.allowed())?;
            }
            return Err(error);
        }
        let is_shown = |machine: &Seen| {
            machine.power != Power::Off || !machine.last_run(id).started().is_empty()
        };
        if let Some(on) = self.shown(vm, &resource, Written::Power, is_shown).await {
            self.heard_exits.see_on(*id, on.last_run(id).starts);
        }
        Ok(())
    }

    /// Returns the change that turns the run state in the snapshot's keys into `run`. It also writes
    /// the name of a container that was renamed, if the keys have lost it.
    pub(super) fn run_change(
        &self,
        id: &ContainerId,
        snapshot: &Snapshot,
        run: &RunState,
    ) -> Result<VirtualMachineConfigSpec> {
        let dialect = self.dialect(snapshot);
        let internal = |error| Error::internal(Resource::container(id), error);
        let mut changes = run.changes(&snapshot.run(), dialect).map_err(internal)?;
        if snapshot.machine.has_stale_name()
            && let Ok(old) = Record::read(&snapshot.machine.keys.unpack())
        {
            let mut new = old.clone();
            snapshot.machine.name().clone_into(&mut new.spec.name);
            changes.extend(new.changes(&old, dialect).map_err(internal)?);
        }
        Ok(VirtualMachineConfigSpec {
            extra_config: key_changes(changes),
            ..VirtualMachineConfigSpec::default()
        })
    }

    /// Returns the dialect in which the machine's keys are written.
    pub(super) fn dialect(&self, snapshot: &Snapshot) -> Dialect {
        let keys = snapshot.machine.keys.unpack();
        Dialect::detect(keys.keys()).unwrap_or(self.options.dialect)
    }
}
