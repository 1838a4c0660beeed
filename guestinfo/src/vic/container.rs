//! The state of a container's machine.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::network::NetworkEndpoint;
use super::redacted::Redacted;
use super::session::{Diagnostics, Sessions};
use crate::codec::{Decoder, Describer, Encoder};
use crate::{Dialect, GoUrl, GuestInfo};

/// The whole stored state of a container's machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct ExecutorConfig {
    /// The id and names of the container.
    #[guestinfo(key = "common", scope = "read-only")]
    pub common: Identity,
    /// When the container was created. In 1.x the guest can write it.
    #[guestinfo(
        vic04(key = "common/created", scope = "read-only"),
        vic1(key = "createtime", scope = "read-write"),
        default
    )]
    pub create_time: CreateTime,
    /// The diagnostics of the guest.
    #[guestinfo(key = "diagnostics", scope = "read-only", default)]
    pub diagnostics: Diagnostics,
    /// The processes that are started with the machine, by session id. The session of the
    /// main process has the container's id.
    #[guestinfo(key = "sessions", scope = "read-only")]
    pub sessions: Sessions,
    /// The processes that were added while the machine was running, by session id.
    #[guestinfo(vic1(key = "execs", scope = "read-only", non_persistent))]
    pub execs: Sessions,
    /// The volumes, by volume id.
    #[guestinfo(key = "mounts", scope = "read-only")]
    pub mounts: BTreeMap<String, MountSpec>,
    /// The NICs, by network; in the appliance by role.
    #[guestinfo(key = "networks", scope = "read-only")]
    pub networks: BTreeMap<String, NetworkEndpoint>,
    /// The private host key of the guest's SSH server, in PEM.
    #[guestinfo(key = "key", scope = "read-only")]
    pub key: Redacted<Vec<u8>>,
    /// The public key of the only SSH client that the guest's server accepts, in the
    /// format of `authorized_keys`. Our extension: VIC accepted every client.
    #[guestinfo(key = "clientkey", scope = "read-only")]
    pub client_key: Option<String>,
    /// The image layer under the container's own disk.
    #[guestinfo(key = "layerid", scope = "read-only", default)]
    pub layer_id: String,
    /// The front end's id of the image.
    #[guestinfo(vic1(key = "imageid", scope = "read-only"), default)]
    pub image_id: String,
    /// The front end's name of the image.
    #[guestinfo(key = "repo", scope = "read-only", default)]
    pub repo_name: String,
    /// Free texts of the front end, by name.
    #[guestinfo(vic1(key = "annotations", scope = "hidden"))]
    pub annotations: BTreeMap<String, String>,
    /// The version of the program that created the machine.
    #[guestinfo(vic1(key = "version", scope = "read-only"))]
    pub version: Option<Build>,
    /// Whether replies may leave by a different NIC than the one on which the request
    /// arrived.
    #[guestinfo(vic1(key = "asymrouting", scope = "read-only"), default)]
    pub asymmetric_routing: bool,
    /// The guest's host name.
    #[guestinfo(vic1(key = "hostname", scope = "read-only"), default)]
    pub hostname: String,
    /// The guest's domain.
    #[guestinfo(vic1(key = "domainname", scope = "read-only"), default)]
    pub domainname: String,
}

/// The id and names of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Identity {
    /// The environment to which the container belongs; VIC leaves it empty.
    #[guestinfo(key = "ExecutionEnvironment", default)]
    pub execution_environment: String,
    /// The container's id. In the appliance: its managed object id, or `CreatingVCH`
    /// while it is being created.
    #[guestinfo(key = "id", scope = "read-only")]
    pub id: String,
    /// The container's name. Since 1.x it is hidden from the guest, so that a rename does
    /// not affect the guest.
    #[guestinfo(key = "name", vic04(scope = "read-only"), vic1(scope = "hidden"))]
    pub name: String,
    /// Free text, for the host only.
    #[guestinfo(key = "notes", scope = "hidden", default)]
    pub notes: String,
}

/// When a container was created; the default, 1970, means "not known".
///
/// Stored as seconds in 0.4 and as nanoseconds in 1.x. Early releases of 1.x stored
/// seconds, too: a number that would be within the first 100 seconds of 1970 as
/// nanoseconds is read as seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CreateTime(pub Timestamp);

impl CreateTime {
    /// Smaller numbers are seconds. As seconds, this number is in the year 5138.
    const NANOSECONDS_FROM: u64 = 100_000_000_000;

    fn reads_as_seconds(number: i64) -> bool {
        number.unsigned_abs() < Self::NANOSECONDS_FROM
    }
}

impl GuestInfo for CreateTime {
    fn encode(&self, encoder: &mut Encoder) {
        match encoder.dialect() {
            Dialect::Vic04 => self.0.as_second().encode(encoder),
            Dialect::Vic1 => match i64::try_from(self.0.as_nanosecond()) {
                Ok(nanoseconds) if !Self::reads_as_seconds(nanoseconds) => {
                    nanoseconds.encode(encoder);
                }
                _ => {
                    let seconds = self.0.as_second();
                    if self.0.subsec_nanosecond() == 0 && Self::reads_as_seconds(seconds) {
                        seconds.encode(encoder);
                    } else {
                        encoder.unstorable_value(
                            "nanoseconds end in the year 2262",
                            self.0.to_string(),
                        );
                    }
                }
            },
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let seconds_only = decoder.dialect() == Dialect::Vic04;
        let number = i64::decode(decoder)?;
        let time = if seconds_only || Self::reads_as_seconds(number) {
            Timestamp::from_second(number).ok()
        } else {
            Timestamp::from_nanosecond(number.into()).ok()
        };
        if time.is_none() {
            decoder.malformed("expected seconds since 1970 up to the year 9999");
        }
        time.map(Self)
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// A volume of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct MountSpec {
    /// The source of the volume: `label:///<file system label>` for a disk,
    /// `nfs://host/export` for NFS.
    #[guestinfo(key = "source", scope = "read-only")]
    pub source: GoUrl,
    /// The mount point.
    #[guestinfo(key = "dest", scope = "read-only")]
    pub path: String,
    /// `ro` or `rw`, and further mount options.
    #[guestinfo(key = "mode", scope = "read-only", default)]
    pub mode: String,
    /// What happens to the image's files at the mount point.
    #[guestinfo(vic1(key = "copymode", scope = "read-only"), default)]
    pub copy_mode: CopyMode,
}

/// How the image's files at the mount point of a volume are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, GuestInfo)]
pub enum CopyMode {
    /// Unspecified.
    #[default]
    #[guestinfo(text = "0")]
    Unset,
    /// The files are not copied.
    #[guestinfo(text = "1")]
    Never,
    /// The files are copied if the volume is still empty.
    #[guestinfo(text = "2")]
    New,
}

/// The version of the program that created a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, GuestInfo)]
pub struct Build {
    /// The version of the program, such as `v1.5.0`.
    #[guestinfo(key = "Version", default)]
    pub version: String,
    /// The build number.
    #[guestinfo(key = "BuildNumber", default)]
    pub build_number: String,
    /// The commit from which the program was built.
    #[guestinfo(key = "GitCommit", default)]
    pub git_commit: String,
    /// When the program was built.
    #[guestinfo(key = "BuildDate", default)]
    pub build_date: String,
    /// The state of the source tree: whether it was clean.
    #[guestinfo(key = "State", default)]
    pub state: String,
    /// The version of the stored data format.
    #[guestinfo(key = "PluginVersion", default)]
    pub data_version: i32,
}
