//! Async client of ESXi and vCenter.
