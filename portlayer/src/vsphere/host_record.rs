//! The record of a virtual container host, as stored in the keys of its appliance.

use guestinfo::vic::{
    ComputeResource, Connection, ContainerNetwork, Containers, CreateTime, ExecutorConfig,
    HostNetworks, Identity, Redacted, Storage, Target, VirtualContainerHostConfig,
};
use guestinfo::{
    Dialect, Encode, EncodeError, GoUrl, GuestInfo, SECRET_KEY_KEY, SecretKey, decode, encode,
};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::appliance_cards::{Positions, endpoints};
use super::host_settings::HostSettings;
use super::hosts::{
    ApplianceCertificates, ApplianceComponent, ApplianceNetworks, Component, Location,
};
use super::record::Keys;
use super::vlan_range::VlanRange;
use crate::ContainerId;
use crate::network::BridgeRange;

/// The appliance's id until its installation is finished; afterwards it is the appliance's
/// reference.
const CREATING: &str = "CreatingVCH";

/// Value of the key that marks an unfinished installation.
const INSTALLING: &str = "yes";

/// Value of that key when everything has been written, and the appliance is about to be powered on.
/// Afterwards the key has the first value again until the installation has waited for the appliance,
/// and then it is deleted; an endpoint may forget both at the next power-off.
const STARTING: &str = "starting";

/// The default network of containers.
const BRIDGE: &str = "bridge";

/// The stored record of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostRecord {
    pub(super) name: String,
    /// The appliance's reference; `None` until the host is complete.
    pub(super) appliance: Option<String>,
    /// Whether the installation is unfinished although the configuration has been written.
    pub(super) unfinished: bool,
    /// Whether the installation lacked only the power-on when it was last recorded with the appliance
    /// off.
    pub(super) starting: bool,
    /// Whether the installation created the bridge network, so that deleting the host removes it.
    pub(super) created_bridge: bool,
    /// The name of the bridge network.
    pub(super) bridge_network: String,
    /// The networks that are assigned to bridge scopes, one network per scope.
    pub(super) scope_networks: Vec<String>,
    /// The VLANs of the networks that are created for bridge scopes.
    pub(super) scope_vlans: Option<VlanRange>,
    /// The range from which bridge scopes are assigned subnets.
    pub(super) bridge_range: BridgeRange,
    /// The address that the containers' serial lines connect to.
    pub(super) address: String,
    /// The private key with which the port layer logs in to the containers' guests; stored with
    /// the host, so that another port layer can take over.
    pub(super) client_key: Option<Redacted<Vec<u8>>>,
    /// The result of probing the endpoint, as text from [`probe::to_text`](super::probe::to_text).
    pub(super) probed: Option<String>,
    /// The id of the inventory folder that the installation created for the host's machines.
    pub(super) folder: Option<String>,
    /// The containers that the deletion of the host is removing. If it is interrupted, files may
    /// remain of those that have no machine anymore.
    pub(super) removing: Vec<ContainerId>,
    /// The networks and static addresses of the appliance.
    pub(super) networks: ApplianceNetworks,
    /// The run of the installer that installs the host or has installed it. Each run has an id of
    /// its own, which stays when it has finished: it may still have to undo what it did.
    pub(super) installer: Option<String>,
    /// The boot images that an unfinished installation has uploaded.
    pub(super) uploaded: Vec<Uploaded>,
    /// The certificate of the appliance, and those of the authorities of its clients, in PEM. Empty
    /// without TLS.
    pub(super) certificate: String,
    pub(super) authorities: String,
    /// The components of the appliance.
    pub(super) components: Vec<Component>,
    /// The settings that only the programs of the appliance use.
    pub(super) settings: HostSettings,
}

/// A boot image that was uploaded completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Uploaded {
    /// The name of the file in the host's directory.
    pub(super) file: String,
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// The SHA-256 checksum of the file, in hexadecimal digits.
    pub(super) sha256: String,
}

/// Additional records of a new host, which the programs in its appliance read.
#[derive(Clone, Debug)]
pub(super) struct Particulars {
    /// The endpoint's URL, without user and password.
    pub(super) target: String,
    pub(super) datastore: String,
    /// The directory of the host's files on that datastore.
    pub(super) directory: String,
    /// The pool's reference.
    pub(super) pool: String,
    /// The image that containers boot: `[datastore] path`.
    pub(super) bootstrap_iso: String,
    pub(super) created: Timestamp,
    /// The positions of the appliance's cards.
    pub(super) positions: Positions,
    pub(super) certificates: Option<ApplianceCertificates>,
    /// The components that the appliance starts.
    pub(super) components: Vec<ApplianceComponent>,
    /// The paths that components are passed.
    pub(super) location: Location,
}

