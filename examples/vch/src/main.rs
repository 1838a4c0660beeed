//! The command that installs, inspects and deletes virtual container hosts.

fn main() {}
