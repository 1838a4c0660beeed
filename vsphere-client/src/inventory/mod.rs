//! Finding objects by name.

mod datacenter;
mod pattern;
mod search;
mod walk;

pub use datacenter::{Datacenter, Datastore};
pub use search::Found;

use vim25::{AnyRef, IsA, ManagedObject, Ref, mo, props};

use crate::client::Client;
use crate::error::{EntityKind, Error, Result, SearchScope};
use crate::escape::unescape_name;
use pattern::Pattern;

impl Client {
    /// Returns the inventory, which finds objects by name.
    ///
    /// ```no_run
    /// # async fn example(client: &vsphere_client::Client) -> vsphere_client::Result<()> {
    /// let inventory = client.inventory();
    /// let datacenter = inventory.datacenter(None).await?;
    /// let datastore = inventory.datastore(&datacenter, Some("datastore1")).await?;
    /// let pool = inventory.resource_pool(&datacenter, None).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn inventory(&self) -> Inventory<'_> {
        Inventory { client: self }
    }

    /// Returns the datacenter, datastore, pool and network for a new machine, if there is only
    /// one of each; see [`Inventory::defaults`].
    ///
    /// # Errors
    /// As for [`Inventory::defaults`].
    pub async fn defaults(&self) -> Result<InventoryDefaults> {
        self.inventory().defaults().await
    }
}

/// The only datacenter, datastore, resource pool and network of a server; returned by
/// [`Inventory::defaults`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InventoryDefaults {
    /// The datacenter.
    pub datacenter: Datacenter,
    /// The datastore of the datacenter.
    pub datastore: Datastore,
    /// The root pool of the datacenter's host or cluster.
    pub resource_pool: Ref<mo::ResourcePool>,
    /// The network of the datacenter.
    pub network: Ref<mo::Network>,
}

/// The inventory of a server; returned by [`Client::inventory`].
///
/// *Names* are written without escapes. *Paths* start with the name of a datacenter, or of a
/// folder of datacenters, followed by `vm`, `host`, `datastore` or `network`:
/// `/ha-datacenter/vm/web` or `/DC0/host/C0/Resources/pool`, for example. In paths, `/`, `\`
/// and `%` within a name are escaped as `%2f`, `%5c` and `%25`, like on servers.
///
/// If a name is optional, `None` means the only existing object. An argument is first looked
/// up as a name, which may contain a slash (`DHCP_10.1.1.0/24`), and then as a path; with a
/// leading slash, it is always a path.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'c> {
    client: &'c Client,
}

