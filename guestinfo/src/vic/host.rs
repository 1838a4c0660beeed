//! The state of the appliance, a virtual container host.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use super::container::ExecutorConfig;
use super::network::ContainerNetwork;
use super::redacted::Redacted;
use crate::codec::{Decoder, Describer, Encoder};
use crate::{Dialect, GoUrl, GuestInfo};

/// The whole stored state of the appliance: its own configuration and the environment in
/// which containers run.
///
/// In 1.x the fields are sorted into groups that are part of the keys; 0.4 has no groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct VirtualContainerHostConfig {
    /// The appliance as a machine; its sessions are the services.
    #[guestinfo(key = "init", scope = "read-only")]
    pub executor: ExecutorConfig,
    /// The connection to vSphere.
    #[guestinfo(flatten)]
    pub connection: Connection,
    /// The certificates of the appliance.
    #[guestinfo(flatten)]
    pub certificates: Certificates,
    /// The locations of images and volumes.
    #[guestinfo(flatten)]
    pub storage: Storage,
    /// The networks for containers.
    #[guestinfo(flatten)]
    pub networks: HostNetworks,
    /// Where containers run.
    #[guestinfo(flatten)]
    pub containers: Containers,
    /// The registries with which the appliance communicates.
    #[guestinfo(flatten)]
    pub registries: Registries,
    /// Whether the installer created the bridge network, and removes it on deletion.
    #[guestinfo(key = "create_bridge_network", scope = "read-only", default)]
    pub create_bridge_network: bool,
    /// `ADD` if the installer grants the user's permissions.
    #[guestinfo(vic1(key = "grant_permissions", scope = "read-only"), default)]
    pub grant_permissions: String,
    /// The options with which the appliance was created.
    #[guestinfo(vic1(key = "vic_machine_create_options", scope = "read-only"))]
    pub create_options: Vec<String>,
}

/// The connection of the appliance to vSphere.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Connection {
    /// The URL of the endpoint.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "target"),
        vic1(key = "connect/target"),
        default
    )]
    pub target: Target,
    /// The user name.
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
    /// Whether the certificate is not checked. Only in 0.4.
    #[guestinfo(vic04(key = "insecure", scope = "read-only"), default)]
    pub insecure: bool,
    /// The certificate of the vCenter extension. Only in 0.4.
    #[guestinfo(vic04(key = "extension_cert", scope = "read-only"), default)]
    pub extension_cert: String,
    /// The private key of the vCenter extension, stored in the clear. Only in 0.4.
    #[guestinfo(vic04(key = "extension_key", scope = "read-only"))]
    pub extension_key: Option<Redacted<String>>,
    /// The name of the vCenter extension. Only in 0.4.
    #[guestinfo(vic04(key = "extension_name", scope = "read-only"), default)]
    pub extension_name: String,
    /// The version of the program that created the appliance. Only in 0.4; 1.x has
    /// [`ExecutorConfig::version`].
    #[guestinfo(vic04(key = "version", scope = "read-only"), default)]
    pub version: String,
}

/// The URL of the vSphere endpoint, stored as one text in 1.x and in parts in 0.4.
///
/// On a standalone host, 0.4 also put the user and password of this URL into session
/// arguments; treat those as secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Target(pub String);

impl fmt::Debug for Target {
    // The URL may contain a password.
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
            Dialect::Vic04 => {
                let text = GoUrl::decode(decoder)?.to_string();
                // Parts that no URL has, such as a scheme with blanks, form the text of
                // another URL, which would be written in other parts.
                let same = |url: GoUrl| url.to_string() == text;
                if !text.parse::<GoUrl>().is_ok_and(same) {
                    decoder.malformed("expected the parts of a URL");
                    return None;
                }
                Some(Self(text))
            }
        }
    }

    fn describe(describer: &mut Describer) {
        match describer.dialect() {
            Dialect::Vic1 => describer.text(),
            Dialect::Vic04 => GoUrl::describe(describer),
        }
    }
}

