//! Container images from registries, archives and layouts.
