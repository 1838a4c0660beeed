//! Checks that any keys decode, and that the result can be encoded and read back.
#![no_main]

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, VirtualContainerHostConfig};
use guestinfo::{Decode, Dialect, Encode, GuestInfo, SecretKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The input consists of lines `key = value`, as a person would write them.
    let text = String::from_utf8_lossy(data);
    let keys: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    for dialect in Dialect::ALL {
        check::<ExecutorConfig>(&keys, dialect);
        check::<VirtualContainerHostConfig>(&keys, dialect);
    }
});

fn check<T: GuestInfo + Default + PartialEq + std::fmt::Debug>(
    keys: &BTreeMap<String, String>,
    dialect: Dialect,
) {
    let secret = SecretKey::from_bytes([7; 32]);
    let decode = Decode::new().dialect(dialect).secret_key(&secret);
    let codec = Encode::new(dialect).secret_key(&secret);
    let value = decode.run::<T>(keys).value;
    let _ = codec.update(keys, &value);
    // Not everything that was read can be written, but everything written reads back.
    if let Ok(written) = codec.run(&value) {
        let again = decode.run::<T>(&written);
        assert_eq!(again.value, value, "{written:?}");
    }
}
