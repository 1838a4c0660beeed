//! Depends on the crate that build times are compared with.
