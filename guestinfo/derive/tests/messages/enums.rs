use guestinfo::GuestInfo;

#[derive(GuestInfo)]
enum Holds {
    A(u8),
}

#[derive(GuestInfo)]
enum Others {
    #[guestinfo(other)]
    A(String),
    #[guestinfo(other)]
    B(String),
}

#[derive(GuestInfo)]
enum OtherHoldsNothing {
    #[guestinfo(other)]
    A,
}

#[derive(GuestInfo)]
enum SameText {
    #[guestinfo(text = "a")]
    A,
    #[guestinfo(text = "a")]
    B,
}

#[derive(GuestInfo)]
enum UnknownWord {
    #[guestinfo(key = "a")]
    A,
}

#[derive(GuestInfo)]
#[guestinfo(text = "a")]
enum OnTheEnum {
    A,
}

fn main() {}
