//! Names the machines that keep a network from being removed.

use vim25::{Ref, mo, props};
use vsphere_client::Error as Refused;

use super::{Endpoint, Switches};
use crate::{Error, Resource};

/// The maximum number of machines that an error names.
const NAMED: usize = 5;

impl Endpoint {
    /// Returns the error for a port group of a standard switch that is in use.
    pub(super) async fn port_group_in_use(
        &self,
        switches: &Switches,
        resource: Resource,
        refused: Refused,
    ) -> Error {
        let networks = self.client.get(&switches.host, props::host_system::NETWORK);
        let query = self.client.retrieve::<mo::Network>();
        let query = query.property(props::network::NAME);
        let networks = query.objects(networks.await.unwrap_or_default());
        let networks = networks.collect().await.unwrap_or_default();
        let is_it = |name: Option<String>| name.is_some_and(|name| *name == *resource.id);
        let network = networks
            .iter()
            .find(|network| is_it(network.value(props::network::NAME)));
        match network {
            Some(network) => {
                let network = network.object().clone();
                self.network_in_use(&network, resource, refused).await
            }
            None => Error::in_use(resource, users(Vec::new())).with_source(refused),
        }
    }

    /// Returns the error for a network that is in use. It names the connected machines, as far as
    /// they can be read.
    pub(super) async fn network_in_use(
        &self,
        network: &Ref<mo::Network>,
        resource: Resource,
        refused: Refused,
    ) -> Error {
        let machines = self.client.get(network, props::network::VM).await;
        let name = props::virtual_machine::NAME;
        let query = self.client.retrieve::<mo::VirtualMachine>().property(name);
        let query = query.objects(machines.unwrap_or_default());
        let machines = query.collect().await.unwrap_or_default();
        let names = machines.iter().filter_map(|machine| machine.value(name));
        Error::in_use(resource, users(names.collect())).with_source(refused)
    }
}

/// Describes the users of a network by the names of its machines.
fn users(mut names: Vec<String>) -> String {
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match (&names[..], more) {
        ([], _) => "virtual machines that are connected to it".to_owned(),
        (names, 0) => names.join(", "),
        (names, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_a_few_machines_and_counts_the_others() {
        let users = |names: &[&str]| users(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(users(&[]), "virtual machines that are connected to it");
        assert_eq!(users(&["web", "db"]), "db, web");
        let seven = ["g", "f", "e", "d", "c", "b", "a"];
        assert_eq!(users(&seven), "a, b, c, d, e and 2 more");
    }
}
