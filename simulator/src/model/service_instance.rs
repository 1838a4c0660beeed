//! The entry point of the API: the server's properties and managers.

use jiff::Timestamp;
use vim25::types::{AboutInfo, Capability, OptionValue, ServiceContent, TaskDescription};
use vim25::{Poly, Ref, mo};

use super::{guest_operations, managers};
use crate::fault;
use crate::invocation::{Answer, Invocation, value};
use crate::object::Object;
use crate::world::{Transaction, fixed};

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut instance = Object::new::<mo::ServiceInstance>("ServiceInstance");
    instance.put("content", &content());
    instance.put(
        "capability",
        &Capability {
            provisioning_supported: false,
            multi_host_supported: false,
            user_shell_access_supported: true,
            ..Default::default()
        },
    );
    tx.insert(instance);
    tx.insert(Object::new::<mo::PropertyCollector>(
        crate::property::collector::SHARED,
    ));
    tx.insert(Object::new::<mo::ViewManager>("ViewManager"));
    tx.insert(Object::new::<mo::SearchIndex>("ha-searchindex"));
    tx.insert(Object::new::<mo::FileManager>("ha-nfc-file-manager"));
    tx.insert(Object::new::<mo::VirtualDiskManager>("ha-vdiskmanager"));
    let mut tasks = Object::new::<mo::TaskManager>(fixed::task_manager().value());
    tasks.put("recentTask", &Vec::<Ref<mo::Task>>::new());
    tasks.put("description", &TaskDescription::default());
    tasks.put("maxCollector", &32i32);
    tx.insert(tasks);
    let mut options = Object::new::<mo::OptionManager>("HostAgentSettings");
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

/// The server's description of itself.
pub(super) fn about() -> AboutInfo {
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
        api_version: "8.0.3.0".into(),
        instance_uuid: None,
        license_product_name: Some("VMware ESX Server".into()),
        license_product_version: Some("8.0".into()),
    }
}

fn content() -> ServiceContent {
    let mut content = ServiceContent {
        root_folder: fixed::root(),
        property_collector: Ref::new(crate::property::collector::SHARED),
        view_manager: Some(Ref::new("ViewManager")),
        about: about(),
        setting: Some(Ref::new("HostAgentSettings")),
        session_manager: Some(Ref::new("ha-sessionmgr")),
        event_manager: Some(Ref::new("ha-eventmgr")),
        task_manager: Some(fixed::task_manager()),
        search_index: Some(Ref::new("ha-searchindex")),
        file_manager: Some(Ref::new("ha-nfc-file-manager")),
        virtual_disk_manager: Some(Ref::new("ha-vdiskmanager")),
        guest_operations_manager: Some(Ref::new(guest_operations::MANAGER)),
        ..Default::default()
    };
    managers::name(&mut content);
    content
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "RetrieveServiceContent" => value(&content()),
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
