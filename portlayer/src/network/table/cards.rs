//! Determines the network cards that a container's connections need.

use std::collections::BTreeMap;

use super::{Segment, Table};
use crate::network::{EndpointInfo, MacAddress, ScopeSpec};

impl Table {
    /// Returns the networks on which a container with these connections has a card, in the order of
    /// the connections, each with the card's MAC address.
    pub(crate) fn segments(
        &self,
        endpoints: &[EndpointInfo],
    ) -> Vec<(Segment, Option<MacAddress>)> {
        let mut segments: Vec<(Segment, Option<MacAddress>)> = Vec::new();
        for endpoint in endpoints {
            let Some(scope) = self.scopes.get(&endpoint.spec.scope) else {
                continue;
            };
            let segment = scope.segment();
            if segments.iter().all(|(other, _)| *other != segment) {
                segments.push((segment, endpoint.mac));
            }
        }
        segments
    }

    /// Returns the scopes of these connections, each with the network to which its card is
    /// attached.
    pub(crate) fn scopes_of(
        &self,
        endpoints: &[EndpointInfo],
    ) -> BTreeMap<String, (ScopeSpec, Segment)> {
        let names = endpoints.iter().map(|endpoint| &endpoint.spec.scope);
        names
            .filter_map(|name| {
                let scope = self.scopes.get(name)?;
                Some((name.clone(), (scope.spec.clone(), scope.segment())))
            })
            .collect()
    }
}
