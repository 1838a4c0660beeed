//! The appliance's configuration in both dialects.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod vector_file;

use std::collections::BTreeMap;
use std::time::Duration;

use guestinfo::vic::{
    Certificates, ComputeResource, Connection, ContainerNetwork, Containers, ExecutorConfig,
    HostNetworks, NicAddress, RawCertificate, Redacted, Registries, SessionConfig, Storage, Target,
    VirtualContainerHostConfig,
};
use guestinfo::{Decode, Dialect, Encode, GoUrl, IssueKind, SecretKey, decode};

fn host() -> VirtualContainerHostConfig {
    let mut executor = ExecutorConfig::default();
    executor.common.id = "vm-42".into();
    executor
        .sessions
        .insert("port-layer".into(), SessionConfig::default());
    let volumes = GoUrl {
        scheme: "ds".into(),
        path: "[datastore1] volumes".into(),
        ..GoUrl::default()
    };
    VirtualContainerHostConfig {
        executor,
        connection: Connection {
            target: Target("https://vc.example:443/sdk".into()),
            keepalive: Duration::from_secs(60),
            token: Some(Redacted("hunter2".into())),
            username: "svc".into(),
            target_thumbprint: "AA:BB".into(),
            ..Connection::default()
        },
        certificates: Certificates {
            host: Some(RawCertificate {
                key: Redacted(b"private".to_vec()),
                cert: b"public".to_vec(),
            }),
            authorities: b"ca".to_vec(),
            ..Certificates::default()
        },
        storage: Storage {
            image_stores: vec!["ds://datastore1/images".parse().unwrap()],
            volume_locations: [("default".to_owned(), volumes)].into(),
            storage_quota: 5,
            scratch_size: 8_388_608,
        },
        networks: HostNetworks {
            bridge_network: "bridge".into(),
            container_networks: [("bridge".to_owned(), ContainerNetwork::default())].into(),
            bridge_ip_range: "172.16.0.0/12".parse().ok(),
            bridge_net_width: vec![255, 255, 0, 0],
        },
        containers: Containers {
            compute_resources: vec![ComputeResource {
                kind: "ResourcePool".into(),
                value: "resgroup-9".into(),
            }],
            name_convention: "{name}-{id}".into(),
            ..Containers::default()
        },
        registries: Registries {
            whitelist: vec!["registry.example".into()],
            ..Registries::default()
        },
        create_bridge_network: true,
        grant_permissions: "ADD".into(),
        create_options: vec!["--name=vch".into(), "--ops-user=a|b".into()],
    }
}

#[test]
fn one_x_groups_its_keys_and_seals_its_secrets() {
    let secret = SecretKey::generate();
    let keys = Encode::new(Dialect::Vic1)
        .secret_key(&secret)
        .run(&host())
        .unwrap();
    for (key, value) in [
        ("init/common/id", "vm-42"),
        ("init/sessions", "port-layer"),
        ("connect/target", "https://vc.example:443/sdk"),
        ("connect/username", "svc"),
        ("connect/keepalive", "60000000000"),
        ("cert/HostCertificate/Cert", "cHVibGlj"),
        ("storage/image_stores|0/Host", "datastore1"),
        (
            "storage/VolumeLocations|default/Path",
            "[datastore1] volumes",
        ),
        ("storage/scratch_size", "8388608"),
        ("network/bridge-ip-range/Mask", "//AAAA=="),
        ("network/bridge-net-width", "//8AAA=="),
        ("container/ComputeResources|0/Value", "resgroup-9"),
        ("container/ContainerNameConvention", "{name}-{id}"),
        ("registry/whitelist_registries~", "registry.example"),
        ("create_bridge_network", "true"),
        ("vic_machine_create_options~", "--name=vch|--ops-user=a|b"),
    ] {
        assert_eq!(keys[&format!("guestinfo.vice./{key}")], value, "{key}");
    }
    for (key, value) in [
        ("connect/token@secret", "hunter2"),
        ("cert/HostCertificate/Key@secret", "cHJpdmF0ZQ=="),
    ] {
        let sealed = &keys[&format!("guestinfo.vice./{key}")];
        assert_eq!(secret.open(sealed).unwrap(), value, "{key}");
    }
    let decoded = Decode::new()
        .secret_key(&secret)
        .run::<VirtualContainerHostConfig>(&keys);
    assert!(decoded.report.is_empty(), "{}", decoded.report);
    assert_eq!(decoded.value, host());

    // Without the secret key, everything else can be read.
    let blind = decode::<VirtualContainerHostConfig>(&keys);
    assert_eq!(blind.report.of(IssueKind::Sealed).count(), 2);
    assert_eq!(blind.value.connection.token, None);
    assert_eq!(blind.value.storage, host().storage);
}

