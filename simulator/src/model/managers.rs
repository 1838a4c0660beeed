//! Server-wide managers that every ESXi host has. They exist so that clients can read them;
//! most of their methods are not supported.

use vim25::types::{
    AuthorizationDescription, AuthorizationRole, Description, EvaluationLicenseSource,
    LicenseManagerEvaluationInfo, LicenseManagerLicenseInfo, LicenseSource, PerformanceDescription,
    Permission, ServiceContent,
};
use vim25::{AnyRef, ManagedObject, Poly, Ref, mo};

use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::Object;
use crate::world::Transaction;

/// The id of the role `Admin`, which has all privileges. The user of the simulator has this
/// role.
const ADMIN: i32 = -1;

/// The id of the authorization manager.
pub(super) const AUTHORIZATION: &str = "ha-authmgr";

fn at<T: ManagedObject>(value: &str) -> Option<Ref<T>> {
    Some(Ref::new(value))
}

/// Adds the managers to the content of the service instance.
pub(super) fn name(content: &mut ServiceContent) {
    content.user_directory = at(super::host_managers::USERS);
    content.authorization_manager = at(AUTHORIZATION);
    content.service_manager = at("ha-servicemanager");
    content.perf_manager = at("ha-perfmgr");
    content.account_manager = at(super::host_managers::ACCOUNTS);
    content.diagnostic_manager = at("ha-diagnosticmgr");
    content.license_manager = at(super::host_managers::LICENSES);
    content.datastore_namespace_manager = at("ha-datastore-namespace-manager");
    content.ovf_manager = at(super::ovf::MANAGER);
    content.dv_switch_manager = at("ha-dvsmanager");
    content.localization_manager = at("ha-l10n-manager");
    content.storage_resource_manager = at("ha-storage-resource-manager");
}

pub(super) fn build(tx: &mut Transaction<'_>) {
    tx.insert(Object::new::<mo::UserDirectory>(
        super::host_managers::USERS,
    ));
    tx.insert(authorization(AUTHORIZATION));
    tx.insert(Object::new::<mo::ServiceManager>("ha-servicemanager"));
    let mut performance = Object::new::<mo::PerformanceManager>("ha-perfmgr");
    performance.put("description", &PerformanceDescription::default());
    performance.put("perfCounter", &Vec::<vim25::types::PerfCounterInfo>::new());
    tx.insert(performance);
    tx.insert(Object::new::<mo::HostLocalAccountManager>(
        super::host_managers::ACCOUNTS,
    ));
    tx.insert(Object::new::<mo::DiagnosticManager>("ha-diagnosticmgr"));
    tx.insert(licenses(super::host_managers::LICENSES));
    tx.insert(Object::new::<mo::LicenseAssignmentManager>(
        "ha-license-assignment-manager",
    ));
    tx.insert(Object::new::<mo::DatastoreNamespaceManager>(
        "ha-datastore-namespace-manager",
    ));
    tx.insert(super::ovf::build());
    super::storage_objects::build(tx);
    tx.insert(Object::new::<mo::DistributedVirtualSwitchManager>(
        "ha-dvsmanager",
    ));
    tx.insert(Object::new::<mo::LocalizationManager>("ha-l10n-manager"));
    tx.insert(Object::new::<mo::StorageResourceManager>(
        "ha-storage-resource-manager",
    ));
}

fn authorization(value: &str) -> Object {
    let mut manager = Object::new::<mo::AuthorizationManager>(value);
    manager.put("description", &AuthorizationDescription::default());
    let roles = [
        (ADMIN, "Admin", "Full access rights"),
        (
            -2,
            "ReadOnly",
            "See details of objects, but not make changes",
        ),
        (-5, "NoAccess", "Used for restricting granted access"),
    ];
    let roles = roles.map(|(role_id, name, words)| AuthorizationRole {
        role_id,
        system: true,
        name: name.into(),
        info: Poly::new(Description {
            label: name.into(),
            summary: words.into(),
        }),
        privilege: vec!["System.Anonymous".into(), "System.View".into()],
    });
    manager.put("roleList", &roles.to_vec());
    manager
}

fn licenses(value: &str) -> Object {
    let mut manager = Object::new::<mo::LicenseManager>(value);
    let mut source = EvaluationLicenseSource::default();
    source.remaining_hours = Some(60 * 24);
    manager.put("source", &Poly::<LicenseSource>::new(source));
    manager.put("sourceAvailable", &true);
    manager.put("licensedEdition", &"eval".to_owned());
    manager.put(
        "licenses",
        &vec![LicenseManagerLicenseInfo {
            license_key: "00000-00000-00000-00000-00000".into(),
            edition_key: "eval".into(),
            name: "Evaluation Mode".into(),
            cost_unit: String::new(),
            ..Default::default()
        }],
    );
    manager.put("evaluation", &LicenseManagerEvaluationInfo::default());
    let assignments: Ref<mo::LicenseAssignmentManager> = Ref::new("ha-license-assignment-manager");
    manager.put("licenseAssignmentManager", &assignments);
    manager
}

/// Handles the methods that have a fixed result.
pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    let none: Vec<AnyRef> = Vec::new();
    Some(match inv.request.method.as_str() {
        "RetrieveAllPermissions" => value(&vec![permission(inv)]),
        "RetrieveEntityPermissions" => {
            let entity: Result<AnyRef, _> = inv.arg("entity");
            entity.and_then(|entity| match entity == inv.tx.layout().root().upcast() {
                true => value(&vec![permission(inv)]),
                false => value(&Vec::<Permission>::new()),
            })
        }
        "RetrieveRolePermissions" => {
            let role: Result<i32, _> = inv.arg("roleId");
            role.and_then(|role| match role == ADMIN {
                true => value(&vec![permission(inv)]),
                false => value(&Vec::<Permission>::new()),
            })
        }
        "RetrieveUserGroups"
        | "QueryPerfCounterByLevel"
        | "QueryAvailablePerfMetric"
        | "QueryPerf"
        | "QueryServiceList"
        | "QueryAssignedLicenses"
        | "QueryDescriptions" => value(&none),
        "UpdateLicenseLabel" => nothing(),
        "DisableMethods" | "EnableMethods" => return super::disabled_methods::call(inv),
        _ => return None,
    })
}

fn permission(inv: &Invocation<'_, '_>) -> Permission {
    Permission {
        entity: Some(inv.tx.layout().root().upcast()),
        principal: inv.tx.shared().settings.user.clone(),
        group: false,
        role_id: ADMIN,
        propagate: true,
    }
}
