//! All keys of an installed appliance, in both dialects.

use std::collections::BTreeMap;
use std::time::Duration;

use portlayer::exec::Command;
use portlayer::vsphere::{
    ApplianceCertificates, ApplianceComponent, ContainerPolicy, Dialect, HostSpec, InstallProgress,
    Registries, StaticAddress,
};
use simulator::Platform;
use vim25::types::OptionValue;
use vim25::{mo, props};
use vsphere_client::Thumbprint;

use crate::Endpoint;
use crate::folders::cluster;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";

fn quiet(_: InstallProgress) {}

/// A specification in which every field that becomes a key differs from its default.
fn full(name: &str) -> HostSpec {
    let server = Command::new("/sbin/port-layer-server")
        .arg("--port=2377")
        .env("PATH", "/sbin")
        .working_dir("/home")
        .user("vic")
        .group("vic");
    let registries = Registries::new()
        .allow("*.example")
        .insecure("10.0.0.9:5000")
        .authorities(CERTIFICATE);
    let address = StaticAddress::new("10.0.0.7/24".parse().unwrap());
    crate::spec(name)
        .create_bridge(true)
        .bridge_network("bridge")
        .public_network("VM Network")
        .public_address(address.gateway("10.0.0.1".parse().unwrap()))
        .name_server("10.0.0.2".parse().unwrap())
        .address("10.0.0.7:2377")
        .certificates(ApplianceCertificates::new(CERTIFICATE, KEY).authorities(CERTIFICATE))
        .component("vicadmin")
        .component(
            ApplianceComponent::new("port-layer")
                .command(server)
                .with_location(),
        )
        .user("operator")
        .keepalive(Duration::from_secs(60))
        .registries(registries)
        .volume_store("default", "ds://datastore1/volumes".parse().unwrap())
        .volume_store("nfs", "nfs://10.0.0.9/v?uid=5".parse().unwrap())
        .create_options(["--name=full", "--no-tls"])
}

/// Returns the keys of a host's appliance, VIC's and ours, except those that depend on the features
/// with which the test is built.
async fn keys(endpoint: &Endpoint, name: &str) -> BTreeMap<String, String> {
    let machines = endpoint.client.retrieve::<mo::VirtualMachine>();
    let machines = machines
        .property(props::virtual_machine::CONFIG)
        .within(&endpoint.client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let configs = machines
        .iter()
        .filter_map(|machine| machine.value(props::virtual_machine::CONFIG));
    let config = configs.into_iter().find(|config| config.name == name);
    let options = config.unwrap().extra_config;
    let options = options.iter().filter_map(|option| {
        let option = option.view::<OptionValue>()?;
        Some((option.key.clone(), option.text()?))
    });
    options
        .filter(|(key, _)| key.starts_with("guestinfo") || key.starts_with("portlayer"))
        .filter(|(key, _)| key != "portlayer/clientkey")
        .collect()
}

/// Returns the expected keys of a dialect. In the values, `{server}` is the endpoint's address,
/// `{thumbprint}` is that of its certificate, and a value of `*` is any text.
fn table(dialect: Dialect, endpoint: &Endpoint) -> BTreeMap<String, String> {
    let text = match dialect {
        Dialect::Vic04 => include_str!("vic04.keys"),
        _ => include_str!("vic1.keys"),
    };
    let certificate = endpoint.client.server_certificate().unwrap();
    let thumbprint = Thumbprint::sha1(&certificate).to_string();
    let lines = text.lines().map(|line| {
        let (key, value) = line.split_once(" = ").unwrap();
        let value = value
            .replace("{server}", endpoint.client.server())
            .replace("{thumbprint}", &thumbprint);
        (key.to_owned(), value)
    });
    lines.collect()
}

#[tokio::test]
async fn an_appliance_has_exactly_the_keys_of_the_table() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        endpoint.hosts.install(full("full"), &quiet).await.unwrap();
        let (found, expected) = (keys(&endpoint, "full").await, table(dialect, &endpoint));
        let mut wrong = Vec::new();
        for (key, value) in &found {
            match expected.get(key).map(String::as_str) {
                Some("*") if !value.is_empty() && value != "<nil>" => {}
                Some(expected) if expected == value => {}
                expected => wrong.push(format!("{key} = {value:?}, not {expected:?}")),
            }
        }
        let missing = expected.keys().filter(|key| !found.contains_key(*key));
        wrong.extend(missing.map(|key| format!("{key} is missing")));
        assert!(wrong.is_empty(), "{dialect:?}: {wrong:#?}");
        // No key contains the password of the endpoint or the private key of the appliance.
        let password = endpoint.simulator.password();
        assert!(!found.values().any(|value| value.contains(password)));
        let sealed = dialect == Dialect::Vic1;
        assert_eq!(
            !found.values().any(|value| value.contains("MyVmpjbVYw")),
            sealed,
            "the private key of the appliance"
        );
    }
}

