//! Executable files (System V ABI, "ELF Header" and "Program Header").

use crate::Machine;

/// Where the file is mapped.
const BASE: u64 = 0x40_0000;
/// The size of the ELF header and the only program header.
const HEADERS: u64 = 64 + 56;

/// Returns an executable with one segment: the headers, the code, and data after the code.
pub(crate) fn file(machine: Machine, code: &[u8], data: &[u8]) -> Vec<u8> {
    let machine: u16 = match machine {
        Machine::X86_64 => 62,
        Machine::Aarch64 => 183,
    };
    let size = HEADERS + (code.len() + data.len()) as u64;
    // 64-bit, little-endian, version 1.
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2_u16.to_le_bytes()); // an executable
    file.extend(machine.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend((BASE + HEADERS).to_le_bytes()); // entry
    file.extend(64_u64.to_le_bytes()); // program headers
    file.extend(0_u64.to_le_bytes()); // no sections
    file.extend(0_u32.to_le_bytes());
    for number in [64_u16, 56, 1, 64, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes()); // a loaded segment
    file.extend(5_u32.to_le_bytes()); // readable and executable
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(code);
    file.extend(data);
    file
}
