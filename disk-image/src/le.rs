//! Reads and writes little-endian fields.

pub(crate) fn put_u16(to: &mut [u8], at: usize, value: u16) {
    to[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(to: &mut [u8], at: usize, value: u32) {
    to[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(to: &mut [u8], at: usize, value: u64) {
    to[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Reads a field at `at`, which must be within `from`.
pub(crate) fn u16_at(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([from[at], from[at + 1]])
}

pub(crate) fn u32_at(from: &[u8], at: usize) -> u32 {
    u32::from(u16_at(from, at)) | u32::from(u16_at(from, at + 2)) << 16
}

pub(crate) fn u64_at(from: &[u8], at: usize) -> u64 {
    u64::from(u32_at(from, at)) | u64::from(u32_at(from, at + 4)) << 32
}
