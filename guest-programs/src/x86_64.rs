//! Programs for x86-64.

use crate::Machine;
use crate::elf::file;

/// Returns a program that exits with the status in its last argument.
#[must_use]
pub fn exits_with_argument() -> Vec<u8> {
    let mut code = vec![0x48, 0x8b, 0x0c, 0x24]; // mov rcx, [rsp] (argc)
    code.extend([0x48, 0x8b, 0x34, 0xcc]); // mov rsi, [rsp + rcx * 8] (the last)
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x0f, 0xb6, 0x06]); // next: movzx eax, byte [rsi]
    code.extend([0x83, 0xe8, 0x30]); // sub eax, '0'
    code.extend([0x83, 0xf8, 0x09]); // cmp eax, 9
    code.extend([0x77, 10]); // ja end
    code.extend([0x6b, 0xff, 0x0a]); // imul edi, edi, 10
    code.extend([0x01, 0xc7]); // add edi, eax
    code.extend([0x48, 0xff, 0xc6]); // inc rsi
    code.extend([0xeb, 0xeb]); // jmp next
    code.extend([0xb8, 231, 0, 0, 0]); // end: mov eax, 231 (exit_group)
    code.extend([0x0f, 0x05]); // syscall
    file(Machine::X86_64, &code, b"")
}

/// Returns a program that waits for signals.
#[must_use]
pub fn waits() -> Vec<u8> {
    let mut code = vec![0xb8, 34, 0, 0, 0]; // mov eax, 34 (pause)
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xeb, 0xf7]); // jmp to the beginning
    file(Machine::X86_64, &code, b"")
}

/// Returns a program that creates the file in its last argument, with permissions for its owner and
/// group, prints `created` and waits for signals. It exits with the system's error number if it
/// cannot create the file.
#[must_use]
pub fn creates_file() -> Vec<u8> {
    let mut code = vec![0x48, 0x8b, 0x0c, 0x24]; // mov rcx, [rsp] (argc)
    code.extend([0x48, 0x8b, 0x3c, 0xcc]); // mov rdi, [rsp + rcx * 8] (the last)
    code.extend([0xbe, 0x41, 0, 0, 0]); // mov esi, O_WRONLY | O_CREAT
    code.extend([0xba, 0xa0, 1, 0, 0]); // mov edx, 0640 in octal
    code.extend([0xb8, 2, 0, 0, 0, 0x0f, 0x05]); // open
    code.extend([0x85, 0xc0, 0x78, 0x21]); // test eax, eax; js fail
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 0x1b, 0, 0, 0]); // lea rsi, [the text]
    code.extend([0xba, 8, 0, 0, 0, 0x0f, 0x05]); // mov edx, 8; syscall
    code.extend([0xb8, 34, 0, 0, 0, 0x0f, 0x05]); // wait: pause
    code.extend([0xeb, 0xf7]); // jmp wait
    code.extend([0xf7, 0xd8, 0x89, 0xc7]); // fail: neg eax; mov edi, eax
    code.extend([0xb8, 231, 0, 0, 0, 0x0f, 0x05]); // exit_group
    file(Machine::X86_64, &code, b"created\n")
}

/// The address on which the servers listen: all of IPv4, port 8080.
const ANY_8080: [u8; 16] = [2, 0, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Returns a server on TCP port 8080 that echoes its input, one client after the other.
#[must_use]
pub fn echoes_tcp() -> Vec<u8> {
    let mut code = vec![0xbf, 2, 0, 0, 0]; // mov edi, 2 (AF_INET)
    code.extend([0xbe, 1, 0, 0, 0]); // mov esi, 1 (SOCK_STREAM)
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0xb8, 41, 0, 0, 0, 0x0f, 0x05]); // socket
    code.extend([0x41, 0x89, 0xc4]); // mov r12d, eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0x48, 0x8d, 0x35, 0x5b, 0, 0, 0]); // lea rsi, [the address]
    code.extend([0xba, 16, 0, 0, 0]); // mov edx, 16
    code.extend([0xb8, 49, 0, 0, 0, 0x0f, 0x05]); // bind
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0xbe, 16, 0, 0, 0]); // mov esi, 16
    code.extend([0xb8, 50, 0, 0, 0, 0x0f, 0x05]); // listen
    code.extend([0x44, 0x89, 0xe7]); // next: mov edi, r12d
    code.extend([0x31, 0xf6, 0x31, 0xd2]); // xor esi, esi; xor edx, edx
    code.extend([0xb8, 43, 0, 0, 0, 0x0f, 0x05]); // accept
    code.extend([0x41, 0x89, 0xc5]); // mov r13d, eax
    code.extend([0x44, 0x89, 0xef]); // echo: mov edi, r13d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0xba, 0, 0x10, 0, 0]); // mov edx, 4096
    code.extend([0x31, 0xc0, 0x0f, 0x05]); // read
    code.extend([0x44, 0x89, 0xef]); // mov edi, r13d
    code.extend([0x85, 0xc0, 0x7e, 0x0b]); // test eax, eax; jle done
    code.extend([0x89, 0xc2]); // mov edx, eax
    code.extend([0xb8, 1, 0, 0, 0, 0x0f, 0x05]); // write
    code.extend([0xeb, 0xda]); // jmp echo
    code.extend([0xb8, 3, 0, 0, 0, 0x0f, 0x05]); // done: close
    code.extend([0xeb, 0xc0]); // jmp next
    code.extend(ANY_8080);
    file(Machine::X86_64, &code, b"")
}