/// Fields that VIC does not have; for example, VIC asks the appliance's guest for its address each
/// time.
#[derive(Clone, Debug, Default, GuestInfo)]
struct Extra {
    #[guestinfo(key = "portlayer", scope = "hidden")]
    host: HostOnly,
}

#[derive(Clone, Debug, Default, GuestInfo)]
struct HostOnly {
    #[guestinfo(key = "address", scope = "hidden", default)]
    address: String,
    #[guestinfo(key = "clientkey", scope = "hidden")]
    client_key: Option<Redacted<Vec<u8>>>,
    #[guestinfo(key = "probed", scope = "hidden")]
    probed: Option<String>,
    /// Set when the configuration is written, and emptied at the end of the installation.
    #[guestinfo(key = "installing", scope = "hidden")]
    installing: Option<String>,
    /// The range of bridge scopes, as JSON. VIC 0.4 had no key for this range.
    #[guestinfo(vic04(key = "bridgerange", scope = "hidden"))]
    bridge_range: Option<String>,
    /// The networks of bridge scopes. VIC had one network for all of them.
    #[guestinfo(key = "scopenetworks", scope = "hidden")]
    scope_networks: Vec<String>,
    /// The VLANs of bridge scopes, as text.
    #[guestinfo(key = "scopevlans", scope = "hidden")]
    scope_vlans: Option<String>,
    /// The id of the host's inventory folder. VIC found the folder by its name.
    #[guestinfo(key = "folder", scope = "hidden")]
    folder: Option<String>,
    /// The ids of the containers that are being removed together with the host, separated by
    /// spaces.
    #[guestinfo(key = "removing", scope = "hidden")]
    removing: Option<String>,
    /// The networks of the appliance by role, as JSON. VIC's keys contain no names of networks.
    #[guestinfo(key = "networks", scope = "hidden")]
    networks: Option<String>,
    /// The id of the installation in progress.
    #[guestinfo(key = "installer", scope = "hidden")]
    installer: Option<String>,
    /// The boot images that were uploaded, as JSON.
    #[guestinfo(key = "uploaded", scope = "hidden")]
    uploaded: Option<String>,
    /// The settings for which VIC 0.4 had no keys, as JSON.
    #[guestinfo(vic04(key = "settings", scope = "hidden"))]
    settings: Option<String>,
}

impl HostRecord {
    /// Returns the keys of an appliance that is being created. They suffice to find the appliance
    /// again, and record its networks, whether the bridge network will be created for it, and the
    /// host's folder.
    pub(super) fn creating(
        name: &str,
        (bridge, creates_bridge): (&str, bool),
        networks: &ApplianceNetworks,
        folder: Option<&str>,
        installer: &str,
        dialect: Dialect,
    ) -> Result<Keys, EncodeError> {
        let config = VirtualContainerHostConfig {
            executor: executor(name, CREATING, Timestamp::default()),
            create_bridge_network: creates_bridge,
            networks: HostNetworks {
                bridge_network: bridge.to_owned(),
                ..HostNetworks::default()
            },
            ..VirtualContainerHostConfig::default()
        };
        let mut keys = encode(&config, dialect)?;
        let host = HostOnly {
            folder: folder.map(str::to_owned),
            networks: serde_json::to_string(networks).ok(),
            installer: Some(installer.to_owned()),
            ..HostOnly::default()
        };
        keys.extend(only(host, &["folder", "networks", "installer"], dialect)?);
        Ok(keys)
    }

