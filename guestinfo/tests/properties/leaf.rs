//! Generates arbitrary texts, names, addresses and times.

use std::net::IpAddr;
use std::time::Duration;

use guestinfo::GoUrl;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text with every character that matters to the format, among others.
pub fn text() -> impl Strategy<Value = String> + Clone {
    let piece = prop_oneof![
        3 => Just("|".to_owned()),
        2 => prop_oneof!["<nil>", "~", "/", "\\.", "@secret", "=", "\"", "\n", "%", "#"],
        6 => "[a-z0-9 ]{1,8}",
        2 => "[\u{20}-\u{d7ff}]{1,3}",
    ];
    vec(piece, 0..6)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("reserved", |text| text != "<nil>")
        .prop_filter("no stored form", |text| {
            !text.contains(char::is_control) || text.contains('\n')
        })
        .prop_map(|text| text.replace(|c: char| c.is_control() && c != '\n', ""))
        .prop_filter("reserved", |text| text != "<nil>")
}

/// A map key: any text that a VMX key can contain, including separators.
pub fn name() -> impl Strategy<Value = String> + Clone {
    "[a-z0-9äß@~|./_-]{1,12}".prop_filter("like a suffix", |name| {
        !name.ends_with('~') && !name.ends_with("@secret") && !name.ends_with("@non-persistent")
    })
}

pub fn net() -> impl Strategy<Value = IpNet> + Clone {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8)
            .prop_map(|(ip, len)| IpNet::V4(Ipv4Net::new(ip.into(), len).unwrap())),
        (any::<[u8; 16]>(), 0..=128_u8)
            .prop_map(|(ip, len)| IpNet::V6(Ipv6Net::new(ip.into(), len).unwrap()))
            .prop_filter("IPv4 in IPv6", |net| !mapped(net.addr())),
    ]
}

pub fn address() -> impl Strategy<Value = IpAddr> + Clone {
    any::<IpAddr>().prop_filter("IPv4 in IPv6", |address| !mapped(*address))
}

/// Stored with the same bytes as the IPv4 address, so read back as IPv4.
fn mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

pub fn time() -> impl Strategy<Value = Timestamp> + Clone {
    (-62_135_596_800_i64..253_402_000_000, 0..1_000_000_000_i32)
        .prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap())
}

pub fn duration() -> impl Strategy<Value = Duration> + Clone {
    (0..=i64::MAX as u64).prop_map(Duration::from_nanos)
}

pub fn url() -> impl Strategy<Value = GoUrl> + Clone {
    (text(), text(), text(), any::<bool>(), option::of(text())).prop_map(
        |(scheme, host, path, force_query, raw_fragment)| GoUrl {
            scheme,
            host,
            path,
            force_query,
            raw_fragment,
            ..GoUrl::default()
        },
    )
}
