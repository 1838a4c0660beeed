//! What all parts of one simulator share.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vim25::{Ref, mo};

use crate::builder::Settings;
use crate::datastore::Store;
use crate::device::Devices;
use crate::guest::{Guest, Turn};
use crate::script::Script;
use crate::serial::Ports;
use crate::task::Job;
use crate::world::Registry;

/// One simulator.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) script: Script,
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) stop: CancellationToken,
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
}

/// What happens after a transaction.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A task begins.
    Run(Job),
    /// A machine was powered on: its guest begins.
    Boot(Ref<mo::VirtualMachine>, Turn),
    /// Its serial ports begin to be served.
    Serve(Ports),
    /// Its serial ports are connected to what the devices say now.
    Rewire(Ports, Devices),
    /// Something that runs is told to end.
    Stop(CancellationToken),
}

impl Core {
    pub(crate) fn run(self: &Arc<Self>, effect: Effect) {
        let core = Arc::clone(self);
        match effect {
            Effect::Run(job) => self.spawn(crate::task::run(core, job)),
            Effect::Boot(vm, turn) => self.spawn(crate::guest::boot(core, vm, turn)),
            Effect::Serve(ports) => ports.serve(self),
            Effect::Rewire(ports, devices) => ports.rewire(self, &devices),
            Effect::Stop(token) => token.cancel(),
        }
    }

    /// Runs a future until the simulator is shut down.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn_on(
            async move {
                stop.run_until_cancelled_owned(future).await;
            },
            &self.runtime,
        );
    }
}
