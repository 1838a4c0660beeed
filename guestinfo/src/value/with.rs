//! Modules for the attribute `with`.

/// `with = "json"`: a `serde` type as JSON text.
#[cfg(feature = "json")]
pub mod json {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    /// The JSON text of a value.
    ///
    /// # Errors
    /// When the type has no JSON form: a map whose keys are no text.
    pub fn to_text<T: Serialize>(value: &T) -> Result<String, &'static str> {
        serde_json::to_string(value).map_err(|_| "the value has no JSON form")
    }

    /// The value of a JSON text.
    #[must_use]
    pub fn from_text<T: DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
}
