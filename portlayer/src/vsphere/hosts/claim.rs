//! Ensures that of several programs that install a host at the same time, exactly one finishes it.
//!
//! Every run of the installer has an id, which is in a key of the appliance that the appliance's
//! guest cannot see. An unfinished installation cannot be distinguished from one in progress, so a
//! later run takes it over by writing its own id. The earlier run watches the key, and stops without
//! removing anything, because everything now belongs to the later one.

use std::ops::ControlFlow;
use std::time::Duration;

use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::Shared;
use super::install::Job;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::host_record::HostRecord;
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::Keys;
use crate::{Error, Result};

/// Maximum number of attempts to change the appliance while others change it, too.
const ROUNDS: u32 = 20;

/// How long to wait for a task of another program before the appliance is powered on again.
const PAUSE: Duration = Duration::from_millis(50);

impl Shared {
    /// Takes over an unfinished installation.
    pub(super) async fn take_over(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        job: &Job<'_>,
    ) -> Result<()> {
        let keys = HostRecord::installer_key(&job.installer, self.options.dialect)
            .map_err(|error| Error::internal(job.host.clone(), error))?;
        for _ in 0..ROUNDS {
            let machine = self.endpoint.machine(vm, &job.host).await?;
            let is_off = machine.power == Power::Off;
            if record(&machine).is_some_and(|r| r.is_finished() && !(r.starting && is_off)) {
                return Err(Error::already_exists(job.host.clone())
                    .with_source("another installation has finished it"));
            }
            if self.write_guarded(&machine, keys.clone(), job).await? {
                return Ok(());
            }
        }
        Err(Error::conflict(job.host.clone(), keys.into_keys()))
    }

    /// Writes keys of an appliance that this installation still owns. Keys of others that are
    /// written at the same time are kept.
    pub(super) async fn write_owned(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        keys: Keys,
        job: &Job<'_>,
    ) -> Result<()> {
        for _ in 0..ROUNDS {
            let machine = self.endpoint.machine(vm, &job.host).await?;
            job.must_own(&machine)?;
            if self.write_guarded(&machine, keys.clone(), job).await? {
                return Ok(());
            }
        }
        Err(Error::conflict(job.host.clone(), keys.into_keys()))
    }

    /// Returns `false` if the appliance was changed after it was read.
    async fn write_guarded(&self, read: &Machine, keys: Keys, job: &Job<'_>) -> Result<bool> {
        let change = VirtualMachineConfigSpec {
            change_version: read.change_version.clone(),
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        match self
            .endpoint
            .reconfigure(&read.vm, &change, &job.host)
            .await
        {
            Err(error) if error.is_conflict() => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Powers on an appliance that this installation still owns, after the tasks of others. Already on
    /// counts as success: an earlier installation may have done it.
    pub(super) async fn power_on_owned(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        job: &Job<'_>,
    ) -> Result<()> {
        let mut rounds = 0;
        loop {
            let machine = self.endpoint.machine(vm, &job.host).await?;
            job.must_own(&machine)?;
            if machine.power == Power::On {
                return Ok(());
            }
            match self.endpoint.power_on(vm, &job.host).await {
                Err(error) if error.is_conflict() && rounds < ROUNDS => rounds += 1,
                powered => return powered,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the reason of a failed step: that another installation has taken the appliance over,
    /// if it has, because the failure may be a consequence.
    pub(super) async fn reason(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        error: Error,
        job: &Job<'_>,
    ) -> Error {
        match self.endpoint.machine(vm, &job.host).await {
            Ok(machine) => job.must_own(&machine).err().unwrap_or(error),
            Err(_) => error,
        }
    }

    /// Waits until another installation takes this one over, and returns the error for that.
    pub(super) async fn taken_over(&self, vm: &Ref<mo::VirtualMachine>, job: &Job<'_>) -> Error {
        let lost = self
            .endpoint
            .watch(vm, &job.host, |machine| match job.must_own(&machine) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            });
        match lost.await {
            Ok(error) => error,
            // The installation itself notices what is wrong with the appliance or the endpoint.
            Err(error) => {
                tracing::debug!(host = %job.host, %error, "cannot watch for other installations");
                std::future::pending().await
            }
        }
    }

    /// Returns whether another installation has taken the appliance over. Unknown counts as no.
    pub(super) async fn is_taken(&self, vm: &Ref<mo::VirtualMachine>, job: &Job<'_>) -> bool {
        let machine = self.endpoint.machine(vm, &job.host).await;
        machine.is_ok_and(|machine| job.must_own(&machine).is_err())
    }

    /// Returns the error of an object that appeared after planning: if it belongs to another
    /// installation of the same host, the error says so.
    pub(super) async fn rival(&self, error: Error, job: &Job<'_>) -> Error {
        match self.find(&job.spec.name).await {
            Ok(_) => Error::already_exists(job.host.clone())
                .with_source("another program has installed it, or is installing it"),
            Err(_) => error,
        }
    }
}

impl Job<'_> {
    /// # Errors
    /// [`InUse`](crate::ErrorKind::InUse) if another installation has taken the appliance over.
    pub(super) fn must_own(&self, machine: &Machine) -> Result<()> {
        match record(machine) {
            Some(record) if record.installer.as_deref() == Some(&self.installer) => Ok(()),
            _ => Err(Error::in_use(
                self.host.clone(),
                "another installation of this host, which has taken over",
            )),
        }
    }
}

fn record(machine: &Machine) -> Option<HostRecord> {
    HostRecord::read(&machine.keys.unpack())
}
