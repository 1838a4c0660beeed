//! Values and their keys as VIC writes them, from the files in `vectors`.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test")]
#![allow(non_snake_case, reason = "a field without a key has its own name")]
#![allow(clippy::approx_constant, reason = "the vectors hold this number")]

mod vector_file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use guestinfo::{Decode, Dialect, GoUrl, GuestInfo, encode};
use ipnet::IpNet;
use jiff::Timestamp;

const VALUES: &str = include_str!("vectors/values.txt");

/// A struct of one read-only field with the given key.
macro_rules! one_field {
    ($name:ident, $key:literal, $scope:literal $(, $more:ident)*) => {
        #[derive(Debug, Default, PartialEq, GuestInfo)]
        struct $name<T> {
            #[guestinfo(key = $key, scope = $scope $(, $more)*)]
            value: T,
        }
    };
}

/// Checks encoding and decoding of one case, in both dialects.
fn check<T: GuestInfo + Default + Debug + PartialEq>(name: &str, value: &T) {
    for dialect in Dialect::ALL {
        let expected = vector_file::case(VALUES, name, dialect);
        let keys = encode(value, dialect).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(keys, expected, "{name} in {dialect}");
        if keys.is_empty() {
            continue;
        }
        let decoded = Decode::new().dialect(dialect).run::<T>(&keys);
        assert_eq!(&decoded.value, value, "{name} in {dialect}");
        assert!(decoded.report.is_empty(), "{name}: {}", decoded.report);
    }
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Common {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
    #[guestinfo(key = "name", scope = "read-only")]
    name: String,
    #[guestinfo(key = "notes", scope = "read-only")]
    notes: String,
}

impl Common {
    fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Primitives {
    #[guestinfo(key = "int", scope = "read-write")]
    int: i64,
    #[guestinfo(key = "bool", scope = "read-write")]
    bool: bool,
    #[guestinfo(key = "float", scope = "read-write")]
    float: f64,
    #[guestinfo(key = "string", scope = "read-write")]
    string: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Version {
    #[guestinfo(key = "version", scope = "hidden")]
    version: String,
    #[guestinfo(key = "common", scope = "read-only")]
    common: Option<Common>,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct InsideOutside {
    #[guestinfo(key = "inside", scope = "read-write")]
    inside: String,
    #[guestinfo(key = "outside", scope = "read-only")]
    outside: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Untagged {
    A: String,
    B: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Mixed {
    A: String,
    #[guestinfo(scope = "read-write")]
    b: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Id {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Executor {
    #[guestinfo(key = "common", scope = "read-only")]
    common: Common,
    #[guestinfo(key = "sessions", scope = "hidden")]
    sessions: BTreeMap<String, Session>,
    #[guestinfo(key = "Key", scope = "hidden")]
    key: String,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Session {
    #[guestinfo(key = "common", scope = "read-only")]
    common: Common,
    #[guestinfo(key = "cmd", scope = "hidden")]
    cmd: Cmd,
    #[guestinfo(key = "tty", scope = "hidden")]
    tty: bool,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Cmd {
    #[guestinfo(scope = "hidden")]
    path: String,
    #[guestinfo(scope = "hidden")]
    args: Vec<String>,
    #[guestinfo(scope = "hidden")]
    env: Vec<String>,
    #[guestinfo(scope = "hidden")]
    dir: String,
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[test]
fn primitives() {
    let value = Primitives {
        int: 42,
        bool: true,
        float: 3.14,
        string: "Grrr".into(),
    };
    check("primitives", &value);

    one_field!(Float32, "f32", "read-only");
    check("float32", &Float32 { value: 3.14_f32 });
    one_field!(Dur, "dur", "read-only");
    check(
        "duration",
        &Dur {
            value: Duration::from_secs(90),
        },
    );
    one_field!(Time, "time", "read-only");
    let time: Timestamp = "2009-11-10T23:00:00Z".parse().expect("a time");
    check("time", &Time { value: time });
    one_field!(Ptr, "ptr", "read-only");
    check(
        "pointer to text",
        &Ptr {
            value: Some("str".to_owned()),
        },
    );
    check("no pointer", &Ptr::<Option<String>> { value: None });
}

#[test]
fn lists() {
    one_field!(IntSlice, "intslice", "read-only");
    check(
        "int slice",
        &IntSlice {
            value: vec![1, 2, 3, 4, 5],
        },
    );
    one_field!(One, "one", "read-only");
    check(
        "one",
        &One {
            value: strings(["x"]),
        },
    );
    one_field!(Bools, "bools", "read-only");
    check(
        "bools",
        &Bools {
            value: vec![true, false],
        },
    );
    one_field!(Floats, "fl", "read-only");
    check(
        "floats",
        &Floats {
            value: vec![0.0, 1.0, 0.1, 1e300],
        },
    );
    one_field!(Bytes, "b", "read-only");
    check(
        "bytes",
        &Bytes {
            value: vec![0_u8, 1, 2, 255],
        },
    );
    one_field!(Array, "arr", "read-only");
    check("array", &Array { value: [4, 5] });
    one_field!(Pipe, "pipe", "read-only");
    check(
        "pipe",
        &Pipe {
            value: strings(["a|b", "c"]),
        },
    );
    one_field!(Slice, "slice", "read-only");
    let value = vec![Common::new("0xDEADFEED", ""), Common::new("0xFACEFEED", "")];
    check("struct slice", &Slice { value });
    let value: Vec<IpAddr> = ["10.0.0.1", "2001:db8::1"]
        .map(|text| text.parse().expect("an address"))
        .to_vec();
    check("addresses", &Slice { value });
    one_field!(Nets, "nets", "read-only");
    let net: IpNet = "172.16.0.2/16".parse().expect("a network");
    check("nets", &Nets { value: vec![net] });
}

#[test]
fn maps() {
    one_field!(IntMap, "intmap", "read-only");
    let value = BTreeMap::from([("1st".to_owned(), 12345), ("2nd".to_owned(), 67890)]);
    check("int map", &IntMap { value });
    one_field!(Map, "map", "read-only");
    let value: BTreeMap<String, Common> = [
        ("Key1", Common::new("0xDEADBEEF", "beef")),
        ("Key2", Common::new("0x8BADF00D", "food")),
        ("Key3", Common::new("0xDEADF00D", "dead")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    check("struct map", &Map { value });
    let value: BTreeMap<u16, Common> = [(1, "a"), (2, "b"), (3, "c")]
        .map(|(key, id)| (key, Common::new(id, "")))
        .into();
    check("number map", &Map { value });
    one_field!(NumberSort, "mapi", "read-only");
    let value: BTreeMap<i32, String> = [(1, "a"), (10, "b"), (2, "c")]
        .map(|(key, value)| (key, value.to_owned()))
        .into();
    check("string sort", &NumberSort { value });
    one_field!(MapDot, "mapdot", "read-only");
    let value: BTreeMap<String, String> = [("k.1", "v"), ("a/b", "w")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    check("map dot", &MapDot { value });
    one_field!(MapRw, "maprw", "read-write");
    let value = BTreeMap::from([("k.1".to_owned(), "v".to_owned())]);
    check("map read-write", &MapRw { value });
    one_field!(MapHidden, "maph", "hidden");
    let value = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    check("map hidden", &MapHidden { value });
}

#[test]
fn structs() {
    one_field!(Struct, "common", "read-only");
    check(
        "struct",
        &Struct {
            value: Common::new("0xDEADBEEF", "Struct"),
        },
    );
    one_field!(Pointer, "pointer", "hidden");
    let value = Version {
        version: "0.1".into(),
        common: Some(Common::default()),
    };
    check("pointer", &Pointer { value: Some(value) });
    let value = InsideOutside {
        inside: "inside".into(),
        outside: "outside".into(),
    };
    check("inside outside", &value);
    one_field!(Nest, "nest", "read-write");
    check(
        "nest",
        &Nest {
            value: Untagged::default(),
        },
    );
    one_field!(Net, "net", "read-only");
    let net: IpNet = "127.0.0.1/8".parse().expect("a network");
    check("net", &Net { value: Some(net) });
    one_field!(Url, "url", "read-only");
    let url: GoUrl = "https://u:p@h:443/sdk?a=b".parse().expect("a URL");
    check("url", &Url { value: url });

    one_field!(ExecutorField, "executorconfig", "hidden");
    let session = Session {
        common: Common::new("SessionID", "SessionName"),
        cmd: Cmd {
            path: "/vmware".into(),
            args: strings(["/bin/imagec", "-standalone"]),
            env: strings(["PATH=/bin", "USER=imagec"]),
            dir: String::new(),
        },
        tty: true,
    };
    let value = Executor {
        sessions: BTreeMap::from([("Session1".to_owned(), session)]),
        ..Executor::default()
    };
    check("executor", &ExecutorField { value });
}

#[test]
fn non_persistent() {
    one_field!(List, "nps", "read-only", non_persistent);
    let value = vec![Mixed {
        A: "a".into(),
        b: "b".into(),
    }];
    check("non-persistent list", &List { value });
    one_field!(Struct, "common", "read-write", non_persistent);
    check(
        "non-persistent struct",
        &Struct {
            value: Id { id: "i".into() },
        },
    );
}

/// Checks that every case of the file is covered by a test above.
#[test]
fn no_case_is_forgotten() {
    let source = include_str!("vectors.rs");
    let forgotten: BTreeSet<_> = vector_file::names(VALUES)
        .filter(|name| !source.contains(&format!("\"{name}\"")))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
