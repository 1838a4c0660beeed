//! The handle of a running simulator.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use vim25::{Property, Ref, Slot};

use crate::builder::SimulatorBuilder;
use crate::model::compute_resource::UnknownClusterError;
use crate::model::host_connection::UnknownHostError;
use crate::property::assign::SetPropertyError;
use crate::script::Script;
use crate::shared::Shared;
use crate::topology::Topology;

/// A running vSphere endpoint.
///
/// Dropping it stops the simulator: connections, guests and tasks end, the port is released as
/// soon as the runtime has run its tasks, and a temporary datastore is removed.
/// [`shutdown`](Self::shutdown) does the same and waits until it is done.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    thumbprint: String,
    certificate_pem: String,
}

impl Simulator {
    /// Creates a builder for a simulator. It simulates an ESXi host unless
    /// [`topology`](SimulatorBuilder::topology) is set.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }

    /// Creates a builder for an ESXi host.
    pub fn esx() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }

    /// Creates a builder for the vCenter of [`Topology::vcenter`].
    pub fn vcenter() -> SimulatorBuilder {
        SimulatorBuilder::new().topology(Topology::vcenter())
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        address: SocketAddr,
        thumbprint: String,
        certificate_pem: String,
    ) -> Self {
        Self {
            shared,
            address,
            url: format!("https://{address}/sdk"),
            thumbprint,
            certificate_pem,
        }
    }

    /// Returns the URL of the SOAP endpoint: `https://127.0.0.1:PORT/sdk`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address that the simulator listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the SHA-256 of the certificate: 32 bytes in upper-case hexadecimal, with colons.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Returns the certificate in PEM form, for clients that trust it as a root.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the user who can log in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.shared.settings.user
    }

    /// Returns the user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.shared.settings.password.0
    }

    /// Returns the name of the first datastore.
    #[must_use]
    pub fn datastore_name(&self) -> &str {
        &self.shared.store.first().name
    }

    #[cfg(test)]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the directory of the files of the first datastore.
    ///
    /// On a temporary datastore, the files of new machines are kept in memory until somebody uses
    /// them. This function writes all of them, and ends this: the caller can read the directory at any
    /// time. The same is true for [`datastores`](Self::datastores) and
    /// [`datastores_of`](Self::datastores_of). Files that cannot be written are logged.
    #[must_use]
    pub fn datastore_directory(&self) -> &Path {
        self.shared.store.first().expose()
    }

    /// Returns the names of all datastores and the directories of their files: those of the first
    /// datacenter first, and in each its first datastore first. Names are unique within a datacenter,
    /// see [`datastores_of`](Self::datastores_of).
    pub fn datastores(&self) -> impl Iterator<Item = (&str, &Path)> {
        let volumes = self.shared.store.volumes();
        volumes.map(|volume| (&*volume.name, volume.expose()))
    }

    /// Returns the number of datacenters that the simulator started with.
    #[must_use]
    pub fn datacenters(&self) -> usize {
        self.shared.settings.layout().datacenters().len()
    }

    /// Returns the names of the datastores of a datacenter, by its number from 0, and the directories of
    /// their files. Empty if there is no such datacenter.
    pub fn datastores_of(&self, datacenter: usize) -> impl Iterator<Item = (&str, &Path)> {
        let volumes = self.shared.store.volumes();
        volumes
            .filter(move |volume| volume.site.position() == datacenter)
            .map(|volume| (&*volume.name, volume.expose()))
    }

    /// Returns the same as [`datastores_of`](Self::datastores_of) without writing any files, for
    /// messages: in a temporary directory, the files of machines that nobody has used are missing.
    pub fn datastore_locations_of(&self, datacenter: usize) -> impl Iterator<Item = (&str, &Path)> {
        let volumes = self.shared.store.volumes();
        volumes
            .filter(move |volume| volume.site.position() == datacenter)
            .map(|volume| (&*volume.name, &*volume.directory))
    }

    /// Returns the fault injection rules.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// Ends every session, like a restart of a real server's session service.
    pub fn drop_sessions(&self) {
        crate::model::session_manager::drop_all(&self.shared);
    }

    /// Ends every lease that is ready with `Timedout`, as if its client had reported no progress
    /// for the whole [timeout](SimulatorBuilder::lease_timeout). Tests need not wait.
    pub fn time_out_leases(&self) {
        crate::model::lease::time_out_all(&self.shared);
    }

    /// Sets whether a host of a simulated vCenter responds.
    ///
    /// While it does not, the host is `notResponding`, its machines are `disconnected`, every
    /// operation on them fails with `HostNotConnected`, and new machines are created on other
    /// hosts. Guests go on running. Unlike on a real vCenter, the changes that they make in the
    /// meantime are reported at once.
    ///
    /// # Errors
    /// If no vCenter host has this name.
    pub fn set_host_responding(&self, host: &str, responds: bool) -> Result<(), UnknownHostError> {
        crate::model::host_connection::set(&self.shared, host, responds)
    }

    /// Turns DRS of a cluster on or off. Unlike on a vCenter, the resource pools of the cluster are
    /// kept.
    ///
    /// # Errors
    /// If no cluster has this name.
    pub fn set_drs(&self, cluster: &str, on: bool) -> Result<(), UnknownClusterError> {
        crate::model::compute_resource::set_drs(&self.shared, cluster, on)
    }

    /// Sets a property of an object, or a value inside it, as an administrator or a device might
    /// change it: for endpoints that the [topology](Topology) cannot describe. Clients that watch the
    /// property are notified. A property that is derived from others, such as the free space of a
    /// datastore, keeps its own value when it is derived again.
    ///
    /// # Errors
    /// If the object or the property does not exist, or a part of the path has no value yet.
    pub fn set_property<T, V: Slot>(
        &self,
        object: &Ref<T>,
        property: Property<T, V>,
        value: &V,
    ) -> Result<(), SetPropertyError> {
        crate::property::assign::assign(&self.shared, object, property, value)
    }

    /// Serves an HTTP interface to fault injection, which a test suite in another language can use.
    /// [The page on it](crate#fault-injection-over-http) describes the requests. Returns the address that it
    /// listens on.
    ///
    /// Requests must have the header `Authorization: Bearer TOKEN`: other users of the system could
    /// connect, too.
    ///
    /// # Errors
    /// If the address is not a loopback address or is in use, or if the token is empty.
    pub async fn serve_control(&self, address: SocketAddr, token: &str) -> io::Result<SocketAddr> {
        let names = (self.url(), self.thumbprint());
        crate::control::serve(&self.shared, address, token, names).await
    }

    /// Waits until somebody stops the simulator by the [control
    /// interface](Self::serve_control). [`shutdown`](Self::shutdown) then waits for the end.
    pub async fn stopped(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Stops the simulator, and waits until its connections, guests and tasks have ended.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.shared.tracker.close();
        self.shared.tracker.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.tracker.close();
        self.shared.saver.save(&self.shared);
        // Refuse further transactions: nothing writes files after this.
        self.shared.registry.close();
        self.shared.store.remove_temporary();
    }
}
