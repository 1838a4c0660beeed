//! Containers that are virtual machines.
