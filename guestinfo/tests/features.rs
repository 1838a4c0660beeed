//! Tests of the optional features.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "json", feature = "serde", feature = "url"))]

use std::collections::BTreeMap;

use guestinfo::{Decode, Dialect, EncodeError, GuestInfo, IssueKind, Key, Pattern, encode};
use serde::{Deserialize, Serialize};
use url::Url;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Meta {
    tags: Vec<String>,
}

mod hex {
    pub(super) fn to_text(value: &u32) -> Result<String, &'static str> {
        Ok(format!("{value:x}"))
    }

    pub(super) fn from_text(text: &str) -> Option<u32> {
        u32::from_str_radix(text, 16).ok()
    }
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Value {
    #[guestinfo(key = "meta", scope = "hidden", with = "json")]
    meta: Meta,
    #[guestinfo(key = "maybe", scope = "hidden", with = "json")]
    maybe: Option<Meta>,
    #[guestinfo(key = "hex", scope = "hidden", with = "hex")]
    hex: u32,
    #[guestinfo(key = "url", scope = "hidden")]
    url: Option<Url>,
    #[guestinfo(skip)]
    skipped: u8,
}

#[test]
fn modules_and_urls() {
    let value = Value {
        meta: Meta {
            tags: vec!["a|b".into()],
        },
        maybe: None,
        hex: 255,
        url: Some(Url::parse("https://h:8443/a%20b?c=d#e").unwrap()),
        skipped: 0,
    };
    let keys = encode(&value, Dialect::Vic1).unwrap();
    assert_eq!(keys["meta"], r#"{"tags":["a|b"]}"#);
    assert_eq!(keys["hex"], "ff");
    assert_eq!(keys["url/Host"], "h:8443");
    assert_eq!(keys["url/Path"], "/a b");
    assert_eq!(keys["url/RawPath"], "<nil>");
    assert!(!keys.contains_key("maybe"));
    assert_eq!(Decode::new().strict::<Value>(&keys).unwrap(), value);

    let broken = BTreeMap::from([("meta".to_owned(), "{".to_owned())]);
    let decoded = Decode::new().run::<Value>(&broken);
    assert_eq!(decoded.report.of(IssueKind::Malformed).count(), 1);
    assert_eq!(decoded.report.of(IssueKind::Missing).count(), 1);
}

#[test]
fn passwords_of_urls_are_refused() {
    let value = Value {
        url: Some(Url::parse("https://u:hunter2@h/").unwrap()),
        ..Value::default()
    };
    let error = encode(&value, Dialect::Vic1).unwrap_err();
    assert!(matches!(&error, EncodeError::Unstorable { key, .. } if key == "url"));
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn keys_are_text_to_serde() {
    let key: Key = serde_json::from_str("\"guestinfo./x\"").unwrap();
    assert_eq!(serde_json::to_string(&key).unwrap(), "\"guestinfo./x\"");
    assert!(serde_json::from_str::<Key>("\"\"").is_err());
    let pattern: Pattern = serde_json::from_str("\"a|*/b\"").unwrap();
    assert_eq!(serde_json::to_string(&pattern).unwrap(), "\"a|*/b\"");
}

#[test]
fn fields_may_have_any_name() {
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Names {
        decoder: String,
        encoder: Option<String>,
        checkpoint: u8,
        dialect: u8,
        describer: u8,
        value_0: u8,
        r#type: u8,
    }
    let value = Names {
        decoder: "d".into(),
        encoder: Some("e".into()),
        checkpoint: 1,
        dialect: 2,
        describer: 3,
        value_0: 4,
        r#type: 5,
    };
    let keys = encode(&value, Dialect::Vic1).unwrap();
    assert_eq!(keys["type"], "5");
    assert_eq!(Decode::new().strict::<Names>(&keys).unwrap(), value);
}
