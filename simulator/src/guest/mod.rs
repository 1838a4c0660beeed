//! What runs inside machines that are powered on.

mod machine;
mod program;
mod tether;

pub use machine::{GuestError, GuestMachine};
pub use program::{Process, Program};
pub use tether::Tether;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
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
    async fn run(&self, machine: GuestMachine);
}

/// Begins the guest of a machine.
pub(crate) async fn boot(core: Arc<Core>, vm: Ref<mo::VirtualMachine>) {
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
