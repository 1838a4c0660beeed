//! Guests: the software in machines that are powered on.

mod cards;
mod disks;
mod hardware;
mod machine;
mod network;
mod program;
mod program_request;
mod programs;
mod serial;
mod tether;

pub(crate) use cards::Cards;
pub(crate) use disks::{
    check_free, check_unlocked, flush_file, flush_machine, flush_parents, forget_file,
    settle_machine,
};
pub use hardware::{DiskMode, GuestDisk, GuestHardware, GuestNic};
pub use machine::{GuestError, GuestMachine};
pub use network::{GuestAddress, GuestNicAddresses};
pub use program::{Process, Program};
pub(crate) use program_request::Order;
pub use program_request::{GuestProgram, GuestProgramRefusal};
pub(crate) use programs::Programs;
pub use serial::SerialPort;
pub use tether::Tether;

use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use vim25::{Ref, mo};

use crate::shared::Shared;

/// The software in a machine, from power-on to power-off.
///
/// ```
/// use simulator::{Guest, GuestMachine, Simulator};
///
/// /// Says hello and switches itself off.
/// #[derive(Debug)]
/// struct Hello;
///
/// #[async_trait::async_trait]
/// impl Guest for Hello {
///     async fn run(&self, machine: GuestMachine) {
///         if machine.set("guestinfo.greeting", "hello").is_ok() {
///             machine.power_off();
///         }
///     }
/// }
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::builder().guest(Hello).start().await?;
/// # Ok(())
/// # }
/// ```
#[async_trait::async_trait]
pub trait Guest: fmt::Debug + Send + Sync + 'static {
    /// Runs in a machine that was just powered on or reset.
    ///
    /// The future is dropped when the machine is powered off, suspended or
    /// reset, or when the simulator ends. A guest that returns without
    /// [`power_off`](GuestMachine::power_off) leaves its machine on and idle.
    /// Processes and tasks that the guest started must have ended when the
    /// future is dropped: the machine's next guest starts right after.
    async fn run(&self, machine: GuestMachine);

    /// Writes pending changes of a disk to its files. The default does nothing.
    ///
    /// A guest may keep the content of a disk in another form, such as a directory tree, and
    /// write it back lazily. The simulator calls `flush` before it reads the disk itself: for
    /// a download of one of its files, an export, a copy or move, and before a child disk is
    /// created from it. Creating, starting, stopping and destroying a machine do not flush its
    /// own disks. When `flush` is called, the machine is off and its last [`run`](Self::run)
    /// has ended.
    ///
    /// The call must be idempotent, and a no-op for a disk that the guest does
    /// not know. Only the first file of the disk's [`chain`](GuestDisk::chain) may be
    /// written. The guest may keep its own copy afterwards.
    ///
    /// # Errors
    /// The operation that needed the disk fails with this error.
    ///
    /// # Cancel safety
    /// The future is dropped when the simulator shuts down; the disk must stay readable.
    async fn flush(&self, disk: &GuestDisk) -> io::Result<()> {
        let _ = disk;
        Ok(())
    }

    /// Gives up the files of a disk while the machine is on. The default does nothing, which is
    /// right for guests that do not use the files of disks.
    ///
    /// Called before a snapshot of the machine is taken, before redo logs of a removed snapshot
    /// are merged, before the machine is cloned, and before its files move to another datastore. The
    /// guest writes pending changes to the
    /// disk's files. From then on it must not write to them, because others continue the disk:
    /// until the machine is powered on again, [`GuestMachine::hardware`] names files that may
    /// have become parents, or may have been deleted.
    ///
    /// # Errors
    /// The operation fails with `SnapshotFault`, and the disk does not change.
    async fn release(&self, disk: &GuestDisk) -> io::Result<()> {
        let _ = disk;
        Ok(())
    }

    /// Discards the guest's own copy of a disk. The default does nothing.
    ///
    /// Called after the disk's files were deleted, moved or overwritten by an upload, and
    /// before that operation is reported as complete. All machines that have the disk are off, or
    /// their guests have [released](Self::release) it.
    /// Like [`flush`](Self::flush), it is also called for disks that the guest does not know.
    async fn forget(&self, disk: &GuestDisk) {
        let _ = disk;
    }
}

/// The turn of a guest in the queue of its machine: a guest starts after its predecessor has
/// ended.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Option<CancellationToken>,
    ended: CancellationToken,
}

impl Turn {
    /// Queues behind the guest whose end `last` signals, and replaces `last`.
    pub(crate) fn after(last: &mut Option<CancellationToken>) -> Self {
        let ended = CancellationToken::new();
        let before = last.replace(ended.clone());
        Self { before, ended }
    }
}

/// Runs the guest of a machine until the machine is powered off or reset.
pub(crate) async fn boot(shared: Arc<Shared>, vm: Ref<mo::VirtualMachine>, turn: Turn) {
    let Turn { before, ended } = turn;
    let _ended = ended.drop_guard();
    if let Some(before) = before {
        before.cancelled().await;
    }
    let Some((machine, stop)) = GuestMachine::new(&shared, &vm) else {
        return;
    };
    let guest = Arc::clone(&shared.guest);
    drop(shared);
    let run = std::panic::catch_unwind(AssertUnwindSafe(|| guest.run(machine)));
    let ended = match run {
        Ok(run) => {
            let run = AssertUnwindSafe(run).catch_unwind();
            stop.run_until_cancelled(run).await
        }
        Err(panic) => Some(Err(panic)),
    };
    if let Some(Err(_)) = ended {
        tracing::error!(%vm, "the guest of a machine panicked");
    }
}
