//! The appliance: a virtual container host.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use super::container::ExecutorConfig;
use super::network::ContainerNetwork;
use super::redacted::Redacted;
use crate::codec::{Decoder, Describer, Encoder};
use crate::{Dialect, GoUrl, GuestInfo};

/// Everything the appliance knows about itself and its containers' world.
///
/// 1.x sorts the fields into groups that are part of the keys; 0.4 has no
/// groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct VirtualContainerHostConfig {
    /// The appliance as a machine: its sessions are the services.
    #[guestinfo(key = "init", scope = "read-only")]
    pub executor: ExecutorConfig,
    /// Its connection to vSphere.
    #[guestinfo(flatten)]
    pub connection: Connection,
    /// Its certificates.
    #[guestinfo(flatten)]
    pub certificates: Certificates,
    /// Where images and volumes are.
    #[guestinfo(flatten)]
    pub storage: Storage,
    /// Networks for containers.
    #[guestinfo(flatten)]
    pub networks: HostNetworks,
    /// Where containers run.
    #[guestinfo(flatten)]
    pub containers: Containers,
    /// Which registries it talks to.
    #[guestinfo(flatten)]
    pub registries: Registries,
    /// The installer made the bridge network and removes it in the end.
    #[guestinfo(key = "create_bridge_network", scope = "read-only", default)]
    pub create_bridge_network: bool,
    /// `ADD` when the installer grants the user's permissions.
    #[guestinfo(vic1(key = "grant_permissions", scope = "read-only"), default)]
    pub grant_permissions: String,
    /// The options it was made with.
    #[guestinfo(vic1(key = "vic_machine_create_options", scope = "read-only"))]
    pub create_options: Vec<String>,
}

/// The connection of the appliance to vSphere.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Connection {
    /// The endpoint.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "target"),
        vic1(key = "connect/target"),
        default
    )]
    pub target: Target,
    /// The user.
    #[guestinfo(vic1(key = "connect/username", scope = "read-only"), default)]
    pub username: String,
    /// The user's password; sealed.
    #[guestinfo(vic1(key = "connect/token", secret))]
    pub token: Option<Redacted<String>>,
    /// The SHA-1 thumbprint of the endpoint's certificate.
    #[guestinfo(vic1(key = "connect/target_thumbprint", scope = "read-only"), default)]
    pub target_thumbprint: String,
    /// The interval at which the session is kept alive.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "keepalive"),
        vic1(key = "connect/keepalive"),
        default
    )]
    pub keepalive: Duration,
    /// The certificate is not checked. Only 0.4.
    #[guestinfo(vic04(key = "insecure", scope = "read-only"), default)]
    pub insecure: bool,
    /// The certificate of the vCenter extension. Only 0.4.
    #[guestinfo(vic04(key = "extension_cert", scope = "read-only"), default)]
    pub extension_cert: String,
    /// Its private key, stored in the clear. Only 0.4.
    #[guestinfo(vic04(key = "extension_key", scope = "read-only"))]
    pub extension_key: Option<Redacted<String>>,
    /// The extension's name. Only 0.4.
    #[guestinfo(vic04(key = "extension_name", scope = "read-only"), default)]
    pub extension_name: String,
    /// The version of the program that made it. Only 0.4; 1.x has
    /// [`ExecutorConfig::version`].
    #[guestinfo(vic04(key = "version", scope = "read-only"), default)]
    pub version: String,
}

/// The URL of the vSphere endpoint: one text in 1.x, its parts in 0.4.
///
/// On a standalone host 0.4 put user and password of the same URL into session
/// arguments; treat those as secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Target(pub String);

impl fmt::Debug for Target {
    // It may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.parse::<GoUrl>().unwrap_or_default();
        f.debug_tuple("Target").field(&url.to_string()).finish()
    }
}

impl GuestInfo for Target {
    fn encode(&self, encoder: &mut Encoder) {
        match encoder.dialect() {
            Dialect::Vic1 => self.0.encode(encoder),
            Dialect::Vic04 => match self.0.parse::<GoUrl>() {
                Ok(url) => url.encode(encoder),
                Err(_) => encoder.unstorable("expected a URL"),
            },
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        match decoder.dialect() {
            Dialect::Vic1 => String::decode(decoder).map(Self),
            Dialect::Vic04 => GoUrl::decode(decoder).map(|url| Self(url.to_string())),
        }
    }

    fn describe(describer: &mut Describer) {
        match describer.dialect() {
            Dialect::Vic1 => describer.text(),
            Dialect::Vic04 => GoUrl::describe(describer),
        }
    }
}

/// The appliance's certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Certificates {
    /// The certificate and key that the appliance presents to its clients.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "HostCertificate"),
        vic1(key = "cert/HostCertificate")
    )]
    pub host: Option<RawCertificate>,
    /// The authorities that sign client certificates, in PEM.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "CertificateAuthorities"),
        vic1(key = "cert/CertificateAuthorities")
    )]
    pub authorities: Vec<u8>,
    /// The authorities that sign certificates of registries, in PEM.
    #[guestinfo(vic1(key = "cert/RegistryCertificateAuthorities", scope = "read-only"))]
    pub registry_authorities: Vec<u8>,
    /// The user's private key, in the clear. Only 0.4.
    #[guestinfo(vic04(key = "key_pem", scope = "read-only"))]
    pub user_key: Option<Redacted<String>>,
    /// The user's certificate. Only 0.4.
    #[guestinfo(vic04(key = "cert_pem", scope = "read-only"), default)]
    pub user_cert: String,
}

