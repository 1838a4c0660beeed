//! The back ends of the program, and its TLS certificates.

pub(crate) mod certificates;
#[cfg(target_os = "linux")]
pub(crate) mod dialer;
pub(crate) mod host;
