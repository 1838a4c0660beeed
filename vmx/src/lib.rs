//! Lossless reader, editor and writer of VMX files.
