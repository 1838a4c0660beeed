use guestinfo::GuestInfo;

#[derive(Default, GuestInfo)]
struct Leaves {
    #[guestinfo(key = "")]
    a: String,
    #[guestinfo(key = "a b")]
    b: String,
    #[guestinfo(key = "a|b")]
    c: String,
    #[guestinfo(key = "guestinfo.x")]
    d: String,
    #[guestinfo(key = "/x")]
    e: String,
}

#[derive(Default, GuestInfo)]
struct Twice {
    #[guestinfo(key = "name")]
    a: String,
    #[guestinfo(key = "Name")]
    b: String,
}

/// Different keys in each dialect are allowed.
#[derive(Default, GuestInfo)]
struct Swapped {
    #[guestinfo(vic04(key = "ip"), vic1(key = "assigned"))]
    a: String,
    #[guestinfo(vic04(key = "staticip"), vic1(key = "ip"))]
    b: String,
}

fn main() {}
