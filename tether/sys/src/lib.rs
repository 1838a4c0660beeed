//! The system calls of the agent in a container machine.
