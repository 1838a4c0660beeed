//! Fields of type `url::Url`.

use url::Url;

use crate::codec::{Decoder, Describer, Encoder, GuestInfo};
use crate::value::GoUrl;

/// Stored as [`GoUrl`]. User information has no stored form and is an error: a password
/// would be stored in the clear, where every process of the guest can read it.
impl GuestInfo for Url {
    fn encode(&self, encoder: &mut Encoder) {
        if !self.username().is_empty() || self.password().is_some() {
            return encoder.unstorable("the user information of a URL is never stored");
        }
        GoUrl::from(self).encode(encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let url = GoUrl::decode(decoder)?.to_string();
        let url = Self::parse(&url).ok();
        if url.is_none() {
            decoder.malformed("the parts do not form a URL");
        }
        url
    }

    fn describe(describer: &mut Describer) {
        GoUrl::describe(describer);
    }
}

/// Drops user information.
impl From<&Url> for GoUrl {
    fn from(url: &Url) -> Self {
        // Parsing a `GoUrl` accepts any text.
        url.as_str().parse().unwrap_or_default()
    }
}