impl Inventory<'_> {
    /// Finds the object at a path, usually with one call.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the component that does not exist and the names that exist in
    /// its place; otherwise see [`Error`].
    pub async fn find(&self, path: &str) -> Result<AnyRef> {
        if let Some(index) = self.client.service_content().search_index.as_ref() {
            let call = index.find_by_inventory_path(path.trim_start_matches('/'));
            // Servers differ in which objects the search index contains, and in how they
            // report a missing one.
            match self.client.call(call).await {
                Ok(Some(found)) => return Ok(found.upcast()),
                Ok(None) | Err(Error::Fault { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        walk::find(self.client, path).await
    }

    /// Finds all objects of type `T` or of its subtypes whose paths match a pattern,
    /// sorted by path. The result may be empty.
    ///
    /// In a segment of a pattern, `*` matches any text, `?` one character, and a backslash
    /// escapes either; the segment `...` matches any number of segments. A pattern without a
    /// leading slash matches the end of a path: `web-*` finds such names anywhere, and
    /// `vm/web-*` finds them directly in a `vm` folder. The part of the inventory that may
    /// contain a `T` is read with one query; types that may be anywhere need two.
    ///
    /// ```no_run
    /// # use vim25::mo;
    /// # async fn example(client: &vsphere_client::Client) -> vsphere_client::Result<()> {
    /// let inventory = client.inventory();
    /// for found in inventory.find_all::<mo::VirtualMachine>("/DC0/vm/.../web-*").await? {
    ///     println!("{} {}", found.path, found.object);
    /// }
    /// let cluster = inventory.find_one::<mo::ClusterComputeResource>("C0").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_all<T>(&self, pattern: &str) -> Result<Vec<Found<T>>>
    where
        T: ManagedObject + IsA<mo::ManagedEntity>,
    {
        let wanted = Pattern::new(pattern);
        let mut all = search::everything::<T>(self.client).await?;
        all.retain(|found| found.fits(&wanted));
        Ok(all)
    }

    /// Finds the only object of type `T` or of its subtypes whose path matches a pattern
    /// of [`find_all`](Self::find_all). An absolute path without wildcards costs one call.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] with the matching paths, and [`Error::NotFound`] with the existing
    /// paths; otherwise see [`Error`].
    pub async fn find_one<T>(&self, pattern: &str) -> Result<Found<T>>
    where
        T: ManagedObject + IsA<mo::ManagedEntity>,
    {
        let kind = EntityKind::of(T::NAME);
        let wanted = Pattern::new(pattern);
        if let Some(path) = wanted.literal() {
            let object = self.find_as(&path).await?;
            return Ok(Found { path, object });
        }
        let mut all = search::everything::<T>(self.client).await?;
        let paths = |all: &[Found<T>]| all.iter().map(|found| found.path.clone()).collect();
        let there = SearchScope::new(self.client.server(), paths(&all));
        all.retain(|found| found.fits(&wanted));
        match all.len() {
            0 => Err(Error::not_found(kind, pattern, there)),
            1 => Ok(all.swap_remove(0)),
            _ => Err(Error::Ambiguous {
                kind,
                place: SearchScope::new(self.client.server(), paths(&all)),
            }),
        }
    }

    /// Finds the object at a path, which must be of type `T`.
    ///
    /// # Errors
    /// [`Error::WrongType`] when it is of another type; otherwise as for [`find`](Self::find).
    pub async fn find_as<T>(&self, path: &str) -> Result<Ref<T>>
    where
        T: ManagedObject,
    {
        let found = self.find(path).await?;
        found.downcast().ok_or_else(|| Error::WrongType {
            name: path.into(),
            found: found.type_name().into(),
            expected: T::NAME,
        })
    }

    /// Returns the path of an object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn path_of<T>(&self, object: &Ref<T>) -> Result<String>
    where
        T: ManagedObject + IsA<mo::ManagedEntity>,
    {
        walk::path_of(self.client, object.upcast()).await
    }

    /// Returns the datacenter, datastore, pool and network for a new machine, if there is only
    /// one of each, as on a host that was just installed.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] with the candidates when there are several objects of a kind: look
    /// it up by name instead. [`Error::NotFound`] when there is none.
    pub async fn defaults(&self) -> Result<InventoryDefaults> {
        let datacenter = self.datacenter(None).await?;
        let (datastore, resource_pool, network) = futures_util::future::try_join3(
            self.datastore(&datacenter, None),
            self.resource_pool(&datacenter, None),
            self.network(&datacenter, None),
        )
        .await?;
        Ok(InventoryDefaults {
            datacenter,
            datastore,
            resource_pool,
            network,
        })
    }

    /// Finds a datacenter by name or path.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`]; otherwise see [`Error`].
    pub async fn datacenter(&self, name: Option<&str>) -> Result<Datacenter> {
        let reference = match name {
            Some(path) if path.starts_with('/') => self.find_as(path).await?,
            _ => {
                let root = &self.client.service_content().root_folder;
                let all = self
                    .client
                    .retrieve::<mo::Datacenter>()
                    .property(props::datacenter::NAME)
                    .within(root)
                    .collect()
                    .await?;
                let all = all.iter().map(|datacenter| Candidate {
                    name: datacenter
                        .value(props::datacenter::NAME)
                        .unwrap_or_default(),
                    object: datacenter.object().clone(),
                });
                match pick(
                    EntityKind::Datacenter,
                    name,
                    self.client.server(),
                    all.collect(),
                ) {
                    Ok(found) => found.object,
                    Err(error) => {
                        self.find_relative(name, error, |path| path.to_owned())
                            .await?
                    }
                }
            }
        };
        Datacenter::read(self.client, reference).await
    }

    /// Finds a datastore by name, or by path in the datacenter's folder of datastores.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`]; otherwise see [`Error`].
    pub async fn datastore(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<Datastore> {
        let (name, reference) = match name {
            Some(path) if path.starts_with('/') => {
                let reference = self.find_as(path).await?;
                let name = self.client.get(&reference, props::datastore::NAME).await?;
                (name, reference)
            }
            _ => {
                let all = self
                    .client
                    .retrieve::<mo::Datastore>()
                    .property(props::datastore::NAME)
                    .along(datacenter.reference(), props::datacenter::DATASTORE)
                    .collect()
                    .await?;
                let all = all.iter().map(|datastore| Candidate {
                    name: datastore.value(props::datastore::NAME).unwrap_or_default(),
                    object: datastore.object().clone(),
                });
                match pick(
                    EntityKind::Datastore,
                    name,
                    datacenter.path(),
                    all.collect(),
                ) {
                    Ok(found) => (found.name, found.object),
                    Err(error) => {
                        let reference = self
                            .find_relative(name, error, |path| {
                                datacenter.path_to("datastore", path)
                            })
                            .await?;
                        let name = self.client.get(&reference, props::datastore::NAME).await?;
                        (name, reference)
                    }
                }
            }
        };
        let name = unescape_name(&name).into_owned();
        Ok(Datastore::new(reference, name, datacenter.clone()))
    }

    /// Finds a network or distributed port group by name, or by path in the
    /// datacenter's folder of networks.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`]; otherwise see [`Error`].
    pub async fn network(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<Ref<mo::Network>> {
        if let Some(path) = name.filter(|name| name.starts_with('/')) {
            return self.find_as(path).await;
        }
        let all = self
            .client
            .retrieve::<mo::Network>()
            .property(props::network::NAME)
            .along(datacenter.reference(), props::datacenter::NETWORK)
            .collect()
            .await?;
        let all = all.iter().map(|network| Candidate {
            name: network.value(props::network::NAME).unwrap_or_default(),
            object: network.object().clone(),
        });
        match pick(EntityKind::Network, name, datacenter.path(), all.collect()) {
            Ok(found) => Ok(found.object),
            Err(error) => {
                self.find_relative(name, error, |path| datacenter.path_to("network", path))
                    .await
            }
        }
    }

    /// Finds a resource pool by its name, by the name of the host or cluster whose root pool
    /// it is, or by its path in the datacenter's folder of hosts, such as `C0/Resources/pool`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`]; otherwise see [`Error`].
    pub async fn resource_pool(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<Ref<mo::ResourcePool>> {
        if let Some(path) = name.filter(|name| name.starts_with('/')) {
            return self.pool_at(path).await;
        }
        let computes = self
            .client
            .retrieve::<mo::ComputeResource>()
            .property(props::compute_resource::NAME)
            .property(props::compute_resource::RESOURCE_POOL)
            .within(datacenter.host_folder())
            .collect()
            .await?;
        let mut all: Vec<_> = computes
            .iter()
            .filter_map(|compute| {
                Some(Candidate {
                    name: compute.value(props::compute_resource::NAME)?,
                    object: compute.value(props::compute_resource::RESOURCE_POOL)?,
                })
            })
            .collect();
        if name.is_some() {
            let pools = self
                .client
                .retrieve::<mo::ResourcePool>()
                .property(props::resource_pool::NAME)
                .within(datacenter.host_folder())
                .collect()
                .await?;
            // Root pools have the names of their hosts and clusters.
            let inner = pools
                .iter()
                .filter(|pool| all.iter().all(|root| root.object != *pool.object()));
            let inner: Vec<_> = inner
                .map(|pool| Candidate {
                    name: pool.value(props::resource_pool::NAME).unwrap_or_default(),
                    object: pool.object().clone(),
                })
                .collect();
            all.extend(inner);
        }
        match pick(EntityKind::ResourcePool, name, datacenter.path(), all) {
            Ok(found) => Ok(found.object),
            Err(error @ Error::NotFound { .. }) => match name.filter(|name| name.contains('/')) {
                Some(path) => match self.pool_at(&datacenter.path_to("host", path)).await {
                    Err(Error::NotFound { .. }) => Err(error),
                    found => found,
                },
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns the pool at a path, or the root pool of the host or cluster there.
    async fn pool_at(&self, path: &str) -> Result<Ref<mo::ResourcePool>> {
        let found = self.find(path).await?;
        if let Some(pool) = found.downcast() {
            return Ok(pool);
        }
        if let Some(compute) = found.downcast::<mo::ComputeResource>() {
            return self
                .client
                .get(&compute, props::compute_resource::RESOURCE_POOL)
                .await;
        }
        Err(Error::WrongType {
            name: path.into(),
            found: found.type_name().into(),
            expected: mo::ResourcePool::NAME,
        })
    }

    /// Finds the object at a path, after no object had the text as its name. If the path does
    /// not exist either, the error lists the existing names.
    async fn find_relative<T>(
        &self,
        name: Option<&str>,
        error: Error,
        path: impl FnOnce(&str) -> String,
    ) -> Result<Ref<T>>
    where
        T: ManagedObject,
    {
        let Some(name) = name.filter(|name| name.contains('/')) else {
            return Err(error);
        };
        if !matches!(error, Error::NotFound { .. }) {
            return Err(error);
        }
        match self.find_as(&path(name)).await {
            Err(Error::NotFound { .. }) => Err(error),
            found => found,
        }
    }
}

/// An object that a name may refer to.
struct Candidate<T> {
    name: String,
    object: Ref<T>,
}

/// Returns the candidate that the name refers to.
fn pick<T>(
    kind: EntityKind,
    wanted: Option<&str>,
    place: &str,
    all: Vec<Candidate<T>>,
) -> Result<Candidate<T>> {
    let mut there: Vec<_> = all
        .iter()
        .map(|candidate| unescape_name(&candidate.name).into_owned())
        .collect();
    there.sort();
    let fits = |candidate: &Candidate<T>| {
        wanted.is_none_or(|wanted| unescape_name(&candidate.name) == unescape_name(wanted))
    };
    let mut fitting = all.into_iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => {
            let place = SearchScope::new(place, there);
            Err(Error::not_found(kind, wanted.unwrap_or("(any)"), place))
        }
        (Some(_), Some(_)) => Err(Error::Ambiguous {
            kind,
            place: SearchScope::new(place, there),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn networks(names: &[&str]) -> Vec<Candidate<mo::Network>> {
        let candidate = |(index, name): (usize, &&str)| Candidate {
            name: (*name).to_owned(),
            object: Ref::new(&format!("network-{index}")),
        };
        names.iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn names_are_compared_as_people_write_them() {
        let found = pick(
            EntityKind::Network,
            Some("a/b"),
            "/DC0",
            networks(&["c", "a%2fb"]),
        )
        .unwrap();
        assert_eq!(found.object.value(), "network-1");
        let found = pick(
            EntityKind::Network,
            Some("a%2fb"),
            "/DC0",
            networks(&["c", "a%2fb"]),
        )
        .unwrap();
        assert_eq!(found.object.value(), "network-1");
    }

    #[test]
    fn what_is_not_there_or_not_unique_is_told_with_what_there_is() {
        let error = pick(
            EntityKind::Network,
            Some("x"),
            "/DC0",
            networks(&["b", "a%2fb"]),
        )
        .err()
        .unwrap();
        assert_eq!(
            error.to_string(),
            "no network \"x\" in /DC0; there is a/b, b"
        );
        let error = pick(EntityKind::Network, None, "/DC0", networks(&["b", "a"]))
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "more than one network fits in /DC0; there is a, b; name one"
        );
        assert!(matches!(
            pick(EntityKind::Network, None, "/DC0", networks(&[])),
            Err(Error::NotFound { .. })
        ));
        assert!(pick(EntityKind::Network, None, "/DC0", networks(&["b"])).is_ok());
    }
}
