//! The interface of a machine that its guest sees.

use std::sync::Arc;

use guestinfo::rpc::{GuestRpc, RpcError};
use tokio_util::sync::CancellationToken;
use vim25::types::{GuestInfo, VirtualMachineConfigInfo};
use vim25::{Fault, Ref, mo};

use super::cards::Cards;
use super::hardware::{GuestHardware, GuestNic};
use super::network::{self, GuestNicAddresses};
use super::program_request::GuestProgram;
use super::programs::Programs;
use super::serial::SerialPort;
use crate::machine::{self, Cycle, Machine, properties};
use crate::model::virtual_machine;
use crate::serial::Ports;
use crate::shared::Shared;
use crate::world::Transaction;

/// Maximum size in bytes of one message between guest and host.
const MESSAGE: usize = 64 << 10;
/// Maximum size in bytes to which a guest may grow the `.vmx` file, unless
/// `tools.setInfo.sizeLimit` is set.
const FILE: usize = 1 << 20;

/// A guest's view of its machine: its devices, keys that start with
/// `guestinfo.`, reports to the host, and the power switch.
#[derive(Clone, Debug)]
pub struct GuestMachine {
    shared: Arc<Shared>,
    vm: Ref<mo::VirtualMachine>,
    cycle: u64,
    shutdown: CancellationToken,
    hardware: Arc<GuestHardware>,
    ports: Ports,
    cards: Cards,
    programs: Programs,
}

/// The reason why the host refused a request of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GuestError {
    reason: &'static str,
}

const fn refuse(reason: &'static str) -> GuestError {
    GuestError { reason }
}

impl GuestMachine {
    /// Creates the guest's view and the token that ends the guest; `None` if the machine is
    /// no longer on.
    pub(super) fn new(
        shared: &Arc<Shared>,
        vm: &Ref<mo::VirtualMachine>,
    ) -> Option<(Self, CancellationToken)> {
        let tx = Transaction::begin(shared).ok()?;
        let object = tx.object(vm).ok()?;
        let config: VirtualMachineConfigInfo = object.read("config").ok()?;
        let machine = Machine::of(object).ok()?;
        let cycle = machine.cycle.as_ref()?;
        let view = Self {
            shared: Arc::clone(shared),
            vm: vm.clone(),
            cycle: cycle.number,
            shutdown: cycle.shutdown.clone(),
            hardware: Arc::new(GuestHardware::of(shared, machine.vmx.site(), &config)),
            ports: cycle.ports.clone(),
            cards: cycle.cards.clone(),
            programs: cycle.programs.clone(),
        };
        Some((view, cycle.stop.clone()))
    }

    /// Returns the machine's name. A real guest does not know this name, but test programs may
    /// use it.
    #[must_use]
    pub fn name(&self) -> String {
        let tx = Transaction::begin(&self.shared);
        tx.and_then(|tx| tx.object(&self.vm).map(|object| object.name().to_owned()))
            .unwrap_or_default()
    }

    /// Returns the hardware of the machine when the guest started. The files that it names exist from
    /// now on: until then, the simulator may keep them in memory.
    #[must_use]
    pub fn hardware(&self) -> &GuestHardware {
        for file in self.hardware.files() {
            if let Err(error) = self.shared.store.write_out(file) {
                tracing::error!(file = %file.display(), %error, "a guest's file was not written");
            }
        }
        &self.hardware
    }

    /// Returns the guest's end of serial port `number`: `serialN` in the
    /// machine's `.vmx` file, `ttySN` in Linux. `None` if there is no such port.
    ///
    /// Connections survive a reset; see [`SerialPort`].
    #[must_use]
    pub fn serial(&self, number: usize) -> Option<SerialPort> {
        self.ports.line(number).map(SerialPort::new)
    }

    /// Returns the network cards as they are now, ordered by device key. Unlike those in
    /// [`hardware`](Self::hardware), they reflect later reconfigurations: a card may have been
    /// disconnected, or connected to another network.
    #[must_use]
    pub fn nics(&self) -> Vec<GuestNic> {
        self.cards.now()
    }

    /// Waits until the network cards differ from `seen`, and returns them.
    ///
    /// Cancel-safe.
    pub async fn nics_changed(&self, seen: &[GuestNic]) -> Vec<GuestNic> {
        self.cards.changed(seen).await
    }

    /// Returns the value of a key, if it exists.
    ///
    /// # Errors
    /// Fails if the key does not start with `guestinfo.` or the machine is off.
    pub fn get(&self, key: &str) -> Result<Option<String>, GuestError> {
        if !is_visible(key) {
            return Err(refuse("Permission denied"));
        }
        self.read(|machine, _| machine.extra.get(key).map(str::to_owned))
    }

    /// Returns whether the machine has any key that a guest can read.
    pub(super) fn has_keys(&self) -> bool {
        let found = self.read(|machine, _| machine.extra.iter().any(|(key, _)| is_visible(key)));
        found.unwrap_or(false)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// Fails if the key does not start with `guestinfo.` or contains a `/`, if the value is
    /// empty or too long, if the file would grow too large, if
    /// `isolation.tools.setInfo.disable` is set, or if the machine is off.
    pub fn set(&self, key: &str, value: &str) -> Result<(), GuestError> {
        if !is_visible(key) || key.contains('/') {
            return Err(refuse("Permission denied"));
        }
        if key.contains([' ', '\t', '\n', '\r', '#', '=', '\0']) {
            return Err(refuse("Invalid key"));
        }
        if value.is_empty() || value.contains('\0') {
            return Err(refuse("Invalid value"));
        }
        if key.len() + value.len() >= MESSAGE {
            return Err(refuse("Message too long"));
        }
        self.change(|machine, cycle| {
            let off = machine.extra.get("isolation.tools.setInfo.disable");
            if off.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
                return Err(refuse("Disabled by configuration"));
            }
            let limit = machine.extra.get("tools.setInfo.sizeLimit");
            let limit = limit.and_then(|text| text.parse().ok()).unwrap_or(FILE);
            if machine.document.to_bytes().len() + key.len() + value.len() > limit {
                return Err(refuse("Virtual machine file too large"));
            }
            machine
                .extra
                .apply([(key, value)])
                .map_err(|_| refuse("Invalid key or value"))?;
            let folded = key.to_ascii_lowercase();
            cycle.by_api.remove(&folded);
            cycle.by_guest.insert(folded);
            Ok(())
        })
    }

