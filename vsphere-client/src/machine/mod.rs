//! Everyday operations of a virtual machine.

mod console;
mod copies;
mod guest;
mod methods;
mod power;
mod registration;
mod snapshot;

pub use console::{ConsoleKind, ConsoleTicket};
pub use snapshot::Snapshot;

use vim25::types::{ConcurrentAccess, OptionValue, VirtualMachineConfigSpec};
use vim25::{Poly, Property, Ref, mo, path};

use crate::client::Client;
use crate::device::DeviceList;
use crate::error::{Error, Result};

/// The maximum number of attempts of an edit while the machine is changed concurrently.
const ATTEMPTS: u32 = 5;

const CHANGE_VERSION: Property<mo::VirtualMachine, String> =
    path!(VirtualMachine, config.changeVersion);
const DEVICES: Property<mo::VirtualMachine, Vec<Poly<vim25::types::VirtualDevice>>> =
    path!(VirtualMachine, config.hardware.device);

impl Client {
    /// Returns the everyday operations of a virtual machine. All other operations are methods
    /// of its reference, for use with [`call`](Self::call) and [`run`](Self::run).
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use vim25::{Ref, mo};
    ///
    /// # async fn example(client: &vsphere_client::Client, vm: &Ref<mo::VirtualMachine>) -> vsphere_client::Result<()> {
    /// let machine = client.machine(vm);
    /// machine.power_on().await?;
    /// println!("{}", machine.wait_for_ip().await?);
    /// if !machine.shut_down(Duration::from_secs(60)).await? {
    ///     machine.power_off().await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn machine<'c>(&'c self, vm: &'c Ref<mo::VirtualMachine>) -> Machine<'c> {
        Machine { client: self, vm }
    }
}

/// The everyday operations of a virtual machine; returned by [`Client::machine`].
#[derive(Clone, Copy, Debug)]
pub struct Machine<'c> {
    client: &'c Client,
    vm: &'c Ref<mo::VirtualMachine>,
}

impl Machine<'_> {
    /// Reads the devices.
    ///
    /// # Errors
    /// [`Error::Unset`] while the machine's configuration cannot be read, for example because
    /// its host does not respond; otherwise see [`Error`].
    pub async fn devices(&self) -> Result<DeviceList> {
        Ok(DeviceList::new(self.client.get(self.vm, DEVICES).await?))
    }

    /// Edits the devices by calling `edit` with the current list. If the machine was changed
    /// concurrently, the edit is retried a few times on the new list. If `edit` changes
    /// nothing, nothing is sent.
    ///
    /// # Errors
    /// The error that `edit` returns; [`ConcurrentAccess`] when a concurrent change made every
    /// attempt fail; otherwise see [`Error`].
    pub async fn edit_devices(
        &self,
        mut edit: impl FnMut(&mut DeviceList) -> Result<()> + Send,
    ) -> Result<()> {
        let mut attempt = 1;
        loop {
            let (version, devices) = self
                .client
                .try_get(self.vm, (CHANGE_VERSION, DEVICES))
                .await?;
            let Some(devices) = devices else {
                return Err(Error::Unset {
                    object: Box::new(self.vm.upcast()),
                    property: DEVICES.path().into(),
                });
            };
            let mut devices = DeviceList::new(devices);
            edit(&mut devices)?;
            if devices.is_unchanged() {
                return Ok(());
            }
            let spec = VirtualMachineConfigSpec {
                change_version: version,
                device_change: devices.into_changes(),
                ..VirtualMachineConfigSpec::default()
            };
            match self.client.run(self.vm.reconfig_vm(&spec)).await {
                Err(error) if error.is_fault::<ConcurrentAccess>() && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Sets keys of `extraConfig`; an empty value deletes a key. If a version is given, which
    /// was read from `config.changeVersion`, the server refuses the change if the machine was
    /// changed since then.
    ///
    /// # Errors
    /// [`ConcurrentAccess`] when the version is stale; otherwise see [`Error`].
    pub async fn set_extra_config<'k>(
        &self,
        pairs: impl IntoIterator<Item = (&'k str, &'k str)> + Send,
        change_version: Option<&str>,
    ) -> Result<()> {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| Poly::new(OptionValue::new(key, value)));
        let spec = VirtualMachineConfigSpec {
            change_version: change_version.map(str::to_owned),
            extra_config: pairs.collect(),
            ..VirtualMachineConfigSpec::default()
        };
        self.client.run(self.vm.reconfig_vm(&spec)).await
    }
}