/// Returns a program that connects to TCP port 8080 of the IPv4 address in its last argument, writes
/// a line, and prints what it receives. It retries while the connection is refused, and exits with
/// the system's error number if it cannot connect.
#[must_use]
pub fn connects_tcp() -> Vec<u8> {
    let mut code = vec![0x48, 0x8b, 0x0c, 0x24]; // mov rcx, qword [rsp]
    code.extend([0x48, 0x8b, 0x34, 0xcc]); // mov rsi, qword [rsp+rcx*8]
    code.extend([0x31, 0xdb]); // xor ebx, ebx
    code.extend([0xbd, 4, 0, 0, 0]); // mov ebp, 0x4
    code.extend([0x31, 0xc0]); // octet: xor eax, eax
    code.extend([0x0f, 0xb6, 0x16]); // digit: movzx edx, byte [rsi]
    code.extend([0x83, 0xea, 0x30]); // sub edx, 0x30
    code.extend([0x83, 0xfa, 9]); // cmp edx, 0x9
    code.extend([0x77, 0x0a]); // ja store
    code.extend([0x6b, 0xc0, 0x0a]); // imul eax, eax, 0xa
    code.extend([1, 0xd0]); // add eax, edx
    code.extend([0x48, 0xff, 0xc6]); // inc rsi
    code.extend([0xeb, 0xeb]); // jmp digit
    code.extend([0x48, 0xff, 0xc6]); // store: inc rsi
    code.extend([0x48, 0xc1, 0xe3, 8]); // shl rbx, 0x8
    code.extend([8, 0xc3]); // or bl, al
    code.extend([0xff, 0xcd]); // dec ebp
    code.extend([0x75, 0xdc]); // jne octet
    code.extend([0x0f, 0xcb]); // bswap ebx
    code.extend([0x48, 0x81, 0xec, 0, 0x10, 0, 0]); // sub rsp, 0x1000
    code.extend([0xbf, 2, 0, 0, 0]); // retry: mov edi, 0x2
    code.extend([0xbe, 1, 0, 0, 0]); // mov esi, 0x1
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0xb8, 0x29, 0, 0, 0]); // mov eax, 0x29
    code.extend([0x0f, 5]); // syscall
    code.extend([0x41, 0x89, 0xc4]); // mov r12d, eax
    code.extend([0xc7, 4, 0x24, 2, 0, 0x1f, 0x90]); // mov dword [rsp], 0x901f0002
    code.extend([0x89, 0x5c, 0x24, 4]); // mov dword [rsp+0x4], ebx
    code.extend([0x48, 0xc7, 0x44, 0x24, 8, 0, 0, 0, 0]); // mov qword [rsp+0x8], 0x0
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0x48, 0x89, 0xe6]); // mov rsi, rsp
    code.extend([0xba, 0x10, 0, 0, 0]); // mov edx, 0x10
    code.extend([0xb8, 0x2a, 0, 0, 0]); // mov eax, 0x2a
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test eax, eax
    code.extend([0x74, 0x34]); // je connected
    code.extend([0x83, 0xf8, 0x91]); // cmp eax, 0xffffff91
    code.extend([0x75, 0x29]); // jne fail
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0xb8, 3, 0, 0, 0]); // mov eax, 0x3
    code.extend([0x0f, 5]); // syscall
    code.extend([0x48, 0xc7, 4, 0x24, 0, 0, 0, 0]); // mov qword [rsp], 0x0
    code.extend([0x48, 0xc7, 0x44, 0x24, 8, 0, 0x2d, 0x31, 1]); // mov qword [rsp+0x8], 0x1312d00
    code.extend([0x48, 0x89, 0xe7]); // mov rdi, rsp
    code.extend([0x31, 0xf6]); // xor esi, esi
    code.extend([0xb8, 0x23, 0, 0, 0]); // mov eax, 0x23
    code.extend([0x0f, 5]); // syscall
    code.extend([0xeb, 0x92]); // jmp retry
    code.extend([0xf7, 0xd8]); // fail: neg eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0xeb, 0x4f]); // jmp exit
    code.extend([0x44, 0x89, 0xe7]); // connected: mov edi, r12d
    code.extend([0x48, 0x8d, 0x35, 0x4c, 0, 0, 0]); // lea rsi, [rip+0x4c]
    code.extend([0xba, 0x0b, 0, 0, 0]); // mov edx, 0xb
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 0x1
    code.extend([0x0f, 5]); // syscall
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0xbe, 1, 0, 0, 0]); // mov esi, 0x1
    code.extend([0xb8, 0x30, 0, 0, 0]); // mov eax, 0x30
    code.extend([0x0f, 5]); // syscall
    code.extend([0x44, 0x89, 0xe7]); // more: mov edi, r12d
    code.extend([0x48, 0x89, 0xe6]); // mov rsi, rsp
    code.extend([0xba, 0, 0x10, 0, 0]); // mov edx, 0x1000
    code.extend([0x31, 0xc0]); // xor eax, eax
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test eax, eax
    code.extend([0x7e, 0x13]); // jle done
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 0x1
    code.extend([0x48, 0x89, 0xe6]); // mov rsi, rsp
    code.extend([0x89, 0xc2]); // mov edx, eax
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 0x1
    code.extend([0x0f, 5]); // syscall
    code.extend([0xeb, 0xda]); // jmp more
    code.extend([0x89, 0xc7]); // done: mov edi, eax
    code.extend([0xf7, 0xdf]); // neg edi
    code.extend([0xb8, 0xe7, 0, 0, 0]); // exit: mov eax, 0xe7
    code.extend([0x0f, 5]); // syscall
    file(Machine::X86_64, &code, b"to and fro\n")
}

