//! The agent in a container machine.
