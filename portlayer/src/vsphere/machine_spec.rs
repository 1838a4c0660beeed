//! Builds the specifications of the machines of containers and appliances.

use guestinfo::vic::Redacted;
use uuid::Uuid;
use vim25::types::{
    OptionValue, VirtualDiskMode, VirtualMachineConfigSpec, VirtualMachineFileInfo,
};
use vim25::{Poly, Ref, mo};

use guestinfo::Dialect;

use super::allocation::to_info;
use super::hardware;
use super::images::Root;
use super::networks::Card;
use crate::ContainerId;
use crate::exec::{ContainerSpec, Resources};

/// Port of the line server if the host's address contains none, as in VIC 0.4.
const SERIAL_PORT: u16 = 8080;
/// The default size of a container's file system, as in VIC: 8 GiB.
const DISK_KIB: i64 = 8 * 1024 * 1024;
/// Guest id of an unspecified 64-bit Linux.
const GUEST_ID: &str = "other3xLinux64Guest";

/// Settings that VIC used for every machine. The API has no fields for them, so they are set in
/// `extraConfig`, but they are not part of the container's state.
const SETTINGS: [(&str, &str); 8] = [
    // The guest finds its disks by their UUIDs.
    ("disk.EnableUUID", "true"),
    ("answer.msg.disk.duplicateUUID", "Yes"),
    // Tuned for small, short-lived machines: no large pages, no memory hot-add, no vMotion of a
    // screen.
    ("sched.mem.lpage.maxSharedPages", "256"),
    ("memory.noHotAddOver4GB", "FALSE"),
    ("memory.maxGrow", "512"),
    ("vmotion.checkpointSVGAPrimarySize", "4194304"),
    // The guest contains its own tools.
    ("tools.remindInstall", "FALSE"),
    ("tools.upgrade.policy", "manual"),
];

/// Without hardware flow control, a serial line over the network drops bytes that the other side
/// does not read immediately.
const FLOW_CONTROL: (&str, &str) = ("serial0.hardwareFlowControl", "TRUE");

/// Makes all runs of a container append to the log. Without this setting, the machine would wait
/// for the answer to a question when the file already exists.
const LOG_APPEND: (&str, &str) = ("answer.msg.serial.file.open", "Append");

/// The common settings of the machines of one host.
#[derive(Clone, Debug)]
pub(super) struct MachineDefaults {
    /// The datastore of all files.
    pub(super) datastore: Ref<mo::Datastore>,
    pub(super) datastore_name: String,
    /// The image that containers boot: `[datastore] path`.
    pub(super) bootstrap_iso: String,
    /// The address of the line server, reachable from the endpoint's hosts.
    pub(super) address: String,
    /// The private key with which the line server logs in to guests, if the host has one.
    pub(super) client_key: Option<Redacted<Vec<u8>>>,
    /// The namespace of the machines' UUIDs, which is the appliance's own UUID.
    pub(super) namespace: Uuid,
}

/// Returns the directory of a container's files on this datastore: `[datastore] path`.
pub(super) fn directory(datastore: &str, id: &ContainerId) -> String {
    format!("[{datastore}] {id}")
}

impl MachineDefaults {
    /// Returns the directory of a container's files: `[datastore] path`.
    pub(super) fn directory(&self, id: &ContainerId) -> String {
        directory(&self.datastore_name, id)
    }

    /// Returns the BIOS UUID of a container's machine. The machine is found by this UUID, whatever
    /// its name is, and a second machine for the same id would be noticed.
    pub(super) fn uuid(&self, id: &ContainerId) -> Uuid {
        Uuid::new_v5(&self.namespace, id.to_string().as_bytes())
    }

