//! The checks before an installation, on an endpoint without faults, and on one with each fault. The
//! module `checks` of the library has a table of them.

use portlayer::exec::Allocation;
use portlayer::vsphere::{
    Dialect, HostSpec, Plan, PoolAllocation, Severity, StaticAddress, VolumeStore, kind,
};
use portlayer::{ResourceKind, Result};
use simulator::Platform;
use vim25::types::{
    DatastoreHostMount, HostFirewallInfo, KeyAnyValue, KeyValue, LicenseManagerLicenseInfo,
    OptionValue, Tag,
};
use vim25::{Any, Poly, Property, Ref, Slot, mo, props};

use crate::Endpoint;
use crate::folders::cluster;

const FIREWALL: Property<mo::HostSystem, Ref<mo::HostFirewallSystem>> =
    Property::new("configManager.firewallSystem");
const ACCESSIBLE: Property<mo::Datastore, bool> = Property::new("summary.accessible");
const MAINTENANCE: Property<mo::Datastore, String> = Property::new("summary.maintenanceMode");
const MANAGED_BY: Property<mo::HostSystem, String> = Property::new("summary.managementServerIp");

/// What a finding must be: its severity, the kind of its object, and a part of its text.
type Expected<'e> = (Severity, ResourceKind, &'e str);

/// Returns the findings of a plan that are worse than information. All have an object and a remedy.
fn worse(plan: Result<Plan>) -> Vec<(Severity, ResourceKind, String)> {
    let plan = plan.unwrap();
    let findings = plan.findings().iter();
    let worse = findings.filter(|finding| finding.severity > Severity::Info);
    worse
        .map(|finding| {
            assert!(!finding.object.id.is_empty(), "{finding:?}");
            assert!(!finding.remedy.is_empty(), "{finding:?}");
            let object = finding.object.kind;
            (finding.severity, object, finding.to_string())
        })
        .collect()
}

impl Endpoint {
    /// Plans an installation, and asserts that it has only this finding.
    async fn finds(&self, spec: HostSpec, (severity, object, text): Expected<'_>) {
        let found = worse(self.hosts.plan(spec).await);
        let [only] = &found[..] else {
            panic!("{text:?} is not all of {found:#?}");
        };
        assert_eq!((only.0, only.1), (severity, object), "{only:?}");
        assert!(only.2.contains(text), "{text:?} is not in {only:?}");
    }

    /// Sets a property to a wrong value, plans an installation, and sets the property back.
    async fn spoiled<T, V: Slot + Sync>(
        &self,
        (object, property): (&Ref<T>, Property<T, V>),
        (wrong, right): (&V, &V),
        expected: Expected<'_>,
    ) {
        let set = |value| self.simulator.set_property(object, property, value);
        set(wrong).unwrap();
        self.finds(self.spec("new"), expected).await;
        set(right).unwrap();
    }
}

/// Returns a cluster on which an installation has no findings.
async fn good_cluster() -> Endpoint {
    let endpoint = cluster(true).await;
    let settings = endpoint.client.service_content().setting.clone().unwrap();
    let key = "config.vpxd.SerialPort.PersistNetworkBacking";
    let setting = |value: &str| vec![Poly::new(OptionValue::new(key, value))];
    let property = props::option_manager::SETTING;
    let (wrong, right) = (setting("false"), setting("true"));
    let set = |value| endpoint.simulator.set_property(&settings, property, value);
    let expected = (Severity::Warning, ResourceKind::Endpoint, key);
    endpoint.finds(endpoint.spec("new"), expected).await;
    set(&wrong).unwrap();
    endpoint.finds(endpoint.spec("new"), expected).await;
    set(&right).unwrap();
    assert_eq!(worse(endpoint.hosts.plan(endpoint.spec("new")).await), []);
    endpoint
}

