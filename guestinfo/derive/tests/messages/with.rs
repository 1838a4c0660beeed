use guestinfo::GuestInfo;

mod text_of_bytes {
    pub fn to_text(value: &u16) -> Vec<u8> {
        value.to_string().into()
    }

    pub fn from_text(text: &str) -> Option<u16> {
        text.parse().ok()
    }
}

mod result {
    pub fn to_text(value: &u16) -> String {
        value.to_string()
    }

    pub fn from_text(text: &str) -> Result<u16, std::num::ParseIntError> {
        text.parse()
    }
}

mod half {
    pub fn to_text(value: &u16) -> String {
        value.to_string()
    }
}

#[derive(Default, GuestInfo)]
struct ToTextReturnsNoText {
    #[guestinfo(with = "text_of_bytes")]
    a: u16,
}

#[derive(Default, GuestInfo)]
struct FromTextReturnsResult {
    #[guestinfo(with = "result")]
    a: u16,
}

#[derive(Default, GuestInfo)]
struct NoFromText {
    #[guestinfo(with = "half")]
    a: u16,
}

#[derive(Default, GuestInfo)]
struct AnotherType {
    #[guestinfo(with = "result")]
    a: u32,
}

fn main() {}
