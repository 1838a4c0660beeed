//! The networks of one host: its scopes, and the table of assigned addresses.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guestinfo::Dialect;
use guestinfo::vic::NetworkEndpoint;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use vim25::Poly;
use vim25::types::VirtualDeviceBackingInfo;

use super::cards::{Card, slots};
use super::guest_keys::guest_networks;
use super::known::Known;
use super::scope_copies::Checked;
use crate::network::EndpointInfo;
use crate::network::table::{REST, Segment, Table};
use crate::vsphere::endpoint::Endpoint;
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::index::Index;
use crate::vsphere::options::Options;
use crate::{ContainerId, Error, Resource, Result, StateKind};

/// The cards of a new container.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct NewCards {
    pub(in crate::vsphere) cards: Vec<Card>,
    /// The PCI slots of the cards, by network.
    slots: BTreeMap<Segment, i32>,
}

/// The default scope of every host.
const BRIDGE: &str = "bridge";

/// The scopes of one host, and the addresses that containers hold in them.
#[derive(Debug)]
pub(in crate::vsphere) struct HostNetworks {
    pub(super) endpoint: Endpoint,
    pub(super) objects: HostObjects,
    pub(super) index: Index,
    /// Timeout of the endpoint's tasks.
    pub(super) task_timeout: Duration,
    /// Whether no other program changes the host.
    pub(super) is_only_writer: bool,
    /// Must be locked before `known`.
    table: Mutex<Table>,
    known: Mutex<Known>,
    /// The last look at the copies of the scopes.
    pub(super) checked: Checked,
    /// Serializes changes to scopes.
    pub(super) scopes: AsyncMutex<()>,
    /// Set once scopes and containers have been read for the first time.
    pub(super) loaded: OnceCell<()>,
    /// Held while a container is powered on that must not run together with certain others.
    rivals: AsyncMutex<()>,
}

impl HostNetworks {
    pub(in crate::vsphere) fn new(
        endpoint: Endpoint,
        objects: HostObjects,
        index: Index,
        options: &Options,
    ) -> Self {
        let seed = objects.defaults.namespace;
        let table = Table::new(BRIDGE, objects.bridge_range, REST, seed.as_bytes());
        Self {
            endpoint,
            objects,
            index,
            task_timeout: options.task_timeout,
            is_only_writer: options.sole_writer,
            table: Mutex::new(table),
            known: Mutex::default(),
            checked: Checked::default(),
            scopes: AsyncMutex::default(),
            loaded: OnceCell::new(),
            rivals: AsyncMutex::default(),
        }
    }

    pub(in crate::vsphere) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if another container holds an address of this container.
    pub(in crate::vsphere) async fn refuse_conflict(&self, id: &ContainerId) -> Result<()> {
        self.load().await?;
        self.sync().await?;
        let table = self.table();
        let Some(reason) = table.conflict(id) else {
            return Ok(());
        };
        let resource = Resource::container(id);
        let error = Error::invalid_state(resource, StateKind::Broken, StateKind::STARTABLE);
        Err(error.with_source(reason.to_owned()))
    }

    /// Waits until no other container with [rivals](Table::rivals) is being powered on.
    pub(in crate::vsphere) async fn rivals_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.rivals.lock().await
    }

    /// Returns the cards of a new container with these connections.
    pub(in crate::vsphere) async fn cards(
        &self,
        endpoints: &[EndpointInfo],
        dialect: Dialect,
    ) -> Result<NewCards> {
        let mut backings = self.backings(endpoints).await?;
        let mut new = NewCards::default();
        let segments = self.table().segments(endpoints);
        for ((segment, mac), slot) in segments.into_iter().zip(slots(dialect)) {
            if let Some(backing) = backings.remove(&segment) {
                new.cards.push(Card { backing, mac, slot });
                new.slots.insert(segment, slot);
            }
        }
        Ok(new)
    }

    /// Returns the guest's keys for the connections of a new container.
    pub(in crate::vsphere) fn guest_networks(
        &self,
        name: &str,
        endpoints: &[EndpointInfo],
        cards: &NewCards,
    ) -> BTreeMap<String, NetworkEndpoint> {
        let scopes = self.table().scopes_of(endpoints);
        guest_networks(name, endpoints, &scopes, &cards.slots)
    }

    /// Returns the backings of the cards of a container with these connections.
    pub(in crate::vsphere) async fn backings(
        &self,
        endpoints: &[EndpointInfo],
    ) -> Result<BTreeMap<Segment, Poly<VirtualDeviceBackingInfo>>> {
        let mut backings = BTreeMap::new();
        for (segment, _) in self.table().segments(endpoints) {
            backings.insert(segment, None);
        }
        for (segment, backing) in &mut backings {
            *backing = Some(match &segment.0 {
                None => self.objects.bridge.clone(),
                Some(name) => {
                    self.endpoint
                        .network(&self.objects.datacenter, name)
                        .await?
                }
            });
        }
        let found = backings.into_iter();
        Ok(found
            .filter_map(|(segment, b)| Some((segment, b?)))
            .collect())
    }
}