/// Returns a server on UDP port 8080 that echoes each datagram.
#[must_use]
pub fn echoes_udp() -> Vec<u8> {
    let mut code = vec![0xbf, 2, 0, 0, 0]; // mov edi, 2 (AF_INET)
    code.extend([0xbe, 2, 0, 0, 0]); // mov esi, 2 (SOCK_DGRAM)
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0xb8, 41, 0, 0, 0, 0x0f, 0x05]); // socket
    code.extend([0x41, 0x89, 0xc4]); // mov r12d, eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0x48, 0x8d, 0x35, 0x5c, 0, 0, 0]); // lea rsi, [the address]
    code.extend([0xba, 16, 0, 0, 0]); // mov edx, 16
    code.extend([0xb8, 49, 0, 0, 0, 0x0f, 0x05]); // bind
    code.extend([0x48, 0x83, 0xec, 0x20]); // sub rsp, 32 (the sender's address, its length)
    code.extend([0xc7, 0x44, 0x24, 0x10, 16, 0, 0, 0]); // next: mov dword [rsp + 16], 16
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0xba, 0, 0x10, 0, 0]); // mov edx, 4096
    code.extend([0x45, 0x31, 0xd2]); // xor r10d, r10d
    code.extend([0x49, 0x89, 0xe0]); // mov r8, rsp
    code.extend([0x4c, 0x8d, 0x4c, 0x24, 0x10]); // lea r9, [rsp + 16]
    code.extend([0xb8, 45, 0, 0, 0, 0x0f, 0x05]); // recvfrom
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0x89, 0xc2]); // mov edx, eax
    code.extend([0x45, 0x31, 0xd2]); // xor r10d, r10d
    code.extend([0x49, 0x89, 0xe0]); // mov r8, rsp
    code.extend([0x41, 0xb9, 16, 0, 0, 0]); // mov r9d, 16
    code.extend([0xb8, 44, 0, 0, 0, 0x0f, 0x05]); // sendto
    code.extend([0xeb, 0xb4]); // jmp next
    code.extend(ANY_8080);
    file(Machine::X86_64, &code, b"")
}

