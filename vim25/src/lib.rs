//! The complete vSphere Web Services API as Rust types.
