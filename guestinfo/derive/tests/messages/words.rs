use guestinfo::GuestInfo;

#[derive(Default, GuestInfo)]
struct UnknownWord {
    #[guestinfo(name = "x")]
    a: String,
}

#[derive(Default, GuestInfo)]
struct UnknownScope {
    #[guestinfo(scope = "readonly")]
    a: String,
}

#[derive(Default, GuestInfo)]
struct UnknownWordOfDialect {
    #[guestinfo(vic1(default))]
    a: String,
}

#[derive(Default, GuestInfo)]
struct SkipAndKey {
    #[guestinfo(skip, key = "a")]
    a: String,
}

#[derive(Default, GuestInfo)]
struct FlattenAndScope {
    #[guestinfo(flatten, scope = "hidden")]
    a: Skipped,
}

#[derive(Default, GuestInfo)]
struct Skipped {
    #[guestinfo(skip, flatten)]
    a: String,
}

#[derive(Default, GuestInfo)]
struct HiddenForOnePowerCycle {
    #[guestinfo(scope = "hidden", non_persistent)]
    a: String,
}

#[derive(Default, GuestInfo)]
struct NonPersistentAlone {
    #[guestinfo(non_persistent)]
    a: String,
}

#[derive(Default, GuestInfo)]
struct With {
    #[guestinfo(with = "not a path")]
    a: String,
}

#[derive(Default, GuestInfo)]
#[guestinfo(key = "a")]
struct OnTheStruct {
    a: String,
}

fn main() {}
