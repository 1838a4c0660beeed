//! Sets the host name, and the domain name, which nix does not support.

use std::io;

use nix::errno::Errno;
use nix::unistd::sethostname;

use crate::error::{Step, SysError};

/// Sets the host name and the domain name.
///
/// # Errors
/// Fails with the system's error.
pub fn set_host_name(host: &str, domain: &str) -> Result<(), SysError> {
    sethostname(host).step(format_args!("set the host name {host:?}"))?;
    set_domain_name(domain).step(format_args!("set the domain name {domain:?}"))
}

/// Sets the NIS domain name of the namespace.
fn set_domain_name(name: &str) -> io::Result<()> {
    #[expect(unsafe_code, reason = "there is no safe wrapper of setdomainname")]
    // SAFETY: pointer and length are those of a text that lives during the call, and the
    // kernel only reads it.
    let done = unsafe { nix::libc::setdomainname(name.as_ptr().cast(), name.len()) };
    Errno::result(done).map(drop).map_err(Into::into)
}