    /// Returns all keys of the host.
    pub(super) fn keys(&self, more: &Particulars, dialect: Dialect) -> Result<Keys, EncodeError> {
        let id = self.appliance.as_deref().unwrap_or(CREATING);
        let images = GoUrl {
            scheme: "ds".into(),
            host: more.datastore.clone(),
            path: format!("/{}", more.directory),
            ..GoUrl::default()
        };
        let mut bridge = ContainerNetwork::default();
        bridge.common.name = BRIDGE.into();
        bridge.kind = BRIDGE.into();
        let mut config = VirtualContainerHostConfig {
            executor: ExecutorConfig {
                networks: endpoints(
                    &self.bridge_network,
                    &self.networks,
                    &more.positions,
                    dialect,
                ),
                sessions: more
                    .components
                    .iter()
                    .map(|component| component.session(&self.name, &more.location, dialect))
                    .collect(),
                ..executor(&self.name, id, more.created)
            },
            certificates: more
                .certificates
                .as_ref()
                .map(ApplianceCertificates::to_record)
                .unwrap_or_default(),
            connection: Connection {
                target: Target(more.target.clone()),
                ..Connection::default()
            },
            storage: Storage {
                image_stores: vec![images],
                ..Storage::default()
            },
            networks: HostNetworks {
                bridge_network: self.bridge_network.clone(),
                container_networks: [(BRIDGE.to_owned(), bridge)].into(),
                bridge_ip_range: Some(self.bridge_range.range().into()),
                bridge_net_width: self.bridge_range.mask().octets().to_vec(),
            },
            containers: Containers {
                compute_resources: vec![ComputeResource {
                    kind: "ResourcePool".into(),
                    value: more.pool.clone(),
                }],
                bootstrap_image_path: more.bootstrap_iso.clone(),
                name_convention: "{name}-{id}".into(),
                ..Containers::default()
            },
            create_bridge_network: self.created_bridge,
            ..VirtualContainerHostConfig::default()
        };
        self.settings.store(&mut config);
        let mut keys = match (&more.certificates, dialect) {
            // The secret is read by the appliance's guest; endpoints do not return it to clients.
            (Some(_), Dialect::Vic1) => {
                let secret = SecretKey::generate();
                let mut keys = Encode::new(dialect).secret_key(&secret).run(&config)?;
                keys.insert(SECRET_KEY_KEY.to_owned(), secret.to_base64().to_string());
                keys
            }
            _ => encode(&config, dialect)?,
        };
        let extra = Extra {
            host: HostOnly {
                address: self.address.clone(),
                client_key: self.client_key.clone(),
                probed: self.probed.clone(),
                installing: match (self.unfinished, self.starting) {
                    (true, _) => Some(INSTALLING.to_owned()),
                    (false, true) => Some(STARTING.to_owned()),
                    (false, false) => None,
                },
                bridge_range: serde_json::to_string(&self.bridge_range).ok(),
                scope_networks: self.scope_networks.clone(),
                scope_vlans: self.scope_vlans.map(|vlans| vlans.to_string()),
                folder: self.folder.clone(),
                removing: None,
                networks: serde_json::to_string(&self.networks).ok(),
                installer: self.installer.clone(),
                uploaded: None,
                settings: self.settings.beyond(dialect),
            },
        };
        keys.extend(encode(&extra, dialect)?);
        Ok(keys)
    }

    /// Returns the keys that mark the installation as finished.
    pub(super) fn finished_key(dialect: Dialect) -> Result<Keys, EncodeError> {
        let host = HostOnly {
            installing: Some(INSTALLING.into()),
            uploaded: Some(INSTALLING.into()),
            ..HostOnly::default()
        };
        let mut keys = only(host, &["installing", "uploaded"], dialect)?;
        keys.values_mut().for_each(String::clear);
        Ok(keys)
    }

    /// Returns the key of an installation that lacks only the power-on of the appliance.
    pub(super) fn starting_key(dialect: Dialect) -> Result<Keys, EncodeError> {
        Self::progress_key(STARTING, dialect)
    }

    /// Returns the key of an unfinished installation.
    pub(super) fn unfinished_key(dialect: Dialect) -> Result<Keys, EncodeError> {
        Self::progress_key(INSTALLING, dialect)
    }

    fn progress_key(progress: &str, dialect: Dialect) -> Result<Keys, EncodeError> {
        let host = HostOnly {
            installing: Some(progress.to_owned()),
            ..HostOnly::default()
        };
        only(host, &["installing"], dialect)
    }

    /// Returns the key with the run of the installer that owns the host.
    pub(super) fn installer_key(installer: &str, dialect: Dialect) -> Result<Keys, EncodeError> {
        let host = HostOnly {
            installer: Some(installer.to_owned()),
            ..HostOnly::default()
        };
        only(host, &["installer"], dialect)
    }

    /// Returns the key with the boot images that were uploaded.
    pub(super) fn uploaded_key(
        uploaded: &[Uploaded],
        dialect: Dialect,
    ) -> Result<Keys, EncodeError> {
        let host = HostOnly {
            uploaded: serde_json::to_string(uploaded).ok(),
            ..HostOnly::default()
        };
        only(host, &["uploaded"], dialect)
    }

