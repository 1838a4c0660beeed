//! URLs, one key per part.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::GuestInfo;

/// A URL as Go represents it and VIC stores it: one key per part, never with user
/// information.
///
/// Parts can contain any text, even text that is not allowed in a URL: VIC stores
/// datastore paths such as `[datastore1] volumes` in [`path`](Self::path). With the
/// feature `url`, `url::Url` fields are stored in the same form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, GuestInfo)]
pub struct GoUrl {
    /// The scheme, without the colon.
    #[guestinfo(key = "Scheme")]
    pub scheme: String,
    /// The part after the scheme, if no slash follows the scheme, still encoded.
    #[guestinfo(key = "Opaque", default)]
    pub opaque: String,
    /// The host and port.
    #[guestinfo(key = "Host", default)]
    pub host: String,
    /// The path, decoded.
    #[guestinfo(key = "Path", default)]
    pub path: String,
    /// The path as written, if it differs from the default encoding of
    /// [`path`](Self::path).
    #[guestinfo(key = "RawPath", default)]
    pub raw_path: String,
    /// Whether there is a question mark without a query. Written by Go 1.7 and later.
    #[guestinfo(vic1(key = "ForceQuery"), default)]
    pub force_query: bool,
    /// The query, still encoded, without the question mark.
    #[guestinfo(key = "RawQuery", default)]
    pub raw_query: String,
    /// The fragment, decoded.
    #[guestinfo(key = "Fragment", default)]
    pub fragment: String,
    /// The fragment as written. Written by Go 1.15 and later.
    #[guestinfo(vic1(key = "RawFragment"))]
    pub raw_fragment: Option<String>,
    /// Whether no slashes precede an absent host. Written by Go 1.19 and later.
    #[guestinfo(vic1(key = "OmitHost"))]
    pub omit_host: Option<bool>,
}

/// Parses a URL into its parts. User information is dropped. Any text is accepted: text
/// that is not a URL becomes the path.
impl FromStr for GoUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut url = Self::default();
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        url.fragment = percent_decode(fragment);
        let (text, query) = match text.split_once('?') {
            Some((text, query)) => (text, Some(query)),
            None => (text, None),
        };
        url.force_query = query == Some("");
        url.raw_query = query.unwrap_or_default().to_owned();

        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => ("", text),
        };
        url.scheme = scheme.to_ascii_lowercase();
        let path = if let Some(rest) = rest.strip_prefix("//") {
            let (authority, path) = match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            url.host = host.to_owned();
            path
        } else if scheme.is_empty() || rest.starts_with('/') {
            rest
        } else {
            url.opaque = rest.to_owned();
            ""
        };
        url.path = percent_decode(path);
        if percent_encode(&url.path) != path {
            url.raw_path = path.to_owned();
        }
        Ok(url)
    }
}

impl fmt::Display for GoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if !self.opaque.is_empty() {
            f.write_str(&self.opaque)?;
        } else {
            if !self.host.is_empty() || (!self.scheme.is_empty() && !self.path.is_empty()) {
                write!(f, "//{}", self.host)?;
                if !self.path.is_empty() && !self.path.starts_with('/') {
                    f.write_str("/")?;
                }
            }
            // The raw path is used only if it is an encoding of this path.
            if !self.raw_path.is_empty() && percent_decode(&self.raw_path) == self.path {
                f.write_str(&self.raw_path)?;
            } else {
                f.write_str(&percent_encode(&self.path))?;
            }
        }
        if self.force_query || !self.raw_query.is_empty() {
            write!(f, "?{}", self.raw_query)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", percent_encode(&self.fragment))?;
        }
        Ok(())
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match escaped {
            Some(byte) => {
                bytes.push(byte);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    // If the decoded bytes are not UTF-8, the text stays encoded.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
