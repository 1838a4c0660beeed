use std::collections::BTreeMap;
use std::net::IpAddr;

use guestinfo::GuestInfo;

struct Opaque;

#[derive(GuestInfo)]
struct NoStoredForm {
    a: Option<Opaque>,
}

#[derive(GuestInfo)]
struct NeitherFormNorDefault {
    a: Opaque,
}

#[derive(GuestInfo)]
struct InAList {
    #[guestinfo(default)]
    a: Vec<Opaque>,
}

#[derive(GuestInfo)]
struct Flattened {
    #[guestinfo(flatten)]
    a: Opaque,
}

#[derive(GuestInfo)]
struct Transparent(Opaque);

#[derive(GuestInfo)]
struct NoDefault {
    a: IpAddr,
}

#[derive(GuestInfo)]
struct FloatKeys {
    a: BTreeMap<[u8; 2], String>,
}

#[derive(GuestInfo)]
struct Two(String, String);

#[derive(GuestInfo)]
struct Unit;

#[derive(GuestInfo)]
union Union {
    a: u8,
}

#[derive(GuestInfo)]
struct One(#[guestinfo(key = "a")] String);

fn main() {}
