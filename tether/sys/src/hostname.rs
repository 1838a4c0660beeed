//! Setting the domain name, which nix does not support.

use std::io;

use nix::errno::Errno;

/// Sets the NIS domain name of the namespace.
pub(crate) fn set_domain_name(name: &str) -> io::Result<()> {
    #[expect(unsafe_code, reason = "there is no safe wrapper of setdomainname")]
    // SAFETY: pointer and length are those of a text that is alive during the
    // call, and the kernel only reads.
    let done = unsafe { nix::libc::setdomainname(name.as_ptr().cast(), name.len()) };
    Errno::result(done).map(drop).map_err(Into::into)
}
