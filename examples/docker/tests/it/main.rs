//! The API itself, over a Unix socket, on scripted containers. The docker command drives the same
//! front end in the interoperability suite.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod bad_input;
mod client;
mod endpoint;
mod full_datastore;
mod life;
mod lists;
mod networks;
mod ports;
mod pull;
mod restart;
mod save;
mod websocket;
