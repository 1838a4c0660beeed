//! What containers on this host lack, in sentences for the user.

use tether::guestinfo::vic::ExecutorConfig;

/// How the containers on this host are connected, as determined at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// By the switch.
    Switched,
    /// Not at all, for this reason: their addresses are on loopback devices.
    Loopback(String),
    /// They use the host's network, because they are isolated only by `chroot`.
    Host,
}

/// The network of containers with cards.
const SWITCHED: &str = "containers reach each other, but no other systems: networks have no gateway, \
                        name server and DHCP server, and only published ports are relayed into them";
/// The network of a container in namespaces of its own, without cards.
const LOOPBACK: &str = "containers have no network cards: they reach neither each other nor other \
                        systems, and only published ports are relayed into them";
/// The network of a container that is isolated only by `chroot`.
const SHARED: &str = "containers use the network of this host: they do not have their own \
                      addresses, and published ports are not relayed";
/// The users of containers if the simulator does not run as root.
const USERS: &str = "the simulator does not run as root: processes cannot run as another user than \
                     root of the container, which is the caller outside of it, and files have no \
                     other owners in a running container";

impl Network {
    fn sentence(&self) -> String {
        match self {
            Self::Switched => SWITCHED.to_owned(),
            Self::Loopback(reason) => format!("{LOOPBACK} ({reason})"),
            Self::Host => SHARED.to_owned(),
        }
    }
}

/// Returns what all containers lack; `notes` are what the probe found.
pub(crate) fn of_all(network: &Network, is_root: bool, notes: Vec<String>) -> Vec<String> {
    let users = (!is_root).then(|| USERS.to_owned());
    let own = std::iter::once(network.sentence()).chain(users);
    own.chain(notes).collect()
}

/// Returns a note for each network that a container is configured for, if containers are not
/// connected to networks.
pub(crate) fn of_networks(network: &Network, config: &ExecutorConfig) -> Vec<String> {
    if *network == Network::Switched {
        return Vec::new();
    }
    let names = config.networks.keys();
    let sentence = network.sentence();
    let note = |name| format!("the network {name} is not connected: {sentence}");
    names.map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> Network {
        Network::Loopback("no tap".to_owned())
    }

    #[test]
    fn each_network_of_a_container_is_named_as_missing() {
        let mut config = ExecutorConfig::default();
        assert!(of_networks(&loopback(), &config).is_empty());
        for name in ["bridge", "lan"] {
            config.networks.insert(name.to_owned(), Default::default());
        }
        for (network, wanted) in [
            (loopback(), "reach neither each other"),
            (loopback(), "(no tap)"),
            (Network::Host, "the network of this host"),
        ] {
            let notes = of_networks(&network, &config);
            assert_eq!(notes.len(), 2);
            assert!(notes[1].starts_with("the network lan is not connected: "));
            assert!(notes.iter().all(|note| note.contains(wanted)), "{notes:?}");
        }
        assert!(of_networks(&Network::Switched, &config).is_empty());
    }

    #[test]
    fn users_are_missing_only_without_root() {
        let notes = || vec!["/proc is empty".to_owned()];
        let root = of_all(&Network::Switched, true, notes());
        assert_eq!(root, [SWITCHED, "/proc is empty"]);
        let other = of_all(&Network::Switched, false, notes());
        assert_eq!(other, [SWITCHED, USERS, "/proc is empty"]);
    }
}
