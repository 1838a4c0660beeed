//! Static programs, assembled by hand, so that no compiler and no C library is needed.

/// Returns a program that writes a text to standard output and exits with a status, for the
/// architecture on which the tests run.
pub(crate) fn program(text: &str, status: u8) -> Vec<u8> {
    if cfg!(target_arch = "x86_64") {
        x86_64(text, status)
    } else if cfg!(target_arch = "aarch64") {
        aarch64(text, status)
    } else {
        panic!("there is no program for this architecture");
    }
}

/// Where the file is mapped.
const BASE: u64 = 0x40_0000;
/// The size of the ELF header and the only program header.
const HEADERS: u64 = 64 + 56;

fn x86_64(text: &str, status: u8) -> Vec<u8> {
    let length = u32::try_from(text.len())
        .expect("a short text")
        .to_le_bytes();
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1 (stdout)
    code.extend([0x48, 0x8d, 0x35, 21, 0, 0, 0]); // lea rsi, [rip + 21]
    code.push(0xba); // mov edx, length
    code.extend(length);
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 231, 0, 0, 0]); // mov eax, 231 (exit_group)
    code.push(0xbf); // mov edi, status
    code.extend(u32::from(status).to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x0f, 0x0b]); // ud2
    file(62, code, text)
}

fn aarch64(text: &str, status: u8) -> Vec<u8> {
    let movz = |register: u32, value: u16| 0xd280_0000 | u32::from(value) << 5 | register;
    let length = u16::try_from(text.len()).expect("a short text");
    let words = [
        movz(0, 1),                 // mov x0, 1 (stdout)
        0x1000_0000 | (7 << 5) | 1, // adr x1, 28 bytes on
        movz(2, length),            // mov x2, length
        movz(8, 64),                // mov x8, 64 (write)
        0xd400_0001,                // svc 0
        movz(0, status.into()),     // mov x0, status
        movz(8, 94),                // mov x8, 94 (exit_group)
        0xd400_0001,                // svc 0
    ];
    file(
        183,
        words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        text,
    )
}

fn file(machine: u16, code: Vec<u8>, text: &str) -> Vec<u8> {
    let size = HEADERS + (code.len() + text.len()) as u64;
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
    file.extend(5_u32.to_le_bytes()); // read and execute
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(code);
    file.extend(text.as_bytes());
    file
}
