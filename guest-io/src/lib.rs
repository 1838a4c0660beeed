//! What passes over the serial lines of a container machine, both ends of each format.
