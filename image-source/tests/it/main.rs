//! Images from archives, layouts and registries, good and bad.

#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod archives;
mod registries;
mod registry;
mod sample;