    /// Returns the key with the result of a probe.
    pub(super) fn probed_key(probed: String, dialect: Dialect) -> Result<Keys, EncodeError> {
        let host = HostOnly {
            probed: Some(probed),
            ..HostOnly::default()
        };
        only(host, &["probed"], dialect)
    }

    /// Returns the key with the containers that are about to be removed together with the host.
    pub(super) fn removing_key(ids: &[ContainerId], dialect: Dialect) -> Result<Keys, EncodeError> {
        let ids: Vec<_> = ids.iter().map(ContainerId::to_string).collect();
        let host = HostOnly {
            removing: Some(ids.join(" ")),
            ..HostOnly::default()
        };
        only(host, &["removing"], dialect)
    }

    /// Returns whether the installation of the host was finished, except perhaps for the power-on of
    /// its appliance; see [`starting`](Self::starting).
    pub(super) fn is_finished(&self) -> bool {
        self.appliance.is_some() && !self.unfinished
    }

    /// Reads the keys of a machine; returns `None` if it is not the appliance of a host.
    pub(super) fn read(keys: &Keys) -> Option<Self> {
        let mut config = decode::<VirtualContainerHostConfig>(keys).value;
        let extra = decode::<Extra>(keys).value.host;
        let settings = HostSettings::read(&mut config, extra.settings.as_deref());
        let pem = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
        let certificate = config.certificates.host.map(|host| pem(host.cert));
        let components = config.executor.sessions.into_iter();
        let identity = config.executor.common;
        if identity.id.is_empty() {
            return None;
        }
        let HostOnly {
            address,
            client_key,
            probed,
            installing,
            bridge_range,
            scope_networks,
            scope_vlans,
            folder,
            removing,
            networks,
            installer,
            uploaded,
            settings: _,
        } = extra;
        Some(Self {
            unfinished: installing.as_deref() == Some(INSTALLING),
            starting: installing.as_deref() == Some(STARTING),
            created_bridge: config.create_bridge_network,
            probed,
            address: if address.is_empty() {
                identity.name.clone()
            } else {
                address
            },
            appliance: (identity.id != CREATING).then_some(identity.id),
            name: identity.name,
            bridge_range: bridge_range
                .and_then(|text| serde_json::from_str(&text).ok())
                .or_else(|| range_of(&config.networks))
                .unwrap_or_else(range_of_vic_0_4),
            bridge_network: config.networks.bridge_network,
            scope_networks,
            scope_vlans: scope_vlans.and_then(|text| text.parse().ok()),
            client_key,
            folder,
            removing: removing
                .iter()
                .flat_map(|ids| ids.split_whitespace())
                .filter_map(|id| id.parse().ok())
                .collect(),
            networks: networks
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            installer: installer.filter(|id| !id.is_empty()),
            uploaded: uploaded
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
            certificate: certificate.unwrap_or_default(),
            authorities: pem(config.certificates.authorities),
            components: components.map(Component::read).collect(),
            settings,
        })
    }
}

/// Returns only these keys of the host, which may be empty.
fn only(host: HostOnly, names: &[&str], dialect: Dialect) -> Result<Keys, EncodeError> {
    let mut keys = encode(&Extra { host }, dialect)?;
    keys.retain(|key, _| {
        let name = key.rsplit('/').next().unwrap_or_default();
        names.contains(&name)
    });
    Ok(keys)
}

/// Reads the range in VIC's format: a network, and the mask of one subnet.
fn range_of(networks: &HostNetworks) -> Option<BridgeRange> {
    let Some(IpNet::V4(range)) = networks.bridge_ip_range else {
        return None;
    };
    let mask: [u8; 4] = networks.bridge_net_width.as_slice().try_into().ok()?;
    let prefix_len = ipnet::ipv4_mask_to_prefix(mask.into()).ok()?;
    BridgeRange::new(range, prefix_len).ok()
}

/// Returns the range that hosts of VIC 0.4 used, which they did not store.
fn range_of_vic_0_4() -> BridgeRange {
    let range = BridgeRange::default().range();
    BridgeRange::new(range, 16).unwrap_or_default()
}

