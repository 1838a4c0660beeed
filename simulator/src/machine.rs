//! What a virtual machine has beside its properties.

/// stub
#[derive(Clone, Debug)]
pub(crate) struct Machine;
