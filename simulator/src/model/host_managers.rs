//! The systems of a host that every ESXi has, as `configManager` names them.

use jiff::Timestamp;
use vim25::types::{
    HealthSystemRuntime, HostAuthenticationManagerInfo, HostAuthenticationStoreInfo,
    HostAutoStartManagerConfig, HostCertificateManagerCertificateInfo, HostConfigManager,
    HostDatastoreSystemCapabilities, HostDateTimeInfo, HostDateTimeSystemTimeZone,
    HostFileSystemVolumeInfo, HostFirewallDefaultPolicy, HostFirewallInfo, HostFirewallRuleset,
    HostFirewallRulesetIpList, HostLockdownMode, HostPciPassthruInfo, HostPowerPolicy, HostService,
    HostServiceInfo, HostSnmpAgentCapability, HostSnmpConfigSpec, HostSnmpSystemAgentLimits,
    HostVirtualNicManagerInfo, OptionValue, PowerSystemCapability, PowerSystemInfo,
    VsanHostConfigInfo,
};
use vim25::{AnyRef, Fault, ManagedObject, Poly, Ref, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::Object;
use crate::world::{Transaction, fixed};

pub(super) const USERS: &str = "ha-user-directory";
pub(super) const ACCOUNTS: &str = "ha-localacctmgr";
pub(super) const LICENSES: &str = "ha-license-manager";
const OPTIONS: &str = "ha-adv-options";
const FIREWALL: &str = "firewallSystem";

fn at<T: ManagedObject>(value: &str) -> Option<Ref<T>> {
    Some(Ref::new(value))
}

/// The references of the systems. What ESXi 8.0 leaves unset is unset here too.
pub(super) fn references() -> HostConfigManager {
    HostConfigManager {
        cpu_scheduler: at("cpuSchedulerSystem"),
        datastore_system: at("ha-datastoresystem"),
        memory_manager: at("memoryManagerSystem"),
        storage_system: at("storageSystem"),
        network_system: Some(fixed::network_system()),
        vmotion_system: at("ha-vmotion-system"),
        virtual_nic_manager: at("ha-vnic-mgr"),
        service_system: at("serviceSystem"),
        firewall_system: at(FIREWALL),
        advanced_option: at(OPTIONS),
        diagnostic_system: at("diagnosticsystem"),
        auto_start_manager: at("ha-autostart-mgr"),
        snmp_system: at("ha-snmp-agent"),
        date_time_system: at("dateTimeSystem"),
        patch_manager: at("ha-host-patch-manager"),
        image_config_manager: at("ha-image-config-manager"),
        firmware_system: at("ha-firmwareSystem"),
        health_status_system: at("healthStatusSystem"),
        pci_passthru_system: at("ha-pcipassthrusystem"),
        license_manager: at(LICENSES),
        kernel_module_system: at("kernelModuleSystem"),
        authentication_manager: at("ha-auth-manager"),
        power_system: at("ha-power-system"),
        cache_configuration_manager: at("ha-cache-configuration-manager"),
        iscsi_manager: at("iscsiManager"),
        vflash_manager: at("ha-vflash-manager"),
        vsan_system: at("vsanSystem"),
        message_bus_proxy: at("messageBusProxy"),
        user_directory: at(USERS),
        account_manager: at(ACCOUNTS),
        host_access_manager: at("ha-host-access-manager"),
        graphics_manager: at("ha-graphics-manager"),
        vsan_internal_system: at("ha-vsan-internal-system"),
        certificate_manager: at("ha-certificate-manager"),
        ..Default::default()
    }
}

/// Makes the objects that [`references`] names and no other file makes.
pub(super) fn build(tx: &mut Transaction<'_>) {
    let plain = [
        Object::new::<mo::HostCpuSchedulerSystem>("cpuSchedulerSystem"),
        Object::new::<mo::HostMemorySystem>("memoryManagerSystem"),
        Object::new::<mo::HostVMotionSystem>("ha-vmotion-system"),
        Object::new::<mo::HostDiagnosticSystem>("diagnosticsystem"),
        Object::new::<mo::HostPatchManager>("ha-host-patch-manager"),
        Object::new::<mo::HostImageConfigManager>("ha-image-config-manager"),
        Object::new::<mo::HostFirmwareSystem>("ha-firmwareSystem"),
        Object::new::<mo::HostKernelModuleSystem>("kernelModuleSystem"),
        Object::new::<mo::HostCacheConfigurationManager>("ha-cache-configuration-manager"),
        Object::new::<mo::IscsiManager>("iscsiManager"),
        Object::new::<mo::HostVFlashManager>("ha-vflash-manager"),
        Object::new::<mo::MessageBusProxy>("messageBusProxy"),
        Object::new::<mo::HostGraphicsManager>("ha-graphics-manager"),
        Object::new::<mo::HostVsanInternalSystem>("ha-vsan-internal-system"),
    ];
    for object in plain {
        tx.insert(object);
    }
    storage(tx);
    security(tx);
    settings(tx);
}

fn storage(tx: &mut Transaction<'_>) {
    let mut datastores = Object::new::<mo::HostDatastoreSystem>("ha-datastoresystem");
    datastores.put("datastore", &Vec::<AnyRef>::new());
    datastores.put(
        "capabilities",
        &HostDatastoreSystemCapabilities {
            nfs_mount_creation_supported: true,
            ..Default::default()
        },
    );
    tx.insert(datastores);
    let mut storage = Object::new::<mo::HostStorageSystem>("storageSystem");
    storage.put("fileSystemVolumeInfo", &HostFileSystemVolumeInfo::default());
    tx.insert(storage);
    let mut vsan = Object::new::<mo::HostVsanSystem>("vsanSystem");
    vsan.put(
        "config",
        &VsanHostConfigInfo {
            enabled: Some(false),
            ..Default::default()
        },
    );
    tx.insert(vsan);
}

fn security(tx: &mut Transaction<'_>) {
    let mut firewall = Object::new::<mo::HostFirewallSystem>(FIREWALL);
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
                ruleset(
                    "remoteSerialPort",
                    "VM serial port connected over network",
                    false,
                    true,
                ),
                ruleset("vSPC", "VM serial port connected to vSPC", false, true),
            ],
        },
    );
    tx.insert(firewall);
    let mut authentication = Object::new::<mo::HostAuthenticationManager>("ha-auth-manager");
    authentication.put("info", &HostAuthenticationManagerInfo::default());
    let local: Ref<mo::HostLocalAuthentication> = Ref::new("ha-local-authentication");
    authentication.put("supportedStore", &vec![local.clone()]);
    tx.insert(authentication);
    let mut store = Object::new::<mo::HostLocalAuthentication>(local.value());
    let info =
        Poly::<HostAuthenticationStoreInfo>::new(HostAuthenticationStoreInfo { enabled: true });
    store.put("info", &info);
    tx.insert(store);
    let mut access = Object::new::<mo::HostAccessManager>("ha-host-access-manager");
    access.put("lockdownMode", &HostLockdownMode::LockdownDisabled);
    tx.insert(access);
    let mut certificates = Object::new::<mo::HostCertificateManager>("ha-certificate-manager");
    certificates.put(
        "certificateInfo",
        &HostCertificateManagerCertificateInfo {
            status: "good".into(),
            ..Default::default()
        },
    );
    tx.insert(certificates);
}

