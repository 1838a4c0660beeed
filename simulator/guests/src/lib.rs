//! Guests of the simulator that run real processes.
