//! A Docker front end on the port layer: the Docker Engine API for containers that are machines.

fn main() {}
