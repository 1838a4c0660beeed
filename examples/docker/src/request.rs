//! Parsed requests, with bounds on their size.

use std::borrow::Cow;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Result};

/// The minor number of the API's version, and the oldest one that is supported.
pub(crate) const API_VERSION: u32 = 50;
pub(crate) const API_VERSION_MIN: u32 = 24;
/// The largest accepted JSON body in bytes.
const JSON_MAX: usize = 4 << 20;

/// A parsed request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path's segments, decoded, without the API version.
    pub(crate) path: Vec<String>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    request: Request<Incoming>,
}

impl Call {
    /// Parses a request, and refuses unsupported versions of the API.
    pub(crate) fn new(request: Request<Incoming>) -> Result<Self> {
        let mut path: Vec<String> = request
            .uri()
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| decode(segment).into_owned())
            .collect();
        if let Some(minor) = path.first().and_then(|first| first.strip_prefix("v1.")) {
            let minor: u32 = minor
                .parse()
                .map_err(|_| ApiError::bad_request("the API version is not a number"))?;
            if minor > API_VERSION {
                return Err(ApiError::bad_request(format!(
                    "client version 1.{minor} is too new. Maximum supported API version is \
                     1.{API_VERSION}"
                )));
            }
            if minor < API_VERSION_MIN {
                return Err(ApiError::bad_request(format!(
                    "client version 1.{minor} is too old. Minimum supported API version is \
                     1.{API_VERSION_MIN}, please upgrade your client to a newer version"
                )));
            }
            path.remove(0);
        }
        Ok(Self {
            method: request.method().clone(),
            query: Query::parse(request.uri().query().unwrap_or_default()),
            headers: request.headers().clone(),
            path,
            request,
        })
    }

    /// Parses the body as JSON; an empty body is an empty object.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let body = Limited::new(self.request.into_body(), JSON_MAX);
        let bytes = body.collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the request's body is larger than {JSON_MAX} bytes"),
                )
            } else {
                ApiError::bad_request(format!("the request's body cannot be read: {error}"))
            }
        })?;
        let bytes = bytes.to_bytes();
        let json: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(json)
            .map_err(|error| ApiError::bad_request(format!("invalid JSON: {error}")))
    }

    /// Reads and discards the body, up to a bound.
    pub(crate) async fn discard(self) {
        let _ = Limited::new(self.request.into_body(), JSON_MAX)
            .collect()
            .await;
    }

    /// Returns the body, to be streamed.
    pub(crate) fn body(self) -> Incoming {
        self.request.into_body()
    }

    /// Returns the connection, available once the response has switched protocols.
    pub(crate) fn upgrade(self) -> hyper::upgrade::OnUpgrade {
        hyper::upgrade::on(self.request)
    }
}

/// The parameters of a URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// Returns a parameter, if it is present and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns whether a parameter is present and true by the engine's rules.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        match self.all(name).next() {
            None => default,
            Some(value) => !matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "no" | "false" | "none"
            ),
        }
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    ApiError::bad_request(format!("{value:?} is not a number for {name}"))
                })
            })
            .transpose()
    }

    /// Parses the `filters` parameter.
    pub(crate) fn filters(&self) -> Result<Filters> {
        Filters::parse(self.get("filters").unwrap_or("{}"))
    }
}

/// Filters of a list: their names and accepted values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters(std::collections::BTreeMap<String, Vec<String>>);

