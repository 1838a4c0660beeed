//! Virtual disks: a descriptor of text and an extent of sparse bytes.
