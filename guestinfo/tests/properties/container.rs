//! Generates arbitrary containers.

use guestinfo::vic::{
    AssignedNetwork, Build, Command, Common, ContainerNetwork, CopyMode, CreateTime, Diagnostics,
    ExecutorConfig, ExitLog, Identity, IpRange, Limit, Limits, MountSpec, NetworkEndpoint,
    NicAddress, Redacted, SessionConfig, SessionDetail, Started, SyslogConfig, TrustLevel,
};
use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::leaf::{address, name, net, text, time, url};

fn common() -> impl Strategy<Value = Common> + Clone {
    (text(), text(), text()).prop_map(|(id, name, notes)| Common {
        id,
        name,
        notes,
        ..Common::default()
    })
}

fn session() -> impl Strategy<Value = SessionConfig> + Clone {
    let started = prop_oneof![
        Just(Started::No),
        Just(Started::Yes),
        "[a-z ]{5,9}".prop_map(Started::Failed),
    ];
    let log = (time(), any::<i32>(), text()).prop_map(|(time, exit_status, message)| ExitLog {
        time,
        exit_status,
        message,
    });
    let syslog = (text(), text()).prop_map(|(network, address)| SyslogConfig { network, address });
    let command = (text(), vec(text(), 0..4), vec(text(), 0..4), text()).prop_map(
        |(path, args, env, dir)| Command {
            path,
            args,
            env,
            dir,
        },
    );
    let limit = ("[a-z]{1,9}", any::<[Option<u64>; 2]>());
    let limit = limit.prop_map(|(name, [soft, hard])| Limit { name, soft, hard });
    (
        common(),
        command,
        any::<[bool; 6]>(),
        (option::of(any::<i32>()), option::of(vec(limit, 0..3))),
        started,
        (vec(log, 0..3), option::of(syslog), any::<i32>()),
        text(),
        any::<[i64; 3]>(),
    )
        .prop_map(
            |(common, command, flags, (exit_status, limits), started, diagnostics, user, times)| {
                SessionConfig {
                    common,
                    command,
                    attach: flags[0],
                    open_stdin: flags[1],
                    run_block: flags[2],
                    active: flags[3],
                    tty: flags[4],
                    restart: flags[5],
                    exit_status,
                    started,
                    diagnostics: Diagnostics {
                        debug_level: diagnostics.2,
                        resurrections: 1,
                        exit_logs: diagnostics.0,
                        syslog: diagnostics.1,
                    },
                    stop_signal: "TERM".into(),
                    group: user.clone(),
                    user,
                    detail: SessionDetail {
                        create_time: times[0],
                        start_time: times[1],
                        stop_time: times[2],
                    },
                    limits: limits.map(Limits),
                }
            },
        )
}

fn endpoint() -> impl Strategy<Value = NetworkEndpoint> + Clone {
    let trust = prop_oneof![
        Just(TrustLevel::Unspecified),
        Just(TrustLevel::Published),
        Just(TrustLevel::Peers),
    ];
    // A range or an assignment without content has no key.
    let assigned =
        (net(), vec(address(), 0..3)).prop_map(|(gateway, nameservers)| AssignedNetwork {
            gateway: Some(gateway),
            nameservers,
        });
    let range = (option::of(address()), option::of(address()))
        .prop_map(|(first, last)| IpRange { first, last });
    let network = (
        common(),
        option::of(net()),
        vec(address(), 0..3),
        vec(range, 0..3),
        vec(text(), 0..3),
        vec(net(), 0..3),
        trust,
        option::of(assigned),
        (option::of(text()), option::of(any::<u32>())),
    )
        .prop_map(
            |(
                common,
                gateway,
                nameservers,
                pools,
                aliases,
                destinations,
                trust_level,
                assigned,
                (search_domain, mtu),
            )| {
                ContainerNetwork {
                    common,
                    gateway,
                    is_default: true,
                    nameservers,
                    search_domain,
                    mtu,
                    pools,
                    aliases,
                    kind: "bridge".into(),
                    destinations,
                    trust_level,
                    assigned,
                }
            },
        );
    (
        common(),
        any::<bool>(),
        option::of(net()),
        option::of(net()),
        network,
        vec(text(), 0..3),
    )
        .prop_map(
            |(common, is_static, address, assigned, network, ports)| NetworkEndpoint {
                common,
                is_static,
                address: address.map(NicAddress::Net),
                assigned: assigned.map(NicAddress::Net),
                network,
                ports,
                internal: false,
            },
        )
}

pub fn container() -> impl Strategy<Value = ExecutorConfig> + Clone {
    let mount = (url(), text(), text()).prop_map(|(source, path, mode)| MountSpec {
        source,
        path,
        mode,
        copy_mode: CopyMode::New,
    });
    // 0.4 stores seconds and 1.x nanoseconds, so whole seconds are used for both.
    let created = (100_000_000_i64..9_000_000_000)
        .prop_map(|s| CreateTime(Timestamp::from_second(s).unwrap()));
    let build = text().prop_map(|version| Build {
        version,
        data_version: 10,
        ..Build::default()
    });
    (
        (text(), text(), text()),
        created,
        btree_map(name(), session(), 0..3),
        // A hidden value cannot be non-persistent, so the session has no notes.
        btree_map(
            name(),
            session().prop_map(|mut session| {
                session.common.notes.clear();
                session
            }),
            0..2,
        ),
        btree_map(name(), mount, 0..3),
        btree_map(name(), endpoint(), 0..2),
        vec(any::<u8>(), 0..10),
        btree_map(name(), text(), 0..3),
        option::of(build),
        text(),
    )
        .prop_map(
            |(
                who,
                create_time,
                sessions,
                execs,
                mounts,
                networks,
                key,
                annotations,
                version,
                repo,
            )| {
                ExecutorConfig {
                    common: Identity {
                        execution_environment: String::new(),
                        id: who.0,
                        name: who.1,
                        notes: who.2,
                    },
                    create_time,
                    sessions,
                    execs,
                    mounts,
                    networks,
                    key: Redacted(key),
                    annotations,
                    version,
                    repo_name: repo,
                    ..ExecutorConfig::default()
                }
            },
        )
}