impl Filters {
    /// Parses both forms: `{"status":["running"]}`, and the older `{"status":{"running":true}}`.
    fn parse(text: &str) -> Result<Self> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Values {
            List(Vec<String>),
            Set(std::collections::BTreeMap<String, bool>),
        }
        let parsed: std::collections::BTreeMap<String, Values> = serde_json::from_str(text)
            .map_err(|error| ApiError::bad_request(format!("invalid filter: {error}")))?;
        let filters = parsed.into_iter().map(|(name, values)| {
            let values = match values {
                Values::List(list) => list,
                Values::Set(set) => set
                    .into_iter()
                    .filter_map(|(value, wanted)| wanted.then_some(value))
                    .collect(),
            };
            (name, values)
        });
        Ok(Self(filters.collect()))
    }

    /// Refuses unknown filters: if one were ignored, too much would be listed or deleted.
    pub(crate) fn only(&self, known: &[&str]) -> Result<&Self> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(ApiError::bad_request(format!("invalid filter '{name}'"))),
            None => Ok(self),
        }
    }

    /// Returns the values of a filter; empty if it is not given.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns whether a filter is not given, or one of its values matches.
    pub(crate) fn fits(&self, name: &str, test: impl Fn(&str) -> bool) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|value| test(value))
    }

    /// Returns whether every `label` filter (`name` or `name=value`) matches, and no `label!`
    /// filter.
    pub(crate) fn fits_labels(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|label| label == value),
            None => labels.contains_key(wanted),
        };
        self.values("label").iter().all(has) && !self.values("label!").iter().any(has)
    }

    /// Returns the filters that all prune commands have: labels and age. Refuses filters that are
    /// neither these nor in `own`.
    pub(crate) fn prune(&self, own: &[&str]) -> Result<Prune<'_>> {
        self.only(&[own, &["label", "label!", "until"]].concat())?;
        let until = match self.values("until") {
            [] => None,
            [until] => Some(crate::time::parse(until)?),
            _ => {
                return Err(ApiError::bad_request(
                    "more than one until filter specified",
                ));
            }
        };
        Ok(Prune {
            filters: self,
            until,
        })
    }
}

/// The filters of a prune command.
#[derive(Debug)]
pub(crate) struct Prune<'a> {
    filters: &'a Filters,
    until: Option<Timestamp>,
}

impl Prune<'_> {
    /// Returns whether an object with these labels and this time of creation is to be removed. An
    /// object without a time of creation never matches a filter by age.
    pub(crate) fn fits(
        &self,
        labels: &std::collections::BTreeMap<String, String>,
        created: Option<Timestamp>,
    ) -> bool {
        self.filters.fits_labels(labels)
            && self
                .until
                .is_none_or(|until| created.is_some_and(|created| created < until))
    }
}

/// Decodes `%xx` escapes.
fn decode(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn both_forms_of_filters_are_read_and_unknown_ones_refused() {
        let list = Filters::parse(r#"{"status":["running"]}"#).unwrap();
        let set = Filters::parse(r#"{"status":{"running":true,"exited":false}}"#).unwrap();
        assert_eq!(list, set);
        assert!(list.fits("status", |value| value == "running"));
        assert!(list.fits("name", |_| false));
        assert!(list.only(&["status"]).is_ok());
        let error = list.only(&["name"]).unwrap_err();
        assert_eq!(error.message, "invalid filter 'status'");
        assert!(Filters::parse("[]").is_err());
    }

    #[test]
    fn a_prune_looks_at_labels_and_age() {
        let labels = [("keep".to_owned(), "yes".to_owned())].into();
        let fits = |text: &str, created: Option<&str>| {
            let filters = Filters::parse(text).unwrap();
            let created = created.map(|time| time.parse().unwrap());
            filters.prune(&["dangling"]).unwrap().fits(&labels, created)
        };
        let then = Some("2026-11-25T20:00:00Z");
        assert!(fits("{}", None));
        assert!(fits(r#"{"label":["keep"]}"#, then));
        assert!(!fits(r#"{"label!":["keep=yes"]}"#, then));
        assert!(fits(r#"{"label!":["keep=no"]}"#, then));
        assert!(fits(r#"{"until":["2026-11-25T20:00:01Z"]}"#, then));
        assert!(!fits(r#"{"until":["2026-11-25T20:00:00Z"]}"#, then));
        assert!(!fits(r#"{"until":["2026-11-25T20:00:00Z"]}"#, None));
        for refused in [
            r#"{"name":["a"]}"#,
            r#"{"until":["1h","2h"]}"#,
            r#"{"until":["x"]}"#,
        ] {
            assert!(
                Filters::parse(refused).unwrap().prune(&[]).is_err(),
                "{refused}"
            );
        }
    }

    #[test]
    fn flags_are_read_as_the_engine_reads_them() {
        let query = Query::parse("a=1&b=0&c=False&d=&e=yes");
        let flags = ["a", "b", "c", "d", "e", "f"].map(|name| query.flag(name));
        assert_eq!(flags, [true, false, false, false, true, false]);
    }

    #[test]
    fn percent_signs_are_decoded_and_broken_ones_kept() {
        assert_eq!(decode("a%2Fb%3A1%zz%"), "a/b:1%zz%");
    }
}