#[tokio::test]
async fn all_settings_are_read_back() {
    for dialect in Dialect::ALL {
        let endpoint = Endpoint::start(dialect, Platform::default()).await;
        let spec = full("full");
        let installed = endpoint.hosts.install(spec.clone(), &quiet).await.unwrap();
        let found = endpoint.hosts.find("full").await.unwrap();
        assert_eq!(found, installed);
        assert_eq!(found.user, "operator");
        assert_eq!(found.version, concat!("v", env!("CARGO_PKG_VERSION")));
        let certificate = endpoint.client.server_certificate().unwrap();
        let thumbprint = Thumbprint::sha1(&certificate).to_string();
        assert_eq!(found.target_thumbprint, thumbprint);
        assert_eq!(found.keepalive, spec.keepalive);
        assert_eq!(found.registries, spec.registries);
        assert_eq!(found.volume_stores, spec.volume_stores);
        assert_eq!(found.create_options, spec.create_options);
        let commands = found.components.iter().map(|component| {
            let command = component.command.as_ref();
            (component.name.as_str(), command.map(|c| c.path.as_str()))
        });
        assert_eq!(
            commands.collect::<Vec<_>>(),
            [
                ("port-layer", Some("/sbin/port-layer-server")),
                ("vicadmin", None)
            ]
        );
    }
}

#[tokio::test]
async fn without_options_the_user_is_that_of_the_session_and_no_settings_are_made_up() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let found = endpoint.hosts.find("vch").await.unwrap();
    assert_eq!(found.user, endpoint.simulator.user());
    assert_eq!(found.keepalive, None);
    assert_eq!(found.registries, Registries::default());
    assert!(found.volume_stores.is_empty() && found.create_options.is_empty());
}

#[tokio::test]
async fn the_datastore_of_a_volume_store_must_exist() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let spec = full("full").volume_store("other", "ds://no-such/v".parse().unwrap());
    let plan = endpoint.hosts.plan(spec).await.unwrap();
    assert!(!plan.is_ready());
    let findings: Vec<_> = plan.findings().iter().map(ToString::to_string).collect();
    let expected = "name an existing datastore for \"other\" of `volume_stores`";
    assert!(
        findings.iter().any(|finding| finding.ends_with(expected)),
        "{findings:#?}"
    );
}

/// All hosts come from one retrieval, no matter how many there are, and whether they have pools and
/// folders of their own.
#[tokio::test]
async fn the_calls_of_a_list_do_not_grow_with_the_number_of_hosts() {
    for endpoint in [
        Endpoint::start(Dialect::Vic1, Platform::default()).await,
        cluster(true).await,
        cluster(false).await,
    ] {
        let calls = || {
            let calls = endpoint.simulator.script().calls();
            calls.values().sum::<u64>()
        };
        let start = calls();
        assert_eq!(endpoint.hosts.list().await.unwrap().len(), 1);
        let of_one = calls() - start;
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        for name in names {
            let spec = endpoint.spec(name);
            endpoint.hosts.install(spec, &quiet).await.unwrap();
        }
        let start = calls();
        let listed = endpoint.hosts.list().await.unwrap();
        assert_eq!(calls() - start, of_one);
        let listed: Vec<_> = listed.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(listed, [&names[..], &["vch"]].concat());
        for name in names {
            let policy = ContainerPolicy::Refuse;
            endpoint.hosts.delete(name, policy).await.unwrap();
        }
        assert_eq!(endpoint.hosts.list().await.unwrap().len(), 1);
    }
}
