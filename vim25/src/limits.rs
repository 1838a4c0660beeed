//! Limits on the memory that a peer can make us use.

/// Limits on one decoded message.
///
/// The defaults are far above what any server sends in one page and far below
/// what would do harm: a page of `RetrievePropertiesEx` is a few MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of XML; at most 4 GiB - 1. Default 1 GiB.
    pub bytes: usize,
    /// Nested elements. Default 1,000: a disk with a chain of 255 parents nests once per parent.
    pub depth: usize,
    /// Values in the message, each 12 bytes of memory. Default 2^26.
    pub values: usize,
    /// Bytes of text in one element. Default 256 MiB.
    pub text: usize,
    /// Bytes of attributes in one start tag. Default 64 KiB.
    pub attributes: usize,
    /// Namespace declarations that are in force at one element. Default 256.
    pub namespaces: usize,
    /// Distinct names that the schema does not know. Default 4,096, at most 32,767.
    pub unknown_names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            depth: 1_000,
            values: 1 << 26,
            text: 256 << 20,
            attributes: 64 << 10,
            namespaces: 256,
            unknown_names: 4_096,
        }
    }
}
