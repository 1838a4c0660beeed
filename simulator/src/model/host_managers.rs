//! The managers of a host that `configManager` refers to.

use jiff::Timestamp;
use vim25::types::{
    HealthSystemRuntime, HostAuthenticationManagerInfo, HostAuthenticationStoreInfo,
    HostAutoStartManagerConfig, HostCertificateManagerCertificateInfo, HostConfigManager,
    HostDatastoreSystemCapabilities, HostDateTimeInfo, HostDateTimeSystemTimeZone,
    HostFileSystemVolumeInfo, HostFirewallDefaultPolicy, HostFirewallInfo, HostFirewallRule,
    HostFirewallRuleDirection, HostFirewallRulePortType, HostFirewallRuleset,
    HostFirewallRulesetIpList, HostLockdownMode, HostNtpConfig, HostPciPassthruInfo,
    HostPowerPolicy, HostService, HostServiceInfo, HostSnmpAgentCapability, HostSnmpConfigSpec,
    HostSnmpSystemAgentLimits, HostStorageDeviceInfo, HostVirtualNicManagerInfo, OptionValue,
    PowerSystemCapability, PowerSystemInfo, VsanHostConfigInfo,
};
use vim25::{AnyRef, Fault, ManagedObject, Poly, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::layout::HostLayout;
use crate::object::Object;
use crate::world::Transaction;

pub(super) const USERS: &str = "ha-user-directory";
pub(super) const ACCOUNTS: &str = "ha-localacctmgr";
pub(super) const LICENSES: &str = "ha-license-manager";
const OPTIONS: &str = "ha-adv-options";
const FIREWALL: &str = "firewallSystem";

fn at<T: ManagedObject>(value: &str) -> Option<Ref<T>> {
    Some(Ref::new(value))
}

/// Returns the references of the managers. Those that ESXi 8.0 leaves unset are unset here too.
pub(super) fn references(layout: &HostLayout) -> HostConfigManager {
    let own = layout.is_own();
    let mut managers = HostConfigManager {
        cpu_scheduler: at(&layout.id("cpuSchedulerSystem")),
        datastore_system: Some(layout.datastore_system()),
        memory_manager: at(&layout.id("memoryManagerSystem")),
        storage_system: at(&layout.id("storageSystem")),
        network_system: Some(layout.network_system()),
        vmotion_system: at(&layout.id("ha-vmotion-system")),
        virtual_nic_manager: at(&layout.id("ha-vnic-mgr")),
        service_system: at(&layout.id("serviceSystem")),
        firewall_system: at(&layout.id(FIREWALL)),
        advanced_option: at(&layout.id(OPTIONS)),
        diagnostic_system: at(&layout.id("diagnosticsystem")),
        auto_start_manager: at(&layout.id("ha-autostart-mgr")),
        snmp_system: at(&layout.id("ha-snmp-agent")),
        date_time_system: at(&layout.id("dateTimeSystem")),
        patch_manager: at(&layout.id("ha-host-patch-manager")),
        image_config_manager: at(&layout.id("ha-image-config-manager")),
        firmware_system: at(&layout.id("ha-firmwareSystem")),
        health_status_system: at(&layout.id("healthStatusSystem")),
        pci_passthru_system: at(&layout.id("ha-pcipassthrusystem")),
        kernel_module_system: at(&layout.id("kernelModuleSystem")),
        authentication_manager: at(&layout.id("ha-auth-manager")),
        power_system: at(&layout.id("ha-power-system")),
        cache_configuration_manager: at(&layout.id("ha-cache-configuration-manager")),
        iscsi_manager: at(&layout.id("iscsiManager")),
        vflash_manager: at(&layout.id("ha-vflash-manager")),
        vsan_system: at(&layout.id("vsanSystem")),
        message_bus_proxy: at(&layout.id("messageBusProxy")),
        host_access_manager: at(&layout.id("ha-host-access-manager")),
        graphics_manager: at(&layout.id("ha-graphics-manager")),
        vsan_internal_system: at(&layout.id("ha-vsan-internal-system")),
        certificate_manager: at(&layout.id("ha-certificate-manager")),
        ..Default::default()
    };
    if own {
        managers.license_manager = at(LICENSES);
        managers.user_directory = at(USERS);
        managers.account_manager = at(ACCOUNTS);
    }
    managers
}

/// Creates those objects of [`references`] that no other file creates.
pub(super) fn build(tx: &mut Transaction<'_>, layout: &HostLayout) {
    let plain = [
        Object::new::<mo::HostCpuSchedulerSystem>(&layout.id("cpuSchedulerSystem")),
        Object::new::<mo::HostMemorySystem>(&layout.id("memoryManagerSystem")),
        Object::new::<mo::HostVMotionSystem>(&layout.id("ha-vmotion-system")),
        Object::new::<mo::HostDiagnosticSystem>(&layout.id("diagnosticsystem")),
        Object::new::<mo::HostPatchManager>(&layout.id("ha-host-patch-manager")),
        Object::new::<mo::HostImageConfigManager>(&layout.id("ha-image-config-manager")),
        Object::new::<mo::HostFirmwareSystem>(&layout.id("ha-firmwareSystem")),
        Object::new::<mo::HostKernelModuleSystem>(&layout.id("kernelModuleSystem")),
        Object::new::<mo::HostCacheConfigurationManager>(
            &layout.id("ha-cache-configuration-manager"),
        ),
        Object::new::<mo::IscsiManager>(&layout.id("iscsiManager")),
        Object::new::<mo::HostVFlashManager>(&layout.id("ha-vflash-manager")),
        Object::new::<mo::MessageBusProxy>(&layout.id("messageBusProxy")),
        Object::new::<mo::HostGraphicsManager>(&layout.id("ha-graphics-manager")),
        Object::new::<mo::HostVsanInternalSystem>(&layout.id("ha-vsan-internal-system")),
    ];
    for object in plain {
        tx.insert(object);
    }
    storage(tx, layout);
    security(tx, layout);
    settings(tx, layout);
}

fn storage(tx: &mut Transaction<'_>, layout: &HostLayout) {
    let mut datastores = Object::new::<mo::HostDatastoreSystem>(layout.datastore_system().value());
    datastores.put("datastore", &Vec::<AnyRef>::new());
    datastores.put(
        "capabilities",
        &HostDatastoreSystemCapabilities {
            nfs_mount_creation_supported: true,
            ..Default::default()
        },
    );
    tx.insert(datastores);
    let mut storage = Object::new::<mo::HostStorageSystem>(&layout.id("storageSystem"));
    storage.put("fileSystemVolumeInfo", &HostFileSystemVolumeInfo::default());
    storage.put("storageDeviceInfo", &HostStorageDeviceInfo::default());
    tx.insert(storage);
    let mut vsan = Object::new::<mo::HostVsanSystem>(&layout.id("vsanSystem"));
    vsan.put(
        "config",
        &VsanHostConfigInfo {
            enabled: Some(false),
            ..Default::default()
        },
    );
    tx.insert(vsan);
}

/// Returns a rule that allows outbound TCP connections to a port or a range of ports.
fn outbound((port, end_port): (i32, Option<i32>)) -> HostFirewallRule {
    HostFirewallRule {
        port,
        end_port,
        direction: HostFirewallRuleDirection::Outbound,
        port_type: Some(HostFirewallRulePortType::Dst),
        protocol: "tcp".into(),
    }
}

fn security(tx: &mut Transaction<'_>, layout: &HostLayout) {
    let mut firewall = Object::new::<mo::HostFirewallSystem>(&layout.id(FIREWALL));
    let ruleset = |key: &str, label: &str, required, enabled| HostFirewallRuleset {
        key: key.into(),
        label: label.into(),
        required,
        enabled,
        allowed_hosts: Some(Box::new(HostFirewallRulesetIpList {
            all_ip: true,
            ..Default::default()
        })),
        ..Default::default()
    };
    firewall.put(
        "firewallInfo",
        &HostFirewallInfo {
            default_policy: HostFirewallDefaultPolicy {
                incoming_blocked: Some(true),
                outgoing_blocked: Some(true),
            },
            ruleset: vec![
                ruleset("sshServer", "SSH Server", false, false),
                ruleset("vSphereClient", "vSphere Web Access", true, true),
                HostFirewallRuleset {
                    rule: [(23, None), (1_024, Some(65_535))].map(outbound).to_vec(),
                    ..ruleset(
                        "remoteSerialPort",
                        "VM serial port connected over network",
                        false,
                        true,
                    )
                },
                HostFirewallRuleset {
                    rule: vec![outbound((0, Some(65_535)))],
                    ..ruleset("vSPC", "VM serial port connected to vSPC", false, true)
                },
            ],
        },
    );
    tx.insert(firewall);
    let mut authentication =
        Object::new::<mo::HostAuthenticationManager>(&layout.id("ha-auth-manager"));
    authentication.put("info", &HostAuthenticationManagerInfo::default());
    let local: Ref<mo::HostLocalAuthentication> = Ref::new(&layout.id("ha-local-authentication"));
    authentication.put("supportedStore", &vec![local.clone()]);
    tx.insert(authentication);
    let mut store = Object::new::<mo::HostLocalAuthentication>(local.value());
    let info =
        Poly::<HostAuthenticationStoreInfo>::new(HostAuthenticationStoreInfo { enabled: true });
    store.put("info", &info);
    tx.insert(store);
    let mut access = Object::new::<mo::HostAccessManager>(&layout.id("ha-host-access-manager"));
    access.put("lockdownMode", &HostLockdownMode::LockdownDisabled);
    tx.insert(access);
    let mut certificates =
        Object::new::<mo::HostCertificateManager>(&layout.id("ha-certificate-manager"));
    certificates.put(
        "certificateInfo",
        &HostCertificateManagerCertificateInfo {
            status: "good".into(),
            ..Default::default()
        },
    );
    tx.insert(certificates);
}

fn settings(tx: &mut Transaction<'_>, layout: &HostLayout) {
    let mut nics = Object::new::<mo::HostVirtualNicManager>(&layout.id("ha-vnic-mgr"));
    nics.put("info", &HostVirtualNicManagerInfo::default());
    tx.insert(nics);
    let mut services = Object::new::<mo::HostServiceSystem>(&layout.id("serviceSystem"));
    let service = |key: &str, label: &str, running| HostService {
        key: key.into(),
        label: label.into(),
        running,
        policy: if running { "on" } else { "off" }.into(),
        ..Default::default()
    };
    services.put(
        "serviceInfo",
        &HostServiceInfo {
            service: vec![
                service("TSM-SSH", "SSH", false),
                service("ntpd", "NTP Daemon", false),
                service("vpxa", "VMware vCenter Agent", false),
            ],
        },
    );
    tx.insert(services);
    let mut options = Object::new::<mo::OptionManager>(&layout.id(OPTIONS));
    let setting = |key: &str, text: &str| Poly::new(OptionValue::new(key, text));
    options.put::<Vec<Poly<OptionValue>>>(
        "setting",
        &vec![
            setting("Annotations.WelcomeMessage", ""),
            setting("Net.GuestIPHack", "0"),
            setting("UserVars.SuppressShellWarning", "0"),
        ],
    );
    tx.insert(options);
    let mut start = Object::new::<mo::HostAutoStartManager>(&layout.id("ha-autostart-mgr"));
    start.put("config", &HostAutoStartManagerConfig::default());
    tx.insert(start);
    let mut snmp = Object::new::<mo::HostSnmpSystem>(&layout.id("ha-snmp-agent"));
    snmp.put(
        "configuration",
        &HostSnmpConfigSpec {
            enabled: Some(false),
            port: Some(161),
            ..Default::default()
        },
    );
    snmp.put(
        "limits",
        &HostSnmpSystemAgentLimits {
            max_read_only_communities: 10,
            max_trap_destinations: 3,
            max_community_length: 64,
            max_buffer_size: 1_024,
            capability: HostSnmpAgentCapability::Complete,
        },
    );
    tx.insert(snmp);
    let mut time = Object::new::<mo::HostDateTimeSystem>(&layout.id("dateTimeSystem"));
    time.put(
        "dateTimeInfo",
        &HostDateTimeInfo {
            time_zone: HostDateTimeSystemTimeZone {
                key: "UTC".into(),
                name: "UTC".into(),
                description: "UTC".into(),
                gmt_offset: 0,
            },
            ntp_config: Some(Box::new(HostNtpConfig::default())),
            ..Default::default()
        },
    );
    tx.insert(time);
    let mut health = Object::new::<mo::HostHealthStatusSystem>(&layout.id("healthStatusSystem"));
    health.put("runtime", &HealthSystemRuntime::default());
    tx.insert(health);
    let mut pci = Object::new::<mo::HostPciPassthruSystem>(&layout.id("ha-pcipassthrusystem"));
    pci.put("pciPassthruInfo", &Vec::<Poly<HostPciPassthruInfo>>::new());
    tx.insert(pci);
    let policy = HostPowerPolicy {
        key: 2,
        name: "PowerPolicy.dynamic.name".into(),
        short_name: "dynamic".into(),
        description: "PowerPolicy.dynamic.description".into(),
    };
    let mut power = Object::new::<mo::HostPowerSystem>(&layout.id("ha-power-system"));
    power.put(
        "capability",
        &PowerSystemCapability {
            available_policy: vec![policy.clone()],
        },
    );
    power.put(
        "info",
        &PowerSystemInfo {
            current_policy: policy,
        },
    );
    tx.insert(power);
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "EnableRuleset" => ruleset(inv, true),
        "DisableRuleset" => ruleset(inv, false),
        "QueryDateTime" => value(&Timestamp::now()),
        "RefreshFirewall"
        | "RefreshServices"
        | "RefreshDateTimeSystem"
        | "RefreshHealthStatusSystem"
        | "RefreshStorageSystem"
        | "RescanAllHba"
        | "RescanVmfs" => nothing(),
        _ => return None,
    })
}

fn ruleset(inv: &mut Invocation<'_, '_>, enabled: bool) -> Answer {
    let id: String = inv.arg("id")?;
    let mut found = Ok(());
    let firewall = inv.edit_this()?;
    firewall.modify("firewallInfo", |info: &mut HostFirewallInfo| {
        found = set(info, &id, enabled);
    })?;
    found?;
    nothing()
}

fn set(info: &mut HostFirewallInfo, id: &str, enabled: bool) -> Result<(), Fault> {
    let ruleset = info.ruleset.iter_mut().find(|ruleset| ruleset.key == id);
    let ruleset = ruleset.ok_or_else(|| fault::not_found_key(id))?;
    if ruleset.required && !enabled {
        return Err(fault::invalid_state());
    }
    ruleset.enabled = enabled;
    Ok(())
}