    /// Returns the complete machine of a container. Its disk is a child of `root`, or empty without
    /// one.
    pub(super) fn container(
        &self,
        spec: &ContainerSpec,
        cards: &[Card],
        root: Option<&Root>,
        keys: impl IntoIterator<Item = (String, String)>,
        dialect: Dialect,
    ) -> VirtualMachineConfigSpec {
        let mut devices = hardware::cdrom(&self.bootstrap_iso, &self.datastore);
        let id = &spec.id;
        devices.push(hardware::serial(&line_uri(&self.address)));
        let log = format!("{}/{id}.log", self.directory(id));
        devices.push(hardware::log(&log, &self.datastore));
        devices.extend(
            (0..)
                .zip(cards)
                .map(|(position, card)| hardware::nic(position, card)),
        );
        devices.extend(hardware::disk(
            &self.datastore,
            root.map_or(DISK_KIB, |root| root.capacity_kib),
            VirtualDiskMode::Persistent,
            root.map(|root| root.file.as_str()),
        ));
        VirtualMachineConfigSpec {
            uuid: Some(self.uuid(id).to_string()),
            device_change: devices,
            extra_config: settings(SETTINGS)
                .chain(settings([FLOW_CONTROL, LOG_APPEND]))
                .chain(keys.into_iter().map(option))
                .collect(),
            ..machine(
                &machine_name(&spec.name, id, dialect),
                &format!("{}/{id}.vmx", self.directory(id)),
                spec.resources,
            )
        }
    }
}

/// Returns the display name of a machine: the container's name and the start of its id. VIC 0.4
/// used the full id instead.
pub(super) fn machine_name(container: &str, id: &ContainerId, dialect: Dialect) -> String {
    match dialect {
        Dialect::Vic04 => id.to_string(),
        Dialect::Vic1 => format!("{container}-{}", id.short()),
    }
}

/// Returns the container's name from a machine's name, if the latter has the format of
/// [`machine_name`].
pub(super) fn container_name_in(machine: &str) -> Option<&str> {
    let (name, short) = machine.rsplit_once('-')?;
    let is_short = short.len() == 12 && short.bytes().all(|b| b"0123456789abcdef".contains(&b));
    (is_short && !name.is_empty()).then_some(name)
}

/// Returns the name of the container with this id from its machine's name, if the latter has the
/// format of [`machine_name`].
pub(super) fn name_of_container<'n>(machine: &'n str, id: &ContainerId) -> Option<&'n str> {
    container_name_in(machine).filter(|_| machine.ends_with(&id.short()))
}

/// Returns the machine of an appliance, without boot image and configuration.
pub(super) fn appliance(
    name: &str,
    datastore: &str,
    resources: Resources,
    cards: impl IntoIterator<Item = Card>,
    keys: impl IntoIterator<Item = (String, String)>,
) -> VirtualMachineConfigSpec {
    let nics = (0..)
        .zip(cards)
        .map(|(position, card)| hardware::nic(position, &card));
    VirtualMachineConfigSpec {
        device_change: std::iter::once(hardware::add(hardware::ide_controller()))
            .chain(nics)
            .collect(),
        extra_config: settings(SETTINGS)
            .chain(keys.into_iter().map(option))
            .collect(),
        ..machine(name, &format!("[{datastore}] {name}/{name}.vmx"), resources)
    }
}

/// Returns a machine without devices, with these keys.
pub(super) fn bare(
    name: &str,
    datastore: &str,
    keys: impl IntoIterator<Item = (String, String)>,
) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        extra_config: options(keys),
        ..machine(
            name,
            &format!("[{datastore}] {name}/{name}.vmx"),
            Resources::new().memory_mib(4),
        )
    }
}

fn machine(name: &str, path: &str, resources: Resources) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some(GUEST_ID.to_owned()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(path.to_owned()),
            ..VirtualMachineFileInfo::default()
        })),
        ..sized(resources)
    }
}