/// Returns a program that writes `ready`, then copies its input to both outputs, and at the end
/// writes `bye` and exits with 7.
#[must_use]
pub fn echoes() -> Vec<u8> {
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov $0x1,%eax
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0x48, 0x8d, 0x35, 0x7b, 0, 0, 0]); // lea 0x7b(%rip),%rsi
    code.extend([0xba, 6, 0, 0, 0]); // mov $0x6,%edx
    code.extend([0x0f, 5]); // syscall
    code.extend([0x31, 0xc0]); // next: xor %eax,%eax
    code.extend([0x31, 0xff]); // xor %edi,%edi
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xe0, 0xff, 0xff]); // lea -0x2000(%rsp),%rsi
    code.extend([0xba, 0, 0x10, 0, 0]); // mov $0x1000,%edx
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test %eax,%eax
    code.extend([0x7e, 0x19]); // jle done
    code.extend([0x41, 0x89, 0xc4]); // mov %eax,%r12d
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0xe8, 0x30, 0, 0, 0]); // call put
    code.extend([0xbf, 2, 0, 0, 0]); // mov $0x2,%edi
    code.extend([0xe8, 0x26, 0, 0, 0]); // call put
    code.extend([0xeb, 0xd0]); // jmp next
    code.extend([0xb8, 1, 0, 0, 0]); // done: mov $0x1,%eax
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0x48, 0x8d, 0x35, 0x39, 0, 0, 0]); // lea 0x39(%rip),%rsi
    code.extend([0xba, 4, 0, 0, 0]); // mov $0x4,%edx
    code.extend([0x0f, 5]); // syscall
    code.extend([0xb8, 0xe7, 0, 0, 0]); // mov $0xe7,%eax
    code.extend([0xbf, 7, 0, 0, 0]); // mov $0x7,%edi
    code.extend([0x0f, 5]); // syscall
    code.extend([0x48, 0x8d, 0xb4, 0x24, 8, 0xe0, 0xff, 0xff]); // put: lea -0x1ff8(%rsp),%rsi
    code.extend([0x44, 0x89, 0xe2]); // mov %r12d,%edx
    code.extend([0xb8, 1, 0, 0, 0]); // more: mov $0x1,%eax
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test %eax,%eax
    code.extend([0x7e, 9]); // jle end
    code.extend([0x89, 0xc1]); // mov %eax,%ecx
    code.extend([0x48, 1, 0xce]); // add %rcx,%rsi
    code.extend([0x29, 0xc2]); // sub %eax,%edx
    code.extend([0x75, 0xec]); // jne more
    code.push(0xc3); // end: ret
    file(Machine::X86_64, &code, b"ready\nbye\n")
}

/// Returns a program that writes a line of 64 bytes 65536 times.
#[must_use]
pub fn floods(line: &[u8; 64]) -> Vec<u8> {
    let mut code = vec![0xbb, 0, 0, 1, 0]; // mov $0x10000,%ebx
    code.extend([0x48, 0x8d, 0x35, 0x2b, 0, 0, 0]); // next: lea 0x2b(%rip),%rsi
    code.extend([0xba, 0x40, 0, 0, 0]); // mov $0x40,%edx
    code.extend([0xb8, 1, 0, 0, 0]); // more: mov $0x1,%eax
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test %eax,%eax
    code.extend([0x7e, 0x0d]); // jle end
    code.extend([0x89, 0xc1]); // mov %eax,%ecx
    code.extend([0x48, 1, 0xce]); // add %rcx,%rsi
    code.extend([0x29, 0xc2]); // sub %eax,%edx
    code.extend([0x75, 0xe7]); // jne more
    code.extend([0xff, 0xcb]); // dec %ebx
    code.extend([0x75, 0xd7]); // jne next
    code.extend([0xb8, 0xe7, 0, 0, 0]); // end: mov $0xe7,%eax
    code.extend([0x31, 0xff]); // xor %edi,%edi
    code.extend([0x0f, 5]); // syscall
    file(Machine::X86_64, &code, line)
}

