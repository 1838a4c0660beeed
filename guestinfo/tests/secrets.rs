//! Sealed fields.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{Connection, Redacted};
use guestinfo::{
    Decode, Dialect, Encode, EncodeError, GuestInfo, IssueKind, SecretError, SecretKey, encode,
};

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Secrets {
    #[guestinfo(key = "text", secret)]
    text: String,
    #[guestinfo(key = "secl", scope = "read-only", secret)]
    list: Vec<String>,
    #[guestinfo(key = "secm", scope = "read-only", secret)]
    map: BTreeMap<String, String>,
    #[guestinfo(key = "both", scope = "read-write", secret, non_persistent)]
    both: Option<Inner>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Inner {
    #[guestinfo(scope = "read-only")]
    id: u32,
    plain: String,
}

fn secrets() -> Secrets {
    Secrets {
        text: "hunter2".into(),
        list: vec!["a".into(), "b".into()],
        map: BTreeMap::from([("k".into(), "v".into())]),
        both: Some(Inner {
            id: 7,
            plain: String::new(),
        }),
    }
}

#[test]
fn every_key_of_a_secret_field_is_sealed() {
    let key = SecretKey::generate();
    let keys = Encode::new(Dialect::Vic1)
        .secret_key(&key)
        .run(&secrets())
        .unwrap();
    let opened: BTreeMap<_, _> = keys
        .iter()
        .map(|(name, sealed)| (name.as_str(), key.open(sealed).unwrap()))
        .collect();
    let expected = [
        ("guestinfo.vice..both.plain@secret@non-persistent", ""),
        ("guestinfo.vice./both/id@secret@non-persistent", "7"),
        ("guestinfo.vice./secl@secret", "1"),
        ("guestinfo.vice./secl~@secret", "a|b"),
        ("guestinfo.vice./secm@secret", "k"),
        ("guestinfo.vice./secm|k@secret", "v"),
        ("guestinfo.vice./text@secret", "hunter2"),
    ];
    assert_eq!(opened, expected.map(|(k, v)| (k, v.to_owned())).into());

    let decoded = Decode::new()
        .secret_key(&key)
        .strict::<Secrets>(&keys)
        .unwrap();
    assert_eq!(decoded, secrets());
}

#[test]
fn no_key_no_clear_text() {
    let error = encode(&secrets(), Dialect::Vic1).unwrap_err();
    assert!(matches!(error, EncodeError::NoSecretKey { .. }));
    // 0.4 has no secret fields.
    assert!(encode(&secrets(), Dialect::Vic04).unwrap().is_empty());
}

#[test]
fn wrong_keys_and_broken_boxes_are_reported() {
    let (right, wrong) = (SecretKey::generate(), SecretKey::generate());
    let keys = Encode::new(Dialect::Vic1)
        .secret_key(&right)
        .run(&secrets())
        .unwrap();
    for decode in [Decode::new(), Decode::new().secret_key(&wrong)] {
        let decoded = decode.run::<Secrets>(&keys);
        // The optional struct is `Some`, because some of its keys exist.
        let unopened = Secrets {
            both: Some(Inner::default()),
            ..Secrets::default()
        };
        assert_eq!(decoded.value, unopened);
        assert!(decoded.report.of(IssueKind::Sealed).count() >= 4);
        assert!(!decoded.report.to_string().contains("hunter2"));
        assert!(decode.strict::<Secrets>(&keys).is_err());
    }

    assert_eq!(right.open(""), Err(SecretError::Truncated));
    assert_eq!(right.open("AAAA"), Err(SecretError::Truncated));
    assert_eq!(right.open("!"), Err(SecretError::Base64));
    assert_eq!(right.open("clear text"), Err(SecretError::Base64));
    let sealed = right.seal("x").unwrap();
    assert_eq!(wrong.open(&sealed), Err(SecretError::WrongKey));
    for cut in 0..sealed.len() {
        assert!(right.open(&sealed[..cut]).is_err(), "{cut}");
    }
}

/// A box made by libsodium's `crypto_secretbox_easy`: the test vector of the cipher,
/// preceded by the nonce.
#[test]
fn the_box_is_xsalsa20_poly1305() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let key = bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    let sealed = "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce\
                  48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972\
                  71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae\
                  90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3\
                  7973f622a43d14a6599b1f654cb45a74e355a5";
    let stored = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes(&format!("{nonce}{sealed}")))
    };
    let key = SecretKey::from_bytes(key.try_into().unwrap());
    // The vector can be opened, but its text is not UTF-8, which is reported.
    assert_eq!(key.open(&stored), Err(SecretError::NotText));
}

#[test]
fn keys_have_a_stored_form_and_no_printed_one() {
    let key = SecretKey::generate();
    let stored = key.to_base64();
    let again = SecretKey::from_base64(&stored).unwrap();
    assert_eq!(again.open(&key.seal("x").unwrap()).unwrap(), "x");
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
    for text in ["", "AAAA", "!", "<nil>"] {
        assert_eq!(SecretKey::from_base64(text).unwrap_err(), SecretError::Key);
    }
}

#[test]
fn passwords_are_not_printed() {
    let connection = Connection {
        target: guestinfo::vic::Target("https://root:hunter2@esx/sdk".into()),
        token: Some(Redacted("hunter2".into())),
        ..Connection::default()
    };
    assert!(!format!("{connection:?}").contains("hunter2"));
    let key = SecretKey::generate();
    let codec = Encode::new(Dialect::Vic1).secret_key(&key);
    let keys = codec.run(&connection).unwrap();
    assert!(!keys["guestinfo.vice./connect/token@secret"].contains("hunter2"));
    let changes = codec.update(&BTreeMap::<String, String>::new(), &connection);
    assert!(!format!("{:?}", changes.unwrap()).contains("hunter2"));
}

/// Sealed text has no placeholder for empty text, so no text is mistaken for it.
#[test]
fn sealed_text_is_read_back_unchanged() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Texts {
        #[guestinfo(secret)]
        empty: String,
        #[guestinfo(secret)]
        nil: String,
        #[guestinfo(secret)]
        control: String,
        #[guestinfo(secret)]
        list: Vec<String>,
        #[guestinfo(secret)]
        map: Option<BTreeMap<String, String>>,
    }
    let value = Texts {
        empty: String::new(),
        nil: "<nil>".into(),
        control: "\u{1}\u{ffff}".into(),
        list: vec!["<nil>".into()],
        map: Some(BTreeMap::new()),
    };
    let key = SecretKey::generate();
    let codec = Encode::new(Dialect::Vic1).secret_key(&key);
    let keys = codec.run(&value).unwrap();
    assert_eq!(key.open(&keys["guestinfo.vice./empty@secret"]).unwrap(), "");
    assert_eq!(
        key.open(&keys["guestinfo.vice./nil@secret"]).unwrap(),
        "<nil>"
    );
    let decoded = Decode::new().secret_key(&key).strict::<Texts>(&keys);
    assert_eq!(decoded.unwrap(), value);
    assert!(codec.update(&keys, &value).unwrap().is_empty());
}