/// Returns the change that sets a machine's CPUs and memory.
pub(super) fn sized(resources: Resources) -> VirtualMachineConfigSpec {
    VirtualMachineConfigSpec {
        num_cpus: Some(i32::try_from(resources.cpus).unwrap_or(i32::MAX)),
        memory_mb: Some(i64::try_from(resources.memory_mib).unwrap_or(i64::MAX)),
        cpu_allocation: Some(Box::new(to_info(&resources.cpu))),
        memory_allocation: Some(Box::new(to_info(&resources.memory))),
        ..VirtualMachineConfigSpec::default()
    }
}

fn settings(
    all: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> impl Iterator<Item = Poly<OptionValue>> {
    all.into_iter()
        .map(|(key, text)| Poly::new(OptionValue::new(key, text)))
}

/// Converts keys and values to `extraConfig`.
pub(super) fn options(keys: impl IntoIterator<Item = (String, String)>) -> Vec<Poly<OptionValue>> {
    keys.into_iter().map(option).collect()
}

fn option((key, text): (String, String)) -> Poly<OptionValue> {
    Poly::new(OptionValue::new(key, text))
}

/// Returns the URI that a container's line connects to. The default port is used if the host's
/// address contains none.
fn line_uri(address: &str) -> String {
    // IPv6 addresses are bracketed in URIs.
    if let Ok(std::net::IpAddr::V6(address)) = address.parse() {
        return format!("tcp://[{address}]:{SERIAL_PORT}");
    }
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            format!("tcp://{address}")
        }
        _ => format!("tcp://{address}:{SERIAL_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::exec::Command;
    use crate::network::MacAddress;
    use vim25::types::VirtualEthernetCardNetworkBackingInfo;

    fn defaults(address: &str) -> MachineDefaults {
        MachineDefaults {
            datastore: Ref::new("ds-1"),
            datastore_name: "fast".into(),
            bootstrap_iso: "[fast] vch/bootstrap.iso".into(),
            address: address.into(),
            client_key: None,
            namespace: Uuid::nil(),
        }
    }

    fn container(address: &str) -> (ContainerId, VirtualMachineConfigSpec) {
        let spec = ContainerSpec::new("jovial_ride", Command::new("/hello"));
        let keys = [("guestinfo./repo".to_owned(), "hello-world".to_owned())];
        (
            spec.id,
            defaults(address).container(&spec, &[card(0x4a0)], None, keys, Dialect::Vic1),
        )
    }

    fn card(slot: i32) -> Card {
        Card {
            backing: Poly::new(VirtualEthernetCardNetworkBackingInfo::default()),
            mac: Some(MacAddress::new([0, 0x50, 0x56, 1, 2, 3])),
            slot,
        }
    }

    #[test]
    fn a_container_has_what_vic_gave_it_in_one_specification() {
        let (id, spec) = container("vch");
        let kinds: Vec<_> = spec
            .device_change
            .iter()
            .map(|change| change.node().get("device").unwrap().type_name())
            .collect();
        assert_eq!(
            kinds,
            [
                "VirtualIDEController",
                "VirtualCdrom",
                "VirtualSerialPort",
                "VirtualSerialPort",
                "VirtualVmxnet3",
                "ParaVirtualSCSIController",
                "VirtualDisk"
            ]
        );
        let text = |change: usize, path: &str| {
            let node = spec.device_change[change].node();
            path.split('.')
                .try_fold(node, |node, name| node.get(name))
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            text(1, "device.backing.fileName"),
            "[fast] vch/bootstrap.iso"
        );
        assert_eq!(text(2, "device.backing.serviceURI"), "tcp://vch:8080");
        assert_eq!(text(2, "device.backing.direction"), "client");
        assert_eq!(
            text(3, "device.backing.fileName"),
            format!("[fast] {id}/{id}.log")
        );
        assert_eq!(text(6, "fileOperation"), "create");
        assert_eq!(spec.name, Some(format!("jovial_ride-{}", id.short())));
        let path = spec.files.as_ref().unwrap().vm_path_name.clone();
        assert_eq!(path, Some(format!("[fast] {id}/{id}.vmx")));
        let keys: Vec<_> = spec
            .extra_config
            .iter()
            .map(|option| option.get::<OptionValue>().unwrap().unwrap())
            .map(|option| (option.key.clone(), option.text().unwrap()))
            .collect();
        assert!(keys.contains(&("serial0.hardwareFlowControl".into(), "TRUE".into())));
        assert!(keys.contains(&("guestinfo./repo".into(), "hello-world".into())));
        for change in &spec.device_change {
            change.check().unwrap();
        }
    }

    #[test]
    fn vic_0_4_called_machines_by_their_ids_and_put_cards_in_its_slots() {
        let spec = ContainerSpec::new("jovial_ride", Command::new("/hello"));
        for (dialect, name, slots) in [
            (Dialect::Vic04, spec.id.to_string(), [192, 224]),
            (
                Dialect::Vic1,
                format!("jovial_ride-{}", spec.id.short()),
                [0x4a0, 0x4c0],
            ),
        ] {
            let cards = slots.map(card);
            let machine = defaults("vch").container(&spec, &cards, None, [], dialect);
            assert_eq!(machine.name, Some(name));
            let found_cards: Vec<_> = machine
                .device_change
                .iter()
                .map(|change| change.node().get("device").unwrap())
                .filter(|device| device.type_name() == "VirtualVmxnet3")
                .collect();
            let found: Vec<_> = found_cards
                .iter()
                .map(|card| {
                    let slot = card.get("slotInfo").unwrap();
                    slot.get("pciSlotNumber").unwrap().as_i64().unwrap()
                })
                .collect();
            assert_eq!(found, slots.map(i64::from));
            for card in &found_cards {
                let text = |name: &str| card.get(name).unwrap().as_str().unwrap().to_owned();
                assert_eq!(text("addressType"), "manual");
                assert_eq!(text("macAddress"), "00:50:56:01:02:03");
            }
            let serial = machine.device_change[2].node().get("device").unwrap();
            let connectable = serial.get("connectable").unwrap();
            assert_eq!(
                connectable.get("allowGuestControl").unwrap().as_bool(),
                Some(false)
            );
        }
    }

    #[test]
    fn an_ipv6_address_is_written_as_uris_have_it() {
        let (_, spec) = container("fd00::1");
        let node = spec.device_change[2].node();
        let backing = node.get("device").unwrap().get("backing").unwrap();
        assert_eq!(
            backing.get("serviceURI").unwrap().as_str(),
            Some("tcp://[fd00::1]:8080")
        );
    }

    #[test]
    fn an_address_may_name_its_port() {
        for (address, uri) in [
            ("vch", "tcp://vch:8080"),
            ("127.0.0.1:40123", "tcp://127.0.0.1:40123"),
            ("[fd00::1]:99", "tcp://[fd00::1]:99"),
            ("[fd00::1]", "tcp://[fd00::1]:8080"),
        ] {
            assert_eq!(line_uri(address), uri);
        }
    }

    #[test]
    fn the_name_of_a_container_is_found_in_its_machines_name() {
        let (id, _) = container("vch");
        assert_eq!(
            container_name_in(&machine_name("a-b", &id, Dialect::Vic1)),
            Some("a-b")
        );
        assert_eq!(container_name_in("a-b"), None);
    }

    #[test]
    fn a_machines_uuid_depends_on_the_id_and_on_the_host() {
        let (one, other) = (defaults("vch"), defaults("vch"));
        let other = MachineDefaults {
            namespace: Uuid::from_u128(1),
            ..other
        };
        let id = ContainerId::from_bytes([7; 32]);
        assert_eq!(one.uuid(&id), one.uuid(&id));
        assert_ne!(one.uuid(&id), one.uuid(&ContainerId::from_bytes([8; 32])));
        assert_ne!(one.uuid(&id), other.uuid(&id));
    }
}
