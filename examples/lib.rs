//! Code that the examples share: selecting the endpoint, and output for the user. Each example
//! is a file next to this one.

pub mod certificate_summary;
pub mod certificates;
pub mod endpoint;
pub mod footprint;
pub mod hello_image;
pub mod installer;
pub mod interrupt;
pub mod names;
pub mod output;
pub mod report;
pub mod stage;
pub mod table;

/// The README's snippets, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
