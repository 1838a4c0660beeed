//! What runs inside a machine.
use crate::core::Core;
use std::sync::Arc;
use vim25::{Ref, mo};
/// A guest.
pub trait Guest: std::fmt::Debug + Send + Sync + 'static {}
/// e
#[derive(Debug)]
pub struct GuestError;
/// e
#[derive(Debug)]
pub struct GuestMachine;
/// e
#[derive(Debug)]
pub struct Program;
/// e
#[derive(Debug, Default)]
pub struct Tether;
impl Tether {
    /// new
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}
impl Guest for Tether {}
pub(crate) async fn boot(_core: Arc<Core>, _vm: Ref<mo::VirtualMachine>) {}