fn executor(name: &str, id: &str, created: Timestamp) -> ExecutorConfig {
    ExecutorConfig {
        common: Identity {
            id: id.into(),
            name: name.into(),
            ..Identity::default()
        },
        create_time: CreateTime(created),
        ..ExecutorConfig::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::time::Duration;

    use super::*;
    use crate::vsphere::hosts::{ComponentState, NetworkRole, Registries};

    fn record() -> HostRecord {
        HostRecord {
            name: "vch-1".into(),
            appliance: Some("vm-7".into()),
            unfinished: false,
            starting: false,
            created_bridge: true,
            bridge_network: "VM Network".into(),
            scope_networks: vec!["blue".into(), "a|b".into()],
            scope_vlans: "100-199".parse().ok(),
            bridge_range: BridgeRange::new("10.64.0.0/16".parse().unwrap(), 24).unwrap(),
            address: "10.0.0.7".into(),
            client_key: Some(Redacted(b"key".to_vec())),
            probed: None,
            folder: Some("group-v7".into()),
            removing: Vec::new(),
            networks: networks(),
            installer: None,
            uploaded: Vec::new(),
            certificate: CERTIFICATE.into(),
            authorities: CERTIFICATE.into(),
            components: vec![Component {
                name: "port-layer".into(),
                state: ComponentState::NotStarted,
                command: None,
            }],
            settings: HostSettings {
                version: "v0.1.0".into(),
                user: "ada".into(),
                target_thumbprint: "A9:99".into(),
                keepalive: Some(Duration::from_secs(60)),
                registries: Registries::new()
                    .allow("*.example")
                    .insecure("10.0.0.9:5000")
                    .authorities(CERTIFICATE),
                volume_stores: [("default".into(), "ds://fast/volumes".parse().unwrap())].into(),
                create_options: vec!["--name=vch-1".into(), "--no-tls".into()],
            },
        }
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";

    fn networks() -> ApplianceNetworks {
        let text = r#"{
            "roles": [
                {
                    "role": "public",
                    "network": "lan",
                    "address": { "address": "10.0.0.7/24", "gateway": "10.0.0.1" }
                },
                { "role": "client", "network": "lan" }
            ],
            "name_servers": ["10.0.0.2"]
        }"#;
        serde_json::from_str(text).unwrap()
    }

    fn particulars() -> Particulars {
        Particulars {
            target: "https://esx.example/sdk".into(),
            datastore: "fast".into(),
            directory: "vch-1".into(),
            pool: "resgroup-9".into(),
            bootstrap_iso: "[fast] vch-1/bootstrap.iso".into(),
            created: Timestamp::from_second(1_467_000_000).unwrap(),
            positions: Positions {
                bridge: 0,
                roles: vec![(NetworkRole::Public, 1), (NetworkRole::Client, 1)],
            },
            certificates: Some(
                ApplianceCertificates::new(CERTIFICATE, "secret").authorities(CERTIFICATE),
            ),
            components: vec!["port-layer".into()],
            location: Location::default(),
        }
    }

    #[test]
    fn a_host_is_read_as_it_was_written() {
        for dialect in Dialect::ALL {
            let keys = record().keys(&particulars(), dialect).unwrap();
            assert_eq!(HostRecord::read(&keys), Some(record()));
            let bridge = ("VM Network", false);
            let (id, folder) = ("a1", Some("group-v7"));
            let keys = HostRecord::creating("vch-1", bridge, &networks(), folder, id, dialect);
            let creating = HostRecord::read(&keys.unwrap()).unwrap();
            assert_eq!(creating.installer.as_deref(), Some("a1"));
            assert_eq!(creating.appliance, None);
            assert_eq!(creating.folder, record().folder);
            assert_eq!(creating.bridge_network, "VM Network");
            assert_eq!(creating.networks, networks());
            assert!(!creating.created_bridge);
        }
    }

    #[test]
    fn the_containers_that_are_being_removed_are_read_back() {
        let ids = [ContainerId::generate(), ContainerId::generate()];
        for dialect in Dialect::ALL {
            let mut keys = record().keys(&particulars(), dialect).unwrap();
            keys.extend(HostRecord::removing_key(&ids, dialect).unwrap());
            assert_eq!(HostRecord::read(&keys).unwrap().removing, ids);
            keys.extend(HostRecord::removing_key(&[], dialect).unwrap());
            assert_eq!(HostRecord::read(&keys), Some(record()));
        }
    }

    #[test]
    fn an_installation_is_recorded_until_it_is_finished() {
        let uploaded = [Uploaded {
            file: "appliance.iso".into(),
            size: 7,
            sha256: "00ff".into(),
        }];
        for dialect in Dialect::ALL {
            let mut keys = record().keys(&particulars(), dialect).unwrap();
            keys.extend(HostRecord::installer_key("a1", dialect).unwrap());
            keys.extend(HostRecord::uploaded_key(&uploaded, dialect).unwrap());
            let read = HostRecord::read(&keys).unwrap();
            assert_eq!(read.installer.as_deref(), Some("a1"));
            assert_eq!(read.uploaded, uploaded);
            keys.extend(HostRecord::finished_key(dialect).unwrap());
            let finished = HostRecord {
                installer: Some("a1".into()),
                ..record()
            };
            assert_eq!(HostRecord::read(&keys), Some(finished));
        }
    }

    #[test]
    fn a_host_without_a_range_has_that_of_vic() {
        for dialect in Dialect::ALL {
            let mut keys = record().keys(&particulars(), dialect).unwrap();
            keys.retain(|key, _| !key.contains("bridge-") && !key.contains("bridgerange"));
            let range = HostRecord::read(&keys).unwrap().bridge_range;
            assert_eq!(range.to_string(), "172.16.0.0/12 in subnets of /16");
        }
    }

    #[test]
    fn the_private_key_is_sealed_where_the_dialect_can() {
        let keys = record().keys(&particulars(), Dialect::Vic1).unwrap();
        let key = "guestinfo.vice./cert/HostCertificate/Key@secret";
        let sealed = keys.get(key).unwrap();
        assert!(!sealed.contains("c2VjcmV0") && !sealed.contains("secret"));
        let secret = SecretKey::from_base64(keys.get(SECRET_KEY_KEY).unwrap()).unwrap();
        // The bytes are stored as base64, as Go writes them.
        assert_eq!(secret.open(sealed).unwrap(), "c2VjcmV0");
        let keys = record().keys(&particulars(), Dialect::Vic04).unwrap();
        let key = "guestinfo./HostCertificate/Key";
        assert_eq!(keys.get(key).map(String::as_str), Some("c2VjcmV0"));
    }

    #[test]
    fn a_container_is_no_host() {
        let spec = crate::exec::ContainerSpec::new("a", crate::exec::Command::new("/c"));
        let record = super::super::record::Record::new(&spec, Timestamp::default());
        for dialect in Dialect::ALL {
            assert_eq!(HostRecord::read(&record.keys(dialect).unwrap()), None);
        }
    }

    #[test]
    fn vic_finds_its_keys() {
        let keys = record().keys(&particulars(), Dialect::Vic04).unwrap();
        for (key, text) in [
            ("guestinfo./init/common/id", "vm-7"),
            ("guestinfo./init/common/name", "vch-1"),
            ("guestinfo./target/Host", "esx.example"),
            ("guestinfo./init/networks|bridge/Common/id", "192"),
            ("guestinfo./init/networks|external/Common/id", "224"),
            ("guestinfo./init/networks|client/Common/id", "224"),
            ("guestinfo./image_stores", "0"),
            ("guestinfo./image_stores|0/Scheme", "ds"),
            ("guestinfo./image_stores|0/Host", "fast"),
            ("guestinfo./image_stores|0/Path", "/vch-1"),
            ("guestinfo./bridge_network", "VM Network"),
            ("guestinfo./container_networks", "bridge"),
            ("guestinfo./ComputeResources", "0"),
            ("guestinfo./ComputeResources|0/Type", "ResourcePool"),
            ("guestinfo./ComputeResources|0/Value", "resgroup-9"),
        ] {
            assert_eq!(keys.get(key).map(String::as_str), Some(text), "{key}");
        }
        let keys = record().keys(&particulars(), Dialect::Vic1).unwrap();
        for (key, text) in [
            ("guestinfo.vice./init/common/id", "vm-7"),
            ("guestinfo.vice./connect/target", "https://esx.example/sdk"),
            ("guestinfo.vice./storage/image_stores|0/Host", "fast"),
            ("guestinfo.vice./init/networks|public/Common/id", "1216"),
            ("guestinfo.vice./init/networks|public/static", "true"),
            ("guestinfo.vice./init/networks|client/static", "false"),
            ("guestinfo.vice./network/bridge_network", "VM Network"),
            ("guestinfo.vice./network/bridge-net-width", "////AA=="),
            (
                "guestinfo.vice./container/bootstrap_image_path",
                "[fast] vch-1/bootstrap.iso",
            ),
            (
                "guestinfo.vice./container/ComputeResources|0/Value",
                "resgroup-9",
            ),
        ] {
            assert_eq!(keys.get(key).map(String::as_str), Some(text), "{key}");
        }
    }
}
