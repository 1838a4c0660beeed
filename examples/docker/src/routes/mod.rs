//! The handlers of requests, by kind of object.

pub(crate) mod containers;
mod host_config;
pub(crate) mod images;
pub(crate) mod lifecycle;
pub(crate) mod listing;
pub(crate) mod networks;
pub(crate) mod pull;
pub(crate) mod refused;
pub(crate) mod save;
pub(crate) mod streams;
pub(crate) mod system;
