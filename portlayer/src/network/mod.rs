//! Networks: the scopes that containers are connected to, and their addresses.
//!
//! `NETWORKS.md` in the crate's directory describes the behaviour: how addresses are chosen and
//! kept, the rule of the default route, which keys the guest reads, and what happens to duplicates.
//!
//! # Two containers on a scope, one with a published port
//! ```
//! use portlayer::exec::{Command, ContainerSpec, StartOptions};
//! use portlayer::memory::{Behaviour, MemoryExec};
//! use portlayer::network::{EndpointSpec, PortMapping, ScopeSpec};
//! use portlayer::PortLayer;
//! # #[cfg(feature = "forward")]
//! use portlayer::network::forward::{Forwarder, KernelDialer, Publisher};
//!
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! // On vSphere, `Hosts::open` returns the port layer of a host.
//! let containers = MemoryExec::new(|_: &ContainerSpec| Behaviour::runs());
//! let networks = std::sync::Arc::new(containers.networks());
//! let layer = PortLayer::new(containers).with_networks(networks);
//! let (exec, networks) = (layer.exec(), layer.networks());
//!
//! // A scope needs a name only: its subnet is the next one of the host's range.
//! let backend = networks.create(ScopeSpec::bridge("backend")).await?;
//! println!("backend has {:?}", backend.spec.subnet);
//!
//! let store = EndpointSpec::new("backend").alias("store");
//! let db = exec.create(ContainerSpec::new("db", Command::new("/db")).endpoint(store)).await?;
//! // Port 80 of the container, at any free port of 127.0.0.1.
//! let http: PortMapping = "127.0.0.1::80".parse()?;
//! let page = EndpointSpec::new("backend").port(http);
//! let web = exec.create(ContainerSpec::new("web", Command::new("/web")).endpoint(page)).await?;
//!
//! // The containers reach each other by name or alias. Addresses are known before the start.
//! let address = exec.inspect(&db).await?.endpoints[0].address.ok_or("no address")?;
//! assert_eq!(networks.resolve("backend", Some(&web), "store").await?, [address.addr()]);
//! assert_eq!(networks.reverse("backend", address.addr()).await?, ["db", "store"]);
//!
//! // A front end publishes the ports while the container is on, here with sockets of its own
//! // process (feature `forward`).
//! exec.start(&db, StartOptions::new()).await?;
//! exec.start(&web, StartOptions::new()).await?;
//! let endpoint = exec.inspect(&web).await?.endpoints.remove(0);
//! let address = endpoint.address.ok_or("no address")?;
//! # #[cfg(feature = "forward")] {
//! let forwarder = Forwarder::new(KernelDialer);
//! let published = forwarder.publish(web, address.addr(), &endpoint.spec.ports).await?;
//! println!("clients connect to 127.0.0.1:{:?}", published[0].host_port);
//! forwarder.withdraw(&web).await;
//! # }
//! # Ok(())
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(connect()).unwrap();
//! ```

mod address_pool;
mod bridge_range;
pub(crate) mod edit_connections;
mod endpoint;
#[cfg(feature = "forward")]
pub mod forward;
mod mac;
mod port;
mod port_text;
mod ranges;
mod refuse;
mod scope;
pub(crate) mod table;

use std::net::IpAddr;

use async_trait::async_trait;

pub use address_pool::{AddressError, AddressPool};
pub use bridge_range::{BridgeRange, BridgeRangeError};
pub use endpoint::{EndpointInfo, EndpointSpec};
pub use mac::{MacAddress, ParseMacAddressError};
pub use port::{PortMapping, Protocol};
pub use port_text::ParsePortError;
pub(crate) use refuse::{Refusal, clashing_ports, endpoint as refuse_endpoint};
pub use scope::{AddressRange, ScopeInfo, ScopeKind, ScopeSpec, TrustLevel};

use crate::{ContainerId, Result};

