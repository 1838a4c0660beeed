//! What the examples share: which endpoint to talk to, and names for
//! containers. Each example is a file beside this one.

pub mod endpoint;
pub mod names;