fn settings(tx: &mut Transaction<'_>) {
    let mut nics = Object::new::<mo::HostVirtualNicManager>("ha-vnic-mgr");
    nics.put("info", &HostVirtualNicManagerInfo::default());
    tx.insert(nics);
    let mut services = Object::new::<mo::HostServiceSystem>("serviceSystem");
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
    let mut options = Object::new::<mo::OptionManager>(OPTIONS);
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
    let mut start = Object::new::<mo::HostAutoStartManager>("ha-autostart-mgr");
    start.put("config", &HostAutoStartManagerConfig::default());
    tx.insert(start);
    let mut snmp = Object::new::<mo::HostSnmpSystem>("ha-snmp-agent");
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
    let mut time = Object::new::<mo::HostDateTimeSystem>("dateTimeSystem");
    time.put(
        "dateTimeInfo",
        &HostDateTimeInfo {
            time_zone: HostDateTimeSystemTimeZone {
                key: "UTC".into(),
                name: "UTC".into(),
                description: "UTC".into(),
                gmt_offset: 0,
            },
            ..Default::default()
        },
    );
    tx.insert(time);
    let mut health = Object::new::<mo::HostHealthStatusSystem>("healthStatusSystem");
    health.put("runtime", &HealthSystemRuntime::default());
    tx.insert(health);
    let mut pci = Object::new::<mo::HostPciPassthruSystem>("ha-pcipassthrusystem");
    pci.put("pciPassthruInfo", &Vec::<Poly<HostPciPassthruInfo>>::new());
    tx.insert(pci);
    let policy = HostPowerPolicy {
        key: 2,
        name: "PowerPolicy.dynamic.name".into(),
        short_name: "dynamic".into(),
        description: "PowerPolicy.dynamic.description".into(),
    };
    let mut power = Object::new::<mo::HostPowerSystem>("ha-power-system");
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