#[tokio::test]
async fn each_fault_of_a_cluster_is_found() {
    let endpoint = good_cluster().await;
    let inventory = endpoint.client.inventory();
    let get = &endpoint.client;

    let datastore = inventory.find_as::<mo::Datastore>("/DC0/datastore/LocalDS_0");
    let datastore = datastore.await.unwrap();
    let (error, object) = (Severity::Error, kind::DATASTORE);
    let says = "end its maintenance, or choose another with `datastore`";
    let property = (&datastore, ACCESSIBLE);
    let values = (&false, &true);
    endpoint
        .spoiled(property, values, (error, object, says))
        .await;
    let property = (&datastore, MAINTENANCE);
    let values = (&"inMaintenance".to_owned(), &"normal".to_owned());
    endpoint
        .spoiled(property, values, (error, object, says))
        .await;
    let mounts = get.get(&datastore, props::datastore::HOST).await.unwrap();
    let one: Vec<DatastoreHostMount> = mounts[..1].to_vec();
    let property = (&datastore, props::datastore::HOST);
    let expected = (Severity::Warning, object, "it is not mounted on DC0_C0_H");
    endpoint.spoiled(property, (&one, &mounts), expected).await;

    let network = inventory.find_as::<mo::DistributedVirtualPortgroup>("/DC0/network/DC0_DVPG0");
    let network = network.await.unwrap();
    let property = props::distributed_virtual_portgroup::HOST;
    let hosts = get.get(&network, property).await.unwrap();
    let expected = (error, ResourceKind::Network, "it is not on DC0_C0_H");
    let values = (&hosts[..1].to_vec(), &hosts);
    endpoint
        .spoiled((&network, property), values, expected)
        .await;
    let property = (&network, props::distributed_virtual_portgroup::TAG);
    let uplinks = Tag {
        key: "SYSTEM/DVS.UPLINKPG".into(),
    };
    let expected = (error, ResourceKind::Network, "carries the uplinks");
    let values = (&vec![uplinks], &Vec::new());
    endpoint.spoiled(property, values, expected).await;

    let host = inventory.find_as::<mo::HostSystem>("/DC0/host/DC0_C0/DC0_C0_H1");
    let firewall = get.get(&host.await.unwrap(), FIREWALL).await.unwrap();
    let property = props::host_firewall_system::FIREWALL_INFO;
    let open = get.get(&firewall, property).await.unwrap();
    let closed = HostFirewallInfo {
        ruleset: Vec::new(),
        ..open.clone()
    };
    let says = "\"DC0_C0_H1\" does not permit 8080/tcp outbound";
    let expected = (Severity::Warning, kind::HOST_SYSTEM, says);
    let values = (&closed, &open);
    endpoint
        .spoiled((&firewall, property), values, expected)
        .await;

    endpoint.simulator.set_drs("DC0_C0", false).unwrap();
    let expected = (
        Severity::Warning,
        kind::COMPUTE_RESOURCE,
        "enable DRS first",
    );
    endpoint.finds(endpoint.spec("new"), expected).await;
    let limited = PoolAllocation::new().cpu(Allocation::new().limit(2000));
    let expected = (error, kind::COMPUTE_RESOURCE, "omit the limits of the pool");
    let spec = endpoint.spec("new").pool(limited);
    endpoint.finds(spec, expected).await;
    endpoint.simulator.set_drs("DC0_C0", true).unwrap();
    assert_eq!(worse(endpoint.hosts.plan(endpoint.spec("new")).await), []);
}

#[tokio::test]
async fn each_wrong_field_is_found() {
    let endpoint = good_cluster().await;
    let spec = || endpoint.spec("new");
    let none: VolumeStore = "ds://none/volumes".parse().unwrap();
    let standard = spec().bridge_network("VM Network");
    let shared = spec().public_network("DC0_DVPG0");
    let address = StaticAddress::new("10.0.0.7/24".parse().unwrap());
    let address = spec()
        .public_network("VM Network")
        .public_address(address)
        .name_server("10.0.0.2".parse().unwrap());
    for (spec, object, text) in [
        (spec().datacenter("none"), kind::DATACENTER, "`datacenter`"),
        (spec().compute("none"), kind::COMPUTE_RESOURCE, "`compute`"),
        (spec().datastore("none"), kind::DATASTORE, "`datastore`"),
        (
            spec().bridge_network("none"),
            ResourceKind::Network,
            "`bridge_network`",
        ),
        (
            spec().public_network("none"),
            ResourceKind::Network,
            "`public_network`",
        ),
        (
            spec().scope_network("none"),
            ResourceKind::Network,
            "`scope_networks`",
        ),
        (
            spec().volume_store("default", none),
            kind::DATASTORE,
            "\"default\" of `volume_stores`",
        ),
        (endpoint.spec("not a name"), kind::HOST, "1 to 31 letters"),
        (endpoint.spec("vch"), kind::HOST, "delete it first"),
        (spec().user(""), kind::HOST, "correct `user`"),
        (
            standard,
            ResourceKind::Network,
            "not a distributed port group",
        ),
        (shared, ResourceKind::Network, "also the public network"),
        (address, kind::HOST, "give the gateway of the network"),
    ] {
        endpoint.finds(spec, (Severity::Error, object, text)).await;
    }
    // All findings are reported together.
    let all = spec().datastore("none").public_network("none").user("");
    assert_eq!(worse(endpoint.hosts.plan(all).await).len(), 3);
}

#[tokio::test]
async fn each_fault_of_an_esxi_host_is_found() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let content = endpoint.client.service_content();
    let licences = content.license_manager.clone().unwrap();
    let (licences, property) = (&licences, props::license_manager::LICENSES);
    let evaluation = endpoint.client.get(licences, property).await.unwrap();
    let licence = |feature: &str| {
        let feature = KeyValue {
            key: feature.into(),
            value: "a feature".into(),
        };
        vec![LicenseManagerLicenseInfo {
            edition_key: "esx.enterprisePlus".into(),
            properties: vec![KeyAnyValue {
                key: "feature".into(),
                value: Any::new(&feature),
            }],
            ..LicenseManagerLicenseInfo::default()
        }]
    };
    let (lacking, right) = (licence("vmotion"), licence("serialuri:2"));
    let set = |value| endpoint.simulator.set_property(licences, property, value);
    set(&right).unwrap();
    assert_eq!(worse(endpoint.hosts.plan(endpoint.spec("new")).await), []);
    let object = kind::HOST_SYSTEM;
    let expected = (Severity::Error, object, "lacks the feature serialuri");
    let values = (&lacking, &right);
    endpoint
        .spoiled((licences, property), values, expected)
        .await;
    let expected = (Severity::Warning, object, "has an evaluation license");
    let values = (&evaluation, &right);
    endpoint
        .spoiled((licences, property), values, expected)
        .await;

    let host = Ref::<mo::HostSystem>::new("ha-host");
    let values = (&"10.0.0.1".to_owned(), &String::new());
    let says = "the vCenter at 10.0.0.1; connect to that vCenter";
    let expected = (Severity::Error, object, says);
    endpoint
        .spoiled((&host, MANAGED_BY), values, expected)
        .await;
}