/// A certificate with its private key, both in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct RawCertificate {
    /// The private key; sealed in 1.x.
    #[guestinfo(key = "Key", scope = "read-only", vic04, vic1(secret))]
    pub key: Redacted<Vec<u8>>,
    /// The certificate.
    #[guestinfo(key = "Cert", scope = "read-only")]
    pub cert: Vec<u8>,
}

/// Where images and volumes are.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Storage {
    /// The image stores: `ds://<datastore>/<path>`; only the first counts.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "image_stores"),
        vic1(key = "storage/image_stores")
    )]
    pub image_stores: Vec<GoUrl>,
    /// The volume stores, by label. The path holds a datastore path such
    /// as `[datastore1] volumes`; NFS has its options in the query.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "VolumeLocations"),
        vic1(key = "storage/VolumeLocations")
    )]
    pub volume_locations: BTreeMap<String, GoUrl>,
    /// Maximum size of all images in bytes; 0: no limit.
    #[guestinfo(vic1(key = "storage/storage_quota", scope = "read-only"), default)]
    pub storage_quota: i64,
    /// The size of the scratch disk, in KiB.
    #[guestinfo(vic1(key = "storage/scratch_size", scope = "read-only"), default)]
    pub scratch_size: i64,
}

/// Networks for containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct HostNetworks {
    /// The name of the bridge network.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "bridge_network"),
        vic1(key = "network/bridge_network"),
        default
    )]
    pub bridge_network: String,
    /// All networks, by name.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "container_networks"),
        vic1(key = "network/container_networks")
    )]
    pub container_networks: BTreeMap<String, ContainerNetwork>,
    /// The range that bridge networks are cut from.
    #[guestinfo(vic1(key = "network/bridge-ip-range", scope = "read-only"))]
    pub bridge_ip_range: Option<IpNet>,
    /// The mask of one bridge network.
    #[guestinfo(vic1(key = "network/bridge-net-width", scope = "read-only"))]
    pub bridge_net_width: Vec<u8>,
}

/// Where containers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Containers {
    /// The resource pool; exactly one.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "ComputeResources"),
        vic1(key = "container/ComputeResources")
    )]
    pub compute_resources: Vec<ComputeResource>,
    /// The ISO image that containers boot from.
    #[guestinfo(
        vic1(key = "container/bootstrap_image_path", scope = "read-only"),
        default
    )]
    pub bootstrap_image_path: String,
    /// The pattern of machines' names, with `{name}` and `{id}`.
    #[guestinfo(
        vic04(key = "ContainerNameConvention", scope = "hidden"),
        vic1(key = "container/ContainerNameConvention", scope = "read-only"),
        default
    )]
    pub name_convention: String,
    /// Containers join a group of machines.
    #[guestinfo(vic1(key = "container/UseVMGroup", scope = "read-only"), default)]
    pub use_vm_group: bool,
    /// The group's name.
    #[guestinfo(vic1(key = "container/VMGroupName", scope = "read-only"), default)]
    pub vm_group_name: String,
    /// Maximum number of containers; 0: no limit.
    #[guestinfo(vic1(key = "container/container_count", scope = "read-only"), default)]
    pub container_count: i64,
}

/// A managed object that containers run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ComputeResource {
    /// Its type, such as `ResourcePool`.
    #[guestinfo(key = "Type")]
    pub kind: String,
    /// Its id.
    #[guestinfo(key = "Value")]
    pub value: String,
}

/// Which registries the appliance talks to.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Registries {
    /// Only these, if there are any.
    #[guestinfo(vic1(key = "registry/whitelist_registries", scope = "read-only"))]
    pub whitelist: Vec<String>,
    /// These without a checked certificate.
    #[guestinfo(vic1(key = "registry/insecure_registries", scope = "read-only"))]
    pub insecure: Vec<String>,
}
