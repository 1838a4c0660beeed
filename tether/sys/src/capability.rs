//! The capabilities of containers without a user namespace.

use nix::errno::Errno;
use nix::libc;

use crate::error::{Step, SysError};

/// Docker's default set: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
/// SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const KEPT: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
/// The highest capability number: a set has 64 bits.
const LAST: u8 = 63;

/// Removes all capabilities that are not in the default set from the bounding set, so that executed
/// programs do not have them. The calling program keeps its own.
pub(crate) fn limit() -> Result<(), SysError> {
    for capability in 0..=LAST {
        if KEPT.contains(&capability) {
            continue;
        }
        #[expect(unsafe_code, reason = "nix has no safe wrapper of this option")]
        // SAFETY: the option takes a number and does not access our memory.
        let done = unsafe {
            libc::prctl(
                libc::PR_CAPBSET_DROP,
                libc::c_ulong::from(capability),
                0,
                0,
                0,
            )
        };
        match Errno::result(done) {
            // The kernel does not define this capability, or any higher one.
            Err(Errno::EINVAL) => return Ok(()),
            done => done.step(format_args!("drop capability {capability}"))?,
        };
    }
    Ok(())
}
