//! The settings of a host that only the programs of its appliance use, as stored in its keys.

use std::collections::BTreeMap;
use std::time::Duration;

use guestinfo::vic::{self, Build, VirtualContainerHostConfig};
use guestinfo::{Dialect, GoUrl};
use serde::{Deserialize, Serialize};

use super::hosts::{Registries, VolumeStore};

/// The settings of a host that only the programs of its appliance use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostSettings {
    /// The version of the program that installed the host.
    pub(super) version: String,
    /// The user as whom the programs log in to the endpoint.
    pub(super) user: String,
    /// The SHA-1 thumbprint of the endpoint's certificate.
    pub(super) target_thumbprint: String,
    /// The interval at which the programs keep their sessions alive.
    pub(super) keepalive: Option<Duration>,
    pub(super) registries: Registries,
    /// The places of volumes, by label.
    pub(super) volume_stores: BTreeMap<String, VolumeStore>,
    /// The options with which a command created the host.
    pub(super) create_options: Vec<String>,
}

/// The settings for which VIC 0.4 had no keys.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SinceVic1 {
    user: String,
    target_thumbprint: String,
    registries: Registries,
    create_options: Vec<String>,
}

/// Returns the version of this program, as VIC writes versions.
pub(super) fn version() -> String {
    concat!("v", env!("CARGO_PKG_VERSION")).to_owned()
}

impl HostSettings {
    /// Adds the settings to the configuration of an appliance.
    pub(super) fn store(&self, config: &mut VirtualContainerHostConfig) {
        let connection = &mut config.connection;
        connection.version.clone_from(&self.version);
        connection.username.clone_from(&self.user);
        let thumbprint = &mut connection.target_thumbprint;
        thumbprint.clone_from(&self.target_thumbprint);
        connection.keepalive = self.keepalive.unwrap_or_default();
        config.executor.version = Some(Build {
            version: self.version.clone(),
            data_version: vic::NEWEST_DATA_VERSION,
            ..Build::default()
        });
        let Registries {
            allowed,
            insecure,
            authorities,
        } = &self.registries;
        config.registries.whitelist.clone_from(allowed);
        config.registries.insecure.clone_from(insecure);
        config.certificates.registry_authorities = authorities.clone().into_bytes();
        let stores = self.volume_stores.iter();
        config.storage.volume_locations = stores
            .map(|(label, store)| (label.clone(), store.to_url()))
            .collect();
        config.create_options.clone_from(&self.create_options);
    }

    /// Returns the settings for which a dialect has no keys, as JSON.
    pub(super) fn beyond(&self, dialect: Dialect) -> Option<String> {
        if dialect != Dialect::Vic04 {
            return None;
        }
        let settings = SinceVic1 {
            user: self.user.clone(),
            target_thumbprint: self.target_thumbprint.clone(),
            registries: self.registries.clone(),
            create_options: self.create_options.clone(),
        };
        serde_json::to_string(&settings).ok()
    }

    /// Reads the settings of an appliance. `beyond` is what [`beyond`](Self::beyond) returned.
    pub(super) fn read(config: &mut VirtualContainerHostConfig, beyond: Option<&str>) -> Self {
        let connection = &mut config.connection;
        let build = config.executor.version.take().unwrap_or_default();
        let mut version = std::mem::take(&mut connection.version);
        if version.is_empty() {
            version = build.version;
        }
        let authorities = std::mem::take(&mut config.certificates.registry_authorities);
        let stores = std::mem::take(&mut config.storage.volume_locations);
        let store = |(label, url): (String, GoUrl)| Some((label, VolumeStore::from_url(url)?));
        let mut settings = Self {
            version,
            user: std::mem::take(&mut connection.username),
            target_thumbprint: std::mem::take(&mut connection.target_thumbprint),
            keepalive: Some(connection.keepalive).filter(|interval| !interval.is_zero()),
            registries: Registries::new().authorities(String::from_utf8_lossy(&authorities)),
            volume_stores: stores.into_iter().filter_map(store).collect(),
            create_options: std::mem::take(&mut config.create_options),
        };
        settings.registries.allowed = std::mem::take(&mut config.registries.whitelist);
        settings.registries.insecure = std::mem::take(&mut config.registries.insecure);
        let beyond = beyond.and_then(|text| serde_json::from_str::<SinceVic1>(text).ok());
        if let Some(beyond) = beyond {
            settings.user = beyond.user;
            settings.target_thumbprint = beyond.target_thumbprint;
            settings.registries = beyond.registries;
            settings.create_options = beyond.create_options;
        }
        settings
    }
}