/// The networks of one virtual container host. A *scope* is a network as containers see it: a
/// range of addresses in which names are resolved.
///
/// # Guarantees
/// - Two containers never have the same address, or the same MAC address, in a scope.
/// - A container keeps its address while it is stopped. The address is free again once the
///   container's removal is confirmed, and is not reused immediately.
/// - Names are resolved within a scope and never across scopes.
/// - A port of the host is published for one container at a time: if two request it, the
///   second one to start fails with [`InUse`](crate::ErrorKind::InUse).
/// - Dropping a future is safe; a dropped `create` may leave the scope created.
///
/// Two machines may still end up with the same address, for example if one was copied without the
/// port layer. The container that was created first then owns the address. The other is
/// [quarantined](crate::exec::Listing::quarantined): it cannot be started until its connection is
/// replaced or the owner is removed. The owner cannot be started while the other is on.
///
/// # After a failure
/// Each method is safe to repeat after any error, and after its future was dropped. An earlier success
/// shows as [`AlreadyExists`](crate::ErrorKind::AlreadyExists) for what creates or connects, and as
/// [`NotFound`](crate::ErrorKind::NotFound) for what removes or disconnects. A creation that was
/// interrupted halfway shows as [`InUse`](crate::ErrorKind::InUse): remove the scope first.
#[async_trait]
pub trait Networks: std::fmt::Debug + Send + Sync + 'static {
    /// Creates a scope.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) naming the invalid field. A subnet
    ///   that overlaps another scope's is invalid too.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a scope has this name.
    /// - [`NotFound`](crate::ErrorKind::NotFound) for an external network that does not exist.
    /// - [`Exhausted`](crate::ErrorKind::Exhausted) when the host's range has no subnet left, or
    ///   the host has no network left for a scope that needs one of its own.
    /// - [`InUse`](crate::ErrorKind::InUse) if a creation or removal of the scope was interrupted,
    ///   or is in progress in another program.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) if a network has to be created for the
    ///   scope and the back end cannot create it.
    async fn create(&self, spec: ScopeSpec) -> Result<ScopeInfo>;

    /// Returns the description of one scope.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn inspect(&self, name: &str) -> Result<ScopeInfo>;

    /// Returns all scopes, sorted by name. The default scope is always among them.
    ///
    /// # Errors
    /// Returns only errors that affect the whole back end.
    async fn list(&self) -> Result<Vec<ScopeInfo>>;

    /// Removes a scope. If an earlier creation or removal of it was interrupted, removes what is
    /// left of it.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers connected to it, and for the
    ///   default scope.
    async fn remove(&self, name: &str) -> Result<()>;

    /// Resolves a container's name, short id or alias in a scope to its addresses, sorted. Returns
    /// no addresses if the name is unknown in that scope. With `from`, the name is resolved from
    /// the point of view of that container, whose [links](EndpointSpec::links) take precedence.
    /// Names are case-insensitive. Containers that are off are found too, because they keep their
    /// addresses.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the scope.
    async fn resolve(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<IpAddr>>;

    /// Returns the names of the container with this address in a scope: its own name first, then
    /// aliases.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for the scope.
    async fn reverse(&self, scope: &str, address: IpAddr) -> Result<Vec<String>>;

    /// Connects an existing container to one more scope.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) for the container or the scope.
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the container is already connected
    ///   to the scope.
    /// - [`InUse`](crate::ErrorKind::InUse) naming the container that has the requested address.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the container is on and the back end
    ///   cannot connect it in that state.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) if the back end cannot connect existing
    ///   containers.
    async fn connect(
        &self,
        container: &ContainerId,
        endpoint: EndpointSpec,
    ) -> Result<EndpointInfo>;

    /// Disconnects a container from a scope.
    ///
    /// # Errors
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for its last connection.
    /// - [`NotFound`](crate::ErrorKind::NotFound) for the container, the scope or the connection.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the container is on and the back end
    ///   cannot disconnect it in that state.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported) if the back end cannot disconnect
    ///   containers.
    async fn disconnect(&self, container: &ContainerId, scope: &str) -> Result<()>;
}
