//! A type with every kind of field, inside every kind of container.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use guestinfo::GuestInfo;
use ipnet::IpNet;
use jiff::Timestamp;
use proptest::collection::{btree_map, hash_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::leaf::{address, duration, name, net, text, time};

/// Every kind of field, inside every kind of container.
#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
pub struct Everything {
    #[guestinfo(key = "flag", scope = "read-only")]
    flag: bool,
    #[guestinfo(key = "ints", scope = "read-only")]
    ints: Ints,
    #[guestinfo(key = "floats", scope = "hidden")]
    floats: Floats,
    #[guestinfo(key = "text", scope = "read-write")]
    text: String,
    #[guestinfo(key = "maybe", scope = "hidden")]
    maybe: Option<String>,
    #[guestinfo(key = "lists", scope = "read-only")]
    lists: Lists<String>,
    #[guestinfo(key = "durations", scope = "read-write")]
    durations: Lists<Duration>,
    #[guestinfo(key = "maps", scope = "read-only")]
    maps: Maps,
    #[guestinfo(key = "times", scope = "read-only")]
    times: Vec<Timestamp>,
    #[guestinfo(key = "addresses", scope = "read-only")]
    addresses: Vec<IpAddr>,
    #[guestinfo(key = "nets", scope = "read-write")]
    nets: Vec<IpNet>,
    #[guestinfo(key = "bytes", scope = "read-only")]
    bytes: Option<Vec<u8>>,
    #[guestinfo(key = "array", scope = "read-only")]
    array: [u16; 3],
    #[guestinfo(key = "color", scope = "read-write")]
    color: Color,
    #[guestinfo(flatten)]
    flat: Flat,
    #[guestinfo(key = "secret", vic04(scope = "hidden"), vic1(secret))]
    secret: Secret,
    #[guestinfo(
        key = "elsewhere",
        vic04(key = "a/b", scope = "read-only"),
        vic1(scope = "hidden")
    )]
    elsewhere: u8,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Ints {
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    i128: i128,
    #[guestinfo(scope = "read-write")]
    u8: u8,
    u16: u16,
    u32: u32,
    #[guestinfo(scope = "hidden")]
    u64: u64,
    u128: u128,
    isize: isize,
    usize: usize,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Floats {
    f32: f32,
    f64: f64,
    many: Vec<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Lists<T> {
    plain: Vec<T>,
    maybe: Option<Vec<T>>,
    nested: Vec<Vec<T>>,
    options: Vec<Option<T>>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Maps {
    texts: BTreeMap<String, String>,
    numbers: HashMap<i64, Wrapper>,
    lists: BTreeMap<String, Vec<String>>,
    colors: BTreeMap<Color, bool>,
    maybe: Option<BTreeMap<u8, u8>>,
    deep: BTreeMap<u8, BTreeMap<String, Option<Wrapper>>>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Wrapper(String);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, GuestInfo)]
enum Color {
    #[default]
    Red,
    #[guestinfo(text = "dark green")]
    Green,
    #[guestinfo(other)]
    Other(String),
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Flat {
    #[guestinfo(key = "flat", scope = "read-write")]
    flat: i32,
    #[guestinfo(key = "flat2", scope = "hidden", default = 7)]
    defaulted: i32,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Secret {
    text: String,
    list: Vec<String>,
}

fn color() -> impl Strategy<Value = Color> + Clone {
    prop_oneof![
        Just(Color::Red),
        Just(Color::Green),
        "[a-z]{1,5}".prop_map(Color::Other),
    ]
}

fn ints() -> impl Strategy<Value = Ints> + Clone {
    let signed = (
        any::<i8>(),
        any::<i16>(),
        any::<i32>(),
        any::<i64>(),
        any::<i128>(),
        any::<isize>(),
    );
    let unsigned = (
        any::<u8>(),
        any::<u16>(),
        any::<u32>(),
        any::<u64>(),
        any::<u128>(),
        any::<usize>(),
    );
    (signed, unsigned).prop_map(|(signed, unsigned)| {
        let (i8, i16, i32, i64, i128, isize) = signed;
        let (u8, u16, u32, u64, u128, usize) = unsigned;
        Ints {
            i8,
            i16,
            i32,
            i64,
            i128,
            u8,
            u16,
            u32,
            u64,
            u128,
            isize,
            usize,
        }
    })
}

fn floats() -> impl Strategy<Value = Floats> + Clone {
    // A NaN is not equal to itself.
    let number = any::<f64>().prop_filter("NaN", |f| !f.is_nan());
    let narrow = any::<f32>().prop_filter("NaN", |f| !f.is_nan());
    (narrow, number.clone(), vec(number, 0..4)).prop_map(|(f32, f64, many)| Floats {
        f32,
        f64,
        many,
    })
}

fn lists<T: std::fmt::Debug + Clone>(
    element: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Lists<T>> + Clone {
    // A list of a single `<nil>` cannot be stored.
    let list = vec(element.clone(), 0..4);
    (
        list.clone(),
        option::of(list.clone()),
        vec(list, 0..4),
        vec(option::of(element), 0..4),
    )
        .prop_map(|(plain, maybe, nested, options)| Lists {
            plain,
            maybe,
            nested,
            options,
        })
}

fn maps() -> impl Strategy<Value = Maps> + Clone {
    let wrapper = text().prop_map(Wrapper);
    (
        btree_map(name(), text(), 0..4),
        hash_map(any::<i64>(), wrapper.clone(), 0..4),
        btree_map(name(), vec(text(), 0..3), 0..4),
        // The text of a colour is used as a map key.
        btree_map(
            prop_oneof![Just(Color::Red), "[a-z]{1,5}".prop_map(Color::Other)],
            any::<bool>(),
            0..3,
        ),
        option::of(btree_map(any::<u8>(), any::<u8>(), 0..3)),
        btree_map(
            any::<u8>(),
            btree_map("[a-z]{1,4}", option::of(wrapper), 0..3),
            0..3,
        ),
    )
        .prop_map(|(texts, numbers, lists, colors, maybe, deep)| Maps {
            texts,
            numbers,
            lists,
            colors,
            maybe,
            deep,
        })
}

pub fn everything() -> impl Strategy<Value = Everything> + Clone {
    let first = (
        any::<bool>(),
        ints(),
        floats(),
        text(),
        option::of(text()),
        lists(text()),
        lists(duration()),
        maps(),
    );
    let second = (
        vec(time(), 0..3),
        vec(address(), 0..3),
        vec(net(), 0..3),
        option::of(vec(any::<u8>(), 0..20)),
        any::<[u16; 3]>(),
        color(),
        (any::<i32>(), any::<i32>()),
        (text(), vec(text(), 0..3)),
        any::<u8>(),
    );
    (first, second).prop_map(|(first, second)| {
        let (flag, ints, floats, text, maybe, lists, durations, maps) = first;
        let (times, addresses, nets, bytes, array, color, flat, secret, elsewhere) = second;
        Everything {
            flag,
            ints,
            floats,
            text,
            maybe,
            lists,
            durations,
            maps,
            times,
            addresses,
            nets,
            bytes,
            array,
            color,
            flat: Flat {
                flat: flat.0,
                defaulted: flat.1,
            },
            secret: Secret {
                text: secret.0,
                list: secret.1,
            },
            elsewhere,
        }
    })
}
