//! Builds the specification of an image's machine.

use uuid::Uuid;
use vim25::types::{VirtualDiskMode, VirtualMachineConfigSpec};

use crate::image::ChainId;
use crate::vsphere::hardware;
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::machine_spec::bare;
use crate::vsphere::record::Keys;

/// Keeps the machine's name within 80 characters, the maximum in the inventory.
const HOST_NAME_MAX: usize = 60;

/// Returns the name of the machine. It differs from the names of containers' machines, which end
/// with a dash and 12 digits.
pub(super) fn name(host: &str, chain: &ChainId) -> String {
    let host: String = host.chars().take(HOST_NAME_MAX).collect();
    let mut short = chain.digest().hex();
    short.truncate(12);
    format!("{host}.image.{short}")
}

/// Returns whether a directory has the name that endpoints give to the directory of an image's
/// machine: the machine's name, with a number if a directory of that name existed.
pub(in crate::vsphere) fn is_directory(host: &str, directory: &str) -> bool {
    let host: String = host.chars().take(HOST_NAME_MAX).collect();
    let rest = directory
        .strip_prefix(&host)
        .and_then(|rest| rest.strip_prefix(".image."));
    let Some((digits, number)) = rest.and_then(|rest| rest.split_at_checked(12)) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.bytes().all(|b| b.is_ascii_hexdigit())
        && (number.is_empty() || number.strip_prefix('_').is_some_and(is_number))
}

/// Returns the BIOS UUID of the machine.
pub(super) fn uuid(objects: &HostObjects, chain: &ChainId) -> Uuid {
    let namespace = &objects.defaults.namespace;
    Uuid::new_v5(namespace, format!("image {chain}").as_bytes())
}

/// Returns a machine with these keys and one new disk of `capacity` bytes, which must be a multiple
/// of 1 KiB.
pub(super) fn spec(
    objects: &HostObjects,
    chain: &ChainId,
    capacity: u64,
    keys: Keys,
) -> VirtualMachineConfigSpec {
    let defaults = &objects.defaults;
    let capacity = i64::try_from(capacity / 1024).unwrap_or(i64::MAX);
    // With this mode, the disk is not changed even if an operator powers on the machine.
    let mode = VirtualDiskMode::IndependentNonpersistent;
    VirtualMachineConfigSpec {
        uuid: Some(uuid(objects, chain).to_string()),
        annotation: Some("An image of a virtual container host. Do not power it on.".to_owned()),
        device_change: hardware::disk(&defaults.datastore, capacity, mode, None),
        ..bare(&name(&objects.name, chain), &defaults.datastore_name, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;
    use crate::vsphere::machine_spec::container_name_in;

    #[test]
    fn no_image_looks_like_a_container() {
        let chain = ChainId::of(&[Digest::of(b"a")]);
        for host in ["vch", "my-vch", &"x".repeat(100)] {
            let name = name(host, &chain);
            assert!(name.len() <= 80, "{name}");
            assert_eq!(container_name_in(&name), None, "{name}");
            assert!(is_directory(host, &name) && is_directory(host, &format!("{name}_12")));
            for other in ["x", "_", "_a", "_1_"] {
                assert!(!is_directory(host, &format!("{name}{other}")));
            }
            assert!(!is_directory("other", &name) && !is_directory(host, host));
        }
    }
}
