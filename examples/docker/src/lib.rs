//! A Docker front end on the port layer: the Docker Engine API for containers that are machines.
//!
//! [`FrontEnd`] implements the API with calls to a [`PortLayer`], and does not depend on its back
//! end or on vSphere. The state of containers is the port layer's. Docker's own settings (`--rm`,
//! labels) are stored with the containers, and the names of images in the host's store, or in a
//! file if the host has none.
//!
//! This package's README lists which commands work and which are refused.

#![recursion_limit = "256"]

mod attach;
mod catalog;
mod changes;
mod connections;
mod detach;
mod error;
mod events;
mod front_end;
mod launch;
mod multiplex;
mod names;
mod options;
mod port_choice;
mod ports;
mod progress;
mod reply;
mod request;
mod router;
mod routes;
pub mod scripted;
mod server;
mod spec;
mod time;
mod times;
mod units;
mod view;
mod written;

pub use front_end::{FrontEnd, Settings};
#[doc(no_inline)]
pub use portlayer::PortLayer;