/// The certificates of the appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Certificates {
    /// The certificate with its key that the appliance presents to its clients.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "HostCertificate"),
        vic1(key = "cert/HostCertificate")
    )]
    pub host: Option<RawCertificate>,
    /// The CA certificates for client certificates, in PEM.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "CertificateAuthorities"),
        vic1(key = "cert/CertificateAuthorities")
    )]
    pub authorities: Vec<u8>,
    /// The CA certificates for registries, in PEM.
    #[guestinfo(vic1(key = "cert/RegistryCertificateAuthorities", scope = "read-only"))]
    pub registry_authorities: Vec<u8>,
    /// The user's private key, in the clear. Only in 0.4.
    #[guestinfo(vic04(key = "key_pem", scope = "read-only"))]
    pub user_key: Option<Redacted<String>>,
    /// The user's certificate. Only in 0.4.
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

/// The locations of images and volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Storage {
    /// The image stores, `ds://<datastore>/<path>`; only the first one is used.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "image_stores"),
        vic1(key = "storage/image_stores")
    )]
    pub image_stores: Vec<GoUrl>,
    /// The volume stores, by label. The path is a datastore path such as
    /// `[datastore1] volumes`; for NFS, the query contains the options.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "VolumeLocations"),
        vic1(key = "storage/VolumeLocations")
    )]
    pub volume_locations: BTreeMap<String, GoUrl>,
    /// The maximum size of all images in bytes; 0 means no limit.
    #[guestinfo(vic1(key = "storage/storage_quota", scope = "read-only"), default)]
    pub storage_quota: i64,
    /// The size of a scratch disk, in KiB.
    #[guestinfo(vic1(key = "storage/scratch_size", scope = "read-only"), default)]
    pub scratch_size: i64,
}

/// The networks for containers.
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
    /// The range from which the subnets of bridge networks are taken.
    #[guestinfo(vic1(key = "network/bridge-ip-range", scope = "read-only"))]
    pub bridge_ip_range: Option<IpNet>,
    /// The network mask of one bridge network.
    #[guestinfo(vic1(key = "network/bridge-net-width", scope = "read-only"))]
    pub bridge_net_width: Vec<u8>,
}

/// Where containers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Containers {
    /// The resource pools; there is exactly one.
    #[guestinfo(
        scope = "read-only",
        vic04(key = "ComputeResources"),
        vic1(key = "container/ComputeResources")
    )]
    pub compute_resources: Vec<ComputeResource>,
    /// The ISO image from which containers boot.
    #[guestinfo(
        vic1(key = "container/bootstrap_image_path", scope = "read-only"),
        default
    )]
    pub bootstrap_image_path: String,
    /// The pattern for the names of container machines, with `{name}` and `{id}`.
    #[guestinfo(
        vic04(key = "ContainerNameConvention", scope = "hidden"),
        vic1(key = "container/ContainerNameConvention", scope = "read-only"),
        default
    )]
    pub name_convention: String,
    /// Whether containers join a VM group.
    #[guestinfo(vic1(key = "container/UseVMGroup", scope = "read-only"), default)]
    pub use_vm_group: bool,
    /// The name of the VM group.
    #[guestinfo(vic1(key = "container/VMGroupName", scope = "read-only"), default)]
    pub vm_group_name: String,
    /// The maximum number of containers; 0 means no limit.
    #[guestinfo(vic1(key = "container/container_count", scope = "read-only"), default)]
    pub container_count: i64,
}

/// A managed object on which containers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ComputeResource {
    /// The type of the object, such as `ResourcePool`.
    #[guestinfo(key = "Type")]
    pub kind: String,
    /// The id of the object.
    #[guestinfo(key = "Value")]
    pub value: String,
}

/// The registries with which the appliance communicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Registries {
    /// The only registries allowed; empty if all are.
    #[guestinfo(vic1(key = "registry/whitelist_registries", scope = "read-only"))]
    pub whitelist: Vec<String>,
    /// The registries whose certificates are not checked.
    #[guestinfo(vic1(key = "registry/insecure_registries", scope = "read-only"))]
    pub insecure: Vec<String>,
}
