//! A Docker front end on the port layer: the Docker Engine API for containers that are machines.
//!
//! [`FrontEnd`] answers the API's requests by calls of a [`PortLayer`], whatever is behind it. It
//! knows nothing of vSphere. All state of containers is the port layer's; what docker has and the
//! port layer has not (names of images, `--rm`, labels) is small and kept with the host where the
//! host keeps values, or else in a file.
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
mod view;
mod words;

pub use front_end::{FrontEnd, Settings};
#[doc(no_inline)]
pub use portlayer::PortLayer;
