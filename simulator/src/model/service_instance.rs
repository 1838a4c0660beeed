//! The entry point of the API: the server's properties and managers.

use jiff::Timestamp;
use vim25::types::{AboutInfo, Capability, OptionValue, ServiceContent, TaskDescription};
use vim25::{Poly, Ref, mo};

use super::{managers, storage_objects};
use crate::fault;
use crate::invocation::{Answer, Invocation, value};
use crate::object::Object;
use crate::world::Transaction;

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut instance = Object::new::<mo::ServiceInstance>("ServiceInstance");
    let layout = tx.layout();
    instance.put("content", &content(tx));
    instance.put(
        "capability",
        &Capability {
            provisioning_supported: layout.is_vcenter,
            multi_host_supported: layout.is_vcenter,
            user_shell_access_supported: true,
            ..Default::default()
        },
    );
    tx.insert(instance);
    tx.insert(Object::new::<mo::PropertyCollector>(layout.collector));
    tx.insert(Object::new::<mo::ViewManager>("ViewManager"));
    tx.insert(Object::new::<mo::SearchIndex>(layout.search_index));
    tx.insert(Object::new::<mo::FileManager>(layout.file_manager));
    tx.insert(Object::new::<mo::VirtualDiskManager>(layout.disk_manager));
    let mut tasks = Object::new::<mo::TaskManager>(layout.task_manager);
    tasks.put("recentTask", &Vec::<Ref<mo::Task>>::new());
    tasks.put("description", &TaskDescription::default());
    tasks.put("maxCollector", &32i32);
    tx.insert(tasks);
    let mut options = Object::new::<mo::OptionManager>(layout.settings);
    let setting = |key: &str, text: &str| Poly::new(OptionValue::new(key, text));
    options.put::<Vec<Poly<OptionValue>>>(
        "setting",
        &vec![
            setting("Config.HostAgent.plugins.solo.enableMob", "false"),
            setting("Annotations.WelcomeMessage", ""),
        ],
    );
    tx.insert(options);
}

/// Returns the `AboutInfo` of the server, a vCenter or an ESXi host.
fn about(tx: &Transaction<'_>) -> AboutInfo {
    if !tx.layout().is_vcenter {
        return host_about(tx);
    }
    AboutInfo {
        name: "VMware vCenter Server".into(),
        full_name: "VMware vCenter Server 8.0.3 build-24022515".into(),
        build: "24022515".into(),
        os_type: "linux-x64".into(),
        product_line_id: "vpx".into(),
        api_type: "VirtualCenter".into(),
        instance_uuid: Some("1f6bfe9c-4a1f-4f7c-9f0b-3f1c3d5c7a10".into()),
        license_product_name: Some("VMware VirtualCenter Server".into()),
        ..host_about(tx)
    }
}

/// Returns the `AboutInfo` of a host.
pub(super) fn host_about(tx: &Transaction<'_>) -> AboutInfo {
    AboutInfo {
        name: "VMware ESXi".into(),
        full_name: "VMware ESXi 8.0.3 build-24022510".into(),
        vendor: "VMware, Inc.".into(),
        version: "8.0.3".into(),
        patch_level: None,
        build: "24022510".into(),
        locale_version: Some("INTL".into()),
        locale_build: Some("000".into()),
        os_type: "vmnix-x86".into(),
        product_line_id: "embeddedEsx".into(),
        api_type: "HostAgent".into(),
        api_version: tx.shared().settings.api_version.clone(),
        instance_uuid: None,
        license_product_name: Some("VMware ESX Server".into()),
        license_product_version: Some("8.0".into()),
    }
}

fn content(tx: &Transaction<'_>) -> ServiceContent {
    let layout = tx.layout();
    let mut content = ServiceContent {
        root_folder: layout.root(),
        property_collector: Ref::new(layout.collector),
        view_manager: Some(Ref::new("ViewManager")),
        about: about(tx),
        setting: Some(Ref::new(layout.settings)),
        session_manager: Some(Ref::new(layout.session_manager)),
        event_manager: Some(Ref::new(layout.event_manager)),
        task_manager: Some(layout.task_manager()),
        search_index: Some(Ref::new(layout.search_index)),
        file_manager: Some(Ref::new(layout.file_manager)),
        virtual_disk_manager: Some(Ref::new(layout.disk_manager)),
        guest_operations_manager: Some(Ref::new(layout.guest_operations)),
        ..Default::default()
    };
    managers::name(&mut content);
    storage_objects::name(&mut content, layout.is_vcenter);
    if layout.is_vcenter {
        content.account_manager = None;
    }
    content
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "RetrieveServiceContent" => value(&content(inv.tx)),
        "CurrentTime" => value(&Timestamp::now()),
        _ => return None,
    })
}

pub(super) fn options(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "QueryOptions" => query_options(inv),
        _ => return None,
    })
}

fn query_options(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: Option<String> = inv.arg("name")?;
    let prefix = name.unwrap_or_default();
    let settings: Vec<Poly<OptionValue>> = inv.this()?.list("setting")?;
    let found: Vec<_> = settings
        .into_iter()
        .filter(|setting| {
            let key = setting.node().get("key").and_then(|key| key.as_str());
            key.is_some_and(|key| {
                key == prefix || prefix.ends_with('.') && key.starts_with(&prefix)
            })
        })
        .collect();
    if found.is_empty() && !prefix.is_empty() {
        return Err(fault::invalid_name(&prefix));
    }
    value(&found)
}
