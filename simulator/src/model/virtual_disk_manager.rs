//! Virtual disks without a machine.

use crate::invocation::{Answer, Invocation};

pub(super) fn call(_inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    None
}
