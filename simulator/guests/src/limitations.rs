//! What containers on this host lack, in sentences for the user.

use tether::guestinfo::vic::ExecutorConfig;

use crate::probe::SubIdsProbe;

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
/// The users of containers if the simulator does not run as root and has no subordinate ids.
const USERS: &str = "the simulator does not run as root: processes cannot run as another user than \
                     root of the container, which is the caller outside of it, and files have no \
                     other owners in a running container, nor has it the device nodes of its image; \
                     archives show both";

/// The resources of a container.
const RESOURCES: &str = "containers use the memory and the processors of this host, without the limits \
                         of their machines";

impl Network {
    fn sentence(&self) -> String {
        match self {
            Self::Switched => SWITCHED.to_owned(),
            Self::Loopback(reason) => format!("{LOOPBACK} ({reason})"),
            Self::Host => SHARED.to_owned(),
        }
    }
}

/// Returns what the containers of a simulator that does not run as root lack.
fn users(sub_ids: &SubIdsProbe) -> String {
    match sub_ids {
        SubIdsProbe::Missing(reason) => format!("{USERS} ({reason})"),
        SubIdsProbe::Found(ids) => format!(
            "the simulator does not run as root: containers have no users above {}, no groups above \
             {}, and no device nodes of their images, which only archives show",
            ids.uids.count, ids.gids.count
        ),
    }
}

/// Returns what all containers lack; `notes` are what the probe found. `sub_ids` is `None` if the
/// simulator runs as root.
pub(crate) fn of_all(
    network: &Network,
    sub_ids: Option<&SubIdsProbe>,
    notes: Vec<String>,
) -> Vec<String> {
    let users = sub_ids.map(users);
    let own = std::iter::once(network.sentence()).chain(users);
    own.chain([RESOURCES.to_owned()]).chain(notes).collect()
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
    use tether::sys::{IdRange, SubIds};

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
        let root = of_all(&Network::Switched, None, notes());
        assert_eq!(root, [SWITCHED, RESOURCES, "/proc is empty"]);
        let missing = SubIdsProbe::Missing("no newuidmap".to_owned());
        let one = of_all(&Network::Switched, Some(&missing), notes());
        let users = format!("{USERS} (no newuidmap)");
        assert_eq!(one, [SWITCHED, &users, RESOURCES, "/proc is empty"]);
        let range = |count| IdRange { first: 1, count };
        let found = SubIdsProbe::Found(SubIds::new("/u", "/g", range(7), range(8)));
        let several = of_all(&Network::Switched, Some(&found), notes());
        assert!(several[1].contains("no users above 7, no groups above 8"));
    }
}
