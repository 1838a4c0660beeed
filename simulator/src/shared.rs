//! State shared by all parts of one simulator.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vim25::{Ref, mo};

use crate::builder::Settings;
use crate::datastore::Store;
use crate::device::Devices;
use crate::guest::{Cards, Guest, Turn};
use crate::saved::Saver;
use crate::script::Script;
use crate::serial::{Ports, Resolver};
use crate::task::Job;
use crate::world::Registry;

/// The state of one simulator.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) settings: Settings,
    /// The address that the server listens on.
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) script: Script,
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) saver: Saver,
    /// Looks up the hosts of serial ports.
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) stop: CancellationToken,
    pub(crate) tracker: TaskTracker,
    pub(crate) runtime: Handle,
}

/// An action to be done after a transaction was committed.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Starts a task.
    Run(Job),
    /// Starts the guest of a machine that was powered on.
    Boot(Ref<mo::VirtualMachine>, Turn),
    /// Connects the serial ports of a machine.
    Serve(Ports),
    /// Reconnects serial ports and network cards after a reconfiguration.
    Rewire(Ports, Cards, Devices),
    /// Starts a long-running job.
    Then(Later),
    /// Wakes waiters, which check again.
    Wake(Arc<Notify>),
    /// Cancels a token, to stop something that is running.
    Stop(CancellationToken),
}

/// A long-running job, executed outside of transactions.
pub(crate) struct Later(Box<dyn FnOnce(Arc<Shared>) -> BoxFuture<'static, ()> + Send>);

impl Later {
    pub(crate) fn new<F>(work: impl FnOnce(Arc<Shared>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move |shared| work(shared).boxed()))
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

impl Shared {
    pub(crate) fn run(self: &Arc<Self>, effect: Effect) {
        let shared = Arc::clone(self);
        match effect {
            Effect::Run(job) if job.is_immediate() => {
                self.spawn_blocking(move || job.run_now(&shared));
            }
            Effect::Run(job) => self.spawn(crate::task::run(shared, job)),
            // Boxed: tasks are wrapped several times, and each time the compiler reserves room for a
            // copy. Thousands of machines may be on.
            Effect::Boot(vm, turn) => self.spawn(crate::guest::boot(shared, vm, turn).boxed()),
            Effect::Serve(ports) => ports.serve(self),
            Effect::Rewire(ports, cards, devices) => {
                ports.rewire(self, &devices);
                cards.rewire(&devices);
            }
            Effect::Then(Later(work)) => self.spawn(work(shared)),
            Effect::Wake(news) => news.notify_waiters(),
            Effect::Stop(token) => token.cancel(),
        }
    }

    /// Runs tasks that are one transaction each, after the caller has answered the call that started
    /// them.
    pub(crate) fn run_tasks(self: &Arc<Self>, tasks: Vec<Job>) {
        if tasks.is_empty() {
            return;
        }
        let shared = Arc::clone(self);
        let run = move || tasks.into_iter().for_each(|task| task.run_now(&shared));
        if self.runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            // The thread that answered runs them next, which saves waking another one. They may access
            // small files, but other calls wait for the inventory in any case.
            self.tracker.spawn_on(async move { run() }, &self.runtime);
        } else {
            // The program that contains the simulator has no other thread.
            self.spawn_blocking(run);
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

    /// Runs work that may block. A shutdown waits for its end.
    pub(crate) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.tracker.spawn_blocking_on(work, &self.runtime);
    }
}
