//! What the program serves, and how.

pub(crate) mod certificates;
pub(crate) mod host;
