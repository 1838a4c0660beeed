//! What containers on this host lack, in sentences for the user.

use tether::guestinfo::vic::ExecutorConfig;

use crate::probe::RootMethod;

/// The network of a container in namespaces of its own.
const LOOPBACK: &str = "containers have no network cards: they reach neither each other nor other \
                        systems, and only published ports are relayed into them";
/// The network of a container that is isolated only by `chroot`.
const SHARED: &str = "containers use the network of this host: they do not have their own \
                      addresses, and published ports are not relayed";
/// The users of containers if the simulator does not run as root.
const USERS: &str = "the simulator does not run as root: processes cannot run as another user than \
                     root of the container, which is the caller outside of it, and files have no \
                     other owners in a running container";

const fn network(method: RootMethod) -> &'static str {
    match method {
        RootMethod::Overlay | RootMethod::Copy => LOOPBACK,
        RootMethod::Chroot => SHARED,
    }
}

/// Returns what all containers lack; `notes` are what the probe found.
pub(crate) fn of_all(method: RootMethod, is_root: bool, notes: Vec<String>) -> Vec<String> {
    let users = (!is_root).then(|| USERS.to_owned());
    let own = std::iter::once(network(method).to_owned()).chain(users);
    own.chain(notes).collect()
}

/// Returns a note for each network that a container is configured for.
pub(crate) fn of_networks(method: RootMethod, config: &ExecutorConfig) -> Vec<String> {
    let names = config.networks.keys();
    let note = |name| format!("the network {name} is not connected: {}", network(method));
    names.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_of_a_container_is_named_as_missing() {
        let mut config = ExecutorConfig::default();
        assert!(of_networks(RootMethod::Overlay, &config).is_empty());
        for name in ["bridge", "lan"] {
            config.networks.insert(name.to_owned(), Default::default());
        }
        for (method, wanted) in [
            (RootMethod::Overlay, "reach neither each other"),
            (RootMethod::Copy, "reach neither each other"),
            (RootMethod::Chroot, "the network of this host"),
        ] {
            let notes = of_networks(method, &config);
            assert_eq!(notes.len(), 2);
            assert!(notes[1].starts_with("the network lan is not connected: "));
            assert!(notes.iter().all(|note| note.contains(wanted)), "{notes:?}");
        }
    }

    #[test]
    fn users_are_missing_only_without_root() {
        let notes = || vec!["/proc is empty".to_owned()];
        let root = of_all(RootMethod::Overlay, true, notes());
        assert_eq!(root, [LOOPBACK, "/proc is empty"]);
        let other = of_all(RootMethod::Overlay, false, notes());
        assert_eq!(other, [LOOPBACK, USERS, "/proc is empty"]);
    }
}