    /// Reports whether the guest's tools are running: only then can the host request a shutdown.
    pub fn set_tools_running(&self, running: bool) {
        let done = self.transact(|tx| {
            let object = tx.edit(&self.vm)?;
            if let Some(cycle) = &mut Machine::edit(object)?.cycle {
                cycle.tools = running;
            }
            object.modify("guest", |guest| properties::set_tools(guest, running))?;
            properties::refresh(tx, &self.vm)
        });
        drop(done);
    }

    /// Reports the guest's host name, shown as `guest.hostName`. An empty name clears it.
    pub fn set_host_name(&self, name: &str) {
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        self.change_guest(|guest| guest.host_name = name);
    }

    /// Reports the addresses of the guest's network cards, shown as `guest.net`. Replaces
    /// the previous report. The first address is also shown as `guest.ipAddress`.
    ///
    /// Cards are matched by [`mac`](GuestNicAddresses::mac). A card that the
    /// machine does not have is shown without a device, like an interface that
    /// the guest created itself.
    pub fn set_network_info(&self, nics: &[GuestNicAddresses]) {
        let shown = network::show(nics, &self.hardware);
        let first = nics.iter().flat_map(GuestNicAddresses::addresses).next();
        let first = first.map(|address| address.ip.to_string());
        self.change_guest(|guest| {
            guest.net = shown;
            guest.ip_address = first;
        });
    }

    fn change_guest(&self, change: impl FnOnce(&mut GuestInfo)) {
        let done = self.transact(|tx| {
            tx.edit(&self.vm)?.modify("guest", change)?;
            properties::refresh(tx, &self.vm)
        });
        if let Err(fault) = done {
            tracing::debug!(vm = %self.vm, %fault, "a guest reported to a machine that is off");
        }
    }

    /// Waits for the next `StartProgramInGuest` request. Clients can send them only
    /// after [`set_tools_running`](Self::set_tools_running).
    ///
    /// Cancel-safe: no request is lost.
    pub async fn next_program(&self) -> GuestProgram {
        self.programs.next().await
    }

    /// Waits until the host requests a shutdown.
    pub async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }

    /// Powers the machine off. The guest's future is dropped at its next await.
    pub fn power_off(&self) {
        drop(self.transact(|tx| virtual_machine::power_off(tx, &self.vm)));
    }

    fn read<T>(&self, read: impl FnOnce(&Machine, &Cycle) -> T) -> Result<T, GuestError> {
        let gone = |_| refuse("The machine is off");
        let tx = Transaction::begin(&self.shared).map_err(gone)?;
        let object = tx.object(&self.vm).map_err(gone)?;
        let machine = Machine::of(object).map_err(gone)?;
        match &machine.cycle {
            Some(cycle) if cycle.number == self.cycle => Ok(read(machine, cycle)),
            _ => Err(refuse("The machine is off")),
        }
    }

    /// Changes keys, both in the API's properties and in the `.vmx` file.
    fn change(
        &self,
        change: impl FnOnce(&mut Machine, &mut Cycle) -> Result<(), GuestError>,
    ) -> Result<(), GuestError> {
        let mut refused = None;
        let moves = self
            .shared
            .settings
            .platform
            .guest_write_bumps_change_version;
        let done = self.transact(|tx| {
            let object = tx.edit(&self.vm)?;
            let mut config: VirtualMachineConfigInfo = object.read("config")?;
            let machine = Machine::edit(object)?;
            if let Some(mut cycle) = machine.cycle.take() {
                let changed = change(machine, &mut cycle);
                machine.cycle = Some(cycle);
                if let Err(error) = changed {
                    refused = Some(error);
                    tx.discard();
                    return Ok(());
                }
            }
            machine::store(tx, &self.vm, &mut config, moves)
        });
        match (done, refused) {
            (_, Some(error)) => Err(error),
            (Err(_), None) => Err(refuse("The machine is off")),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Runs a transaction if the machine is still in the power cycle of this guest.
    fn transact(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut tx = Transaction::begin(&self.shared)?;
        let machine = Machine::of(tx.object(&self.vm)?)?;
        if machine.cycle.as_ref().map(|cycle| cycle.number) != Some(self.cycle) {
            return Err(crate::fault::invalid_state());
        }
        work(&mut tx)?;
        tx.commit();
        Ok(())
    }
}

/// Returns whether a guest can read a key.
fn is_visible(key: &str) -> bool {
    const PREFIX: &str = "guestinfo.";
    key.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Implements the transport of the `guestinfo` crate, so that its typed values can be read and
/// written.
impl GuestRpc for GuestMachine {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        Self::get(self, key).map_err(|error| refused("info-get", key, error))
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        Self::set(self, key, value).map_err(|error| refused("info-set", key, error))
    }
}

fn refused(verb: &'static str, key: &str, error: GuestError) -> RpcError {
    RpcError::Refused {
        verb,
        key: key.to_owned(),
        reason: error.reason.to_owned(),
    }
}
