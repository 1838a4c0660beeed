//! Codec between Rust values and guestinfo keys.