/// Returns a program that writes the size of its terminal whenever it has read input.
#[must_use]
pub fn shows_size() -> Vec<u8> {
    let mut code = vec![0x48, 0x81, 0xec, 0, 0x10, 0, 0]; // sub $0x1000,%rsp
    code.extend([0x31, 0xc0]); // next: xor %eax,%eax
    code.extend([0x31, 0xff]); // xor %edi,%edi
    code.extend([0x48, 0x89, 0xe6]); // mov %rsp,%rsi
    code.extend([0xba, 0, 0x10, 0, 0]); // mov $0x1000,%edx
    code.extend([0x0f, 5]); // syscall
    code.extend([0x85, 0xc0]); // test %eax,%eax
    code.extend([0x7e, 0x57]); // jle end
    code.extend([0xb8, 0x10, 0, 0, 0]); // mov $0x10,%eax
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0xbe, 0x13, 0x54, 0, 0]); // mov $0x5413,%esi
    code.extend([0x48, 0x89, 0xe2]); // mov %rsp,%rdx
    code.extend([0x0f, 5]); // syscall
    code.extend([0x44, 0x0f, 0xb7, 0x2c, 0x24]); // movzwl (%rsp),%r13d
    code.extend([0x0f, 0xb7, 0x44, 0x24, 2]); // movzwl 0x2(%rsp),%eax
    code.extend([0x48, 0x8d, 0x74, 0x24, 0x40]); // lea 0x40(%rsp),%rsi
    code.extend([0x4c, 0x8d, 0x64, 0x24, 0x40]); // lea 0x40(%rsp),%r12
    code.extend([0x48, 0xff, 0xce]); // dec %rsi
    code.extend([0xc6, 6, 0x0a]); // movb $0xa,(%rsi)
    code.extend([0x41, 0x95]); // xchg %eax,%r13d
    code.extend([0xe8, 0x2b, 0, 0, 0]); // call digits
    code.extend([0x48, 0xff, 0xce]); // dec %rsi
    code.extend([0xc6, 6, 0x78]); // movb $0x78,(%rsi)
    code.extend([0x44, 0x89, 0xe8]); // mov %r13d,%eax
    code.extend([0xe8, 0x1d, 0, 0, 0]); // call digits
    code.extend([0x4c, 0x89, 0xe2]); // mov %r12,%rdx
    code.extend([0x48, 0x29, 0xf2]); // sub %rsi,%rdx
    code.extend([0xb8, 1, 0, 0, 0]); // mov $0x1,%eax
    code.extend([0xbf, 1, 0, 0, 0]); // mov $0x1,%edi
    code.extend([0x0f, 5]); // syscall
    code.extend([0xeb, 0x97]); // jmp next
    code.extend([0xb8, 0xe7, 0, 0, 0]); // end: mov $0xe7,%eax
    code.extend([0x31, 0xff]); // xor %edi,%edi
    code.extend([0x0f, 5]); // syscall
    code.extend([0xb9, 0x0a, 0, 0, 0]); // digits: mov $0xa,%ecx
    code.extend([0x31, 0xd2]); // digit: xor %edx,%edx
    code.extend([0xf7, 0xf1]); // div %ecx
    code.extend([0x83, 0xc2, 0x30]); // add $0x30,%edx
    code.extend([0x48, 0xff, 0xce]); // dec %rsi
    code.extend([0x88, 0x16]); // mov %dl,(%rsi)
    code.extend([0x85, 0xc0]); // test %eax,%eax
    code.extend([0x75, 0xf0]); // jne digit
    code.push(0xc3); // ret
    file(Machine::X86_64, &code, b"")
}

/// Returns a program that uses more and more memory, until it is killed.
#[must_use]
pub fn fills_memory() -> Vec<u8> {
    let mut code = vec![0x31, 0xff]; // xor edi, edi
    code.extend([0xbe, 0, 0, 0x10, 0]); // mov esi, 1 MiB
    code.extend([0xba, 3, 0, 0, 0]); // mov edx, 3 (PROT_READ | PROT_WRITE)
    code.extend([0x41, 0xba, 0x22, 0x80, 0, 0]); // mov r10d, MAP_PRIVATE, _ANONYMOUS, _POPULATE
    code.extend([0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff]); // mov r8, -1
    code.extend([0x45, 0x31, 0xc9]); // xor r9d, r9d
    code.extend([0xb8, 9, 0, 0, 0, 0x0f, 0x05]); // mmap
    code.extend([0xeb, 0xdb]); // jmp to the beginning
    file(Machine::X86_64, &code, b"")
}