#[test]
fn zero_four_has_no_groups_and_no_secrets() {
    let keys: BTreeMap<_, _> = Encode::new(Dialect::Vic04).run(&host()).unwrap();
    for (key, value) in [
        ("guestinfo./target/Host", "vc.example:443"),
        ("guestinfo./keepalive", "60000000000"),
        ("guestinfo./HostCertificate/Key", "cHJpdmF0ZQ=="),
        ("guestinfo./image_stores|0/Path", "/images"),
        (
            "guestinfo./VolumeLocations|default/Path",
            "[datastore1] volumes",
        ),
        ("guestinfo./bridge_network", "bridge"),
        ("guestinfo./ComputeResources|0/Type", "ResourcePool"),
        ("ContainerNameConvention", "{name}-{id}"),
        ("guestinfo./create_bridge_network", "true"),
    ] {
        assert_eq!(keys[key], value, "{key}");
    }
    assert!(
        !keys
            .keys()
            .any(|key| key.contains("token") || key.contains('@'))
    );
    let decoded = decode::<VirtualContainerHostConfig>(&keys);
    assert!(decoded.report.is_empty(), "{}", decoded.report);
    assert_eq!(decoded.value.connection.target, host().connection.target);
    assert_eq!(decoded.value.certificates, host().certificates);
}

/// A whole appliance as an installer of each dialect stored it. The address of its bridge
/// NIC has no mask.
#[test]
fn whole_appliances_are_read_and_written_back() {
    for (file, dialect) in [
        (include_str!("vectors/host-vic04.txt"), Dialect::Vic04),
        (include_str!("vectors/host-vic1.txt"), Dialect::Vic1),
    ] {
        let stored = vector_file::listing(file);
        let secret = SecretKey::from_base64(&stored["guestinfo.ovfEnv"]).unwrap();
        let decoded = Decode::new()
            .secret_key(&secret)
            .run::<VirtualContainerHostConfig>(&stored);
        assert_eq!(decoded.dialect, dialect);
        assert!(decoded.report.is_empty(), "{}", decoded.report);
        let networks = &decoded.value.executor.networks;
        let bridge = &networks["bridge"];
        assert_eq!(bridge.address, Some(NicAddress::MANAGED_ELSEWHERE));
        assert_eq!(bridge.is_static, dialect == Dialect::Vic1);
        let client = networks["client"].address.unwrap();
        assert_eq!(client.to_string(), "10.17.0.5/24");
        assert_eq!(networks["management"].address, None);

        let codec = Encode::new(dialect).secret_key(&secret);
        assert!(codec.update(&stored, &decoded.value).unwrap().is_empty());
        let written = codec.run(&decoded.value).unwrap();
        let again = Decode::new()
            .secret_key(&secret)
            .strict::<VirtualContainerHostConfig>(&written)
            .unwrap();
        assert_eq!(again, decoded.value);
        for (key, text) in stored {
            let other_form = key.contains("gateway/IP") || key.ends_with("@secret");
            if dialect == Dialect::detect([&key]).unwrap_or(dialect) && !other_form {
                let ours = written.get(&key);
                assert!(
                    ours == Some(&text) || key == "guestinfo.ovfEnv",
                    "{key}: {ours:?}"
                );
            }
        }
    }
}

/// The case was found by fuzzing: the parts formed the text of a URL that is written
/// differently.
#[test]
fn a_target_whose_parts_form_no_url_is_malformed() {
    let key = "guestinfo./target/Scheme".to_owned();
    let keys = BTreeMap::from([(key, "# An appliance a{ b".to_owned())]);
    let decode = Decode::new().dialect(Dialect::Vic04);
    let read = decode.run::<VirtualContainerHostConfig>(&keys);
    assert_eq!(read.value.connection.target.0, "");
    let written = Encode::new(Dialect::Vic04).run(&read.value).unwrap();
    let again = decode.run::<VirtualContainerHostConfig>(&written);
    assert_eq!(again.value, read.value);

    let parts = [
        ("Scheme", "https"),
        ("Host", "vc.example.com"),
        ("Path", "/sdk"),
    ];
    let keys = parts.map(|(part, text)| (format!("guestinfo./target/{part}"), text.to_owned()));
    let read = decode.run::<VirtualContainerHostConfig>(&BTreeMap::from(keys));
    assert_eq!(read.value.connection.target.0, "https://vc.example.com/sdk");
}
