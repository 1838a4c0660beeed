//! The machine's `.vmx` file.

use vim25::Fault;
use vim25::types::VirtualMachineConfigInfo;
use vmx::{Document, ExtraConfig};

use super::HardwareVersion;
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;
use crate::device::vmx_settings::{self, Settings};
use crate::fault;

/// Updates the file to match the configuration. Unchanged settings keep their lines.
pub(crate) fn update(
    document: &mut Document,
    config: &VirtualMachineConfigInfo,
    extra: &ExtraConfig,
    home: &DatastorePath,
    store: &Store,
) -> Result<(), Fault> {
    let mut settings = whole(config);
    settings.extend(vmx_settings::of(&config.hardware.device, home, store));
    let is_ours = |name: &str| {
        settings
            .iter()
            .any(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    // Remove the settings of removed devices.
    document.remove_where(|name| {
        name.as_str()
            .is_some_and(|name| is_of_device(name) && vmx::has_own_field(name) && !is_ours(name))
    });
    let failed = |error: vmx::EditError| fault::invalid_vm_config(&error.to_string());
    for (name, value) in &settings {
        document.set(name, value).map_err(failed)?;
    }
    extra.replace_in(document).map_err(failed)?;
    Ok(())
}

/// Returns whether a setting belongs to a removable device.
fn is_of_device(name: &str) -> bool {
    let classes = ["scsi", "sata", "nvme", "ide", "ethernet", "serial"];
    classes.iter().any(|class| {
        let start = name.get(..class.len());
        let rest = name.as_bytes().get(class.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(class))
            && rest.is_some_and(u8::is_ascii_digit)
    })
}

fn whole(config: &VirtualMachineConfigInfo) -> Settings {
    let mut settings = Settings::new();
    let mut add = |name: &str, value: String| settings.push((name.to_owned(), value));
    add("config.version", "8".into());
    let version = HardwareVersion::parse(&config.version).unwrap_or(HardwareVersion::NEWEST);
    add("virtualHW.version", version.number().to_string());
    add("displayName", config.name.clone());
    add("guestOS", super::config::guest_os(&config.guest_id));
    if let Some(annotation) = config.annotation.as_ref().filter(|text| !text.is_empty()) {
        add("annotation", annotation.clone());
    }
    add("memSize", config.hardware.memory_mb.to_string());
    add("numvcpus", config.hardware.num_cpu.to_string());
    if let Some(cores) = config
        .hardware
        .num_cores_per_socket
        .filter(|cores| *cores > 1)
    {
        add("cpuid.coresPerSocket", cores.to_string());
    }
    for (name, value) in [
        ("vcpu.hotadd", config.cpu_hot_add_enabled),
        ("mem.hotadd", config.memory_hot_add_enabled),
    ] {
        if value == Some(true) {
            add(name, "TRUE".into());
        }
    }
    add("uuid.bios", spaced(&config.uuid));
    if let Some(uuid) = &config.location_id {
        add("uuid.location", spaced(uuid));
    }
    if let Some(uuid) = &config.instance_uuid {
        add("vc.uuid", spaced(uuid));
    }
    if let Some(firmware) = config.firmware.as_ref().filter(|f| *f != "bios") {
        add("firmware", firmware.clone());
    }
    if let Some(tools) = &config.tools {
        add(
            "tools.syncTime",
            if tools.sync_time_with_host == Some(true) {
                "TRUE"
            } else {
                "FALSE"
            }
            .into(),
        );
    }
    for (name, allocation) in [
        ("sched.cpu", &config.cpu_allocation),
        ("sched.mem", &config.memory_allocation),
    ] {
        let Some(allocation) = allocation else {
            continue;
        };
        if let Some(reservation) = allocation.reservation.filter(|number| *number > 0) {
            add(&format!("{name}.min"), reservation.to_string());
        }
        if let Some(limit) = allocation.limit.filter(|number| *number >= 0) {
            add(&format!("{name}.max"), limit.to_string());
        }
        if let Some(shares) = &allocation.shares {
            let level = match shares.level.as_str() {
                "custom" => shares.shares.to_string(),
                level => level.to_owned(),
            };
            add(&format!("{name}.shares"), level);
        }
    }
    settings
}

/// Formats a UUID as in the file: `xx xx .. xx-xx .. xx`.
fn spaced(uuid: &str) -> String {
    let mut text = String::with_capacity(uuid.len() + 16);
    let digits = uuid.chars().filter(char::is_ascii_hexdigit);
    for (at, digit) in digits.enumerate() {
        match at {
            16 => text.push('-'),
            at if at > 0 && at % 2 == 0 => text.push(' '),
            _ => {}
        }
        text.push(digit);
    }
    text
}

/// Returns the value of a setting as text.
pub(crate) fn text(document: &Document, name: &str) -> Option<String> {
    let text = document.get(name)?.text().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}
