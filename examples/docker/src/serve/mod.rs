//! What the program serves, and how.

pub(crate) mod certificates;
#[cfg(target_os = "linux")]
pub(crate) mod dialer;
pub(crate) mod host;
