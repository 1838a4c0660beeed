//! What runs inside machines that are powered on.

mod disks;
mod hardware;
mod machine;
mod network;
mod program;
mod program_request;
mod programs;
mod serial;
mod tether;

pub(crate) use disks::{
    check_free, check_unlocked, flush_file, flush_machine, flush_parents, forget_file,
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

use crate::core::Core;

/// What runs in a machine, from power-on to power-off.
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
    /// reset, or the simulator ends. A guest that returns without
    /// [`power_off`](GuestMachine::power_off) leaves its machine on, doing nothing.
    /// Whatever it has started must have ended when the future is gone: the
    /// next guest of the machine begins right after.
    async fn run(&self, machine: GuestMachine);

    /// Writes what the guest keeps of a disk outside its files into these files.
    ///
    /// A guest may hold the content of a disk in a form of its own, such as a
    /// tree of files. The simulator calls this before anybody else reads the disk: a
    /// download of one of its files, an export or a copy, a child disk that is
    /// made of it. It is never called on the way from making a machine to its end,
    /// nor while a machine that has the disk is on: such a disk is locked. It is called for disks that
    /// the guest has never seen too, and more than once for one disk; a guest that holds
    /// nothing of it returns at once. Only the first file of the
    /// disk's [`chain`](GuestDisk::chain) may be written to. After it the guest may go on holding
    /// what it has, as a copy of what is in the files.
    ///
    /// # Errors
    /// The reader is refused with this error, and the disk stays as it is.
    ///
    /// # Cancel safety
    /// The future may be dropped when the simulator ends; the files should not
    /// be left half written.
    async fn flush(&self, disk: &GuestDisk) -> io::Result<()> {
        let _ = disk;
        Ok(())
    }

    /// Throws away what the guest keeps of a disk: its files are deleted, or
    /// replaced by an upload. Called after that and before whoever asked for it is told;
    /// no machine with the disk is on.
    async fn forget(&self, disk: &GuestDisk) {
        let _ = disk;
    }
}

/// When a guest may begin: once the one before it in the same machine has ended.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Option<CancellationToken>,
    ended: CancellationToken,
}

impl Turn {
    /// A turn after the one whose end is noted; notes its own end there.
    pub(crate) fn after(last: &mut Option<CancellationToken>) -> Self {
        let ended = CancellationToken::new();
        let before = last.replace(ended.clone());
        Self { before, ended }
    }
}

/// Begins the guest of a machine.
pub(crate) async fn boot(core: Arc<Core>, vm: Ref<mo::VirtualMachine>, turn: Turn) {
    let Turn { before, ended } = turn;
    let _ended = ended.drop_guard();
    if let Some(before) = before {
        before.cancelled().await;
    }
    let Some((machine, stop)) = GuestMachine::new(&core, &vm) else {
        return;
    };
    let guest = Arc::clone(&core.guest);
    drop(core);
    let run = AssertUnwindSafe(async move { guest.run(machine).await }).catch_unwind();
    if let Some(Err(_)) = stop.run_until_cancelled_owned(run).await {
        tracing::error!(%vm, "the guest of a machine panicked");
    }
}
