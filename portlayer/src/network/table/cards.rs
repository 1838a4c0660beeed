//! The network cards that connections need.

use std::collections::BTreeMap;

use super::{Segment, Table};
use crate::network::{EndpointInfo, MacAddress, ScopeSpec};

impl Table {
    /// The networks that a container with these connections has cards on, in the order of its
    /// connections, with the cards' addresses.
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

    /// The scopes of these connections, with the networks that their cards are put on.
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
