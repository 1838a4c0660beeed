//! Brings the crate along that build times are compared with.
