//! A small front end: runs an image as a machine, streams its output and returns its exit status.

fn main() {}
