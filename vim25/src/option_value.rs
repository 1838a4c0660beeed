//! Text of option values, the items of `extraConfig`.

use crate::any::Any;
use crate::node::Node;
use crate::poly::Poly;
use crate::types::OptionValue;

impl OptionValue {
    /// Creates an option from a key and a text value.
    #[must_use]
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: Some(Any::from(text.into())),
        }
    }

    /// Returns the value as text, whatever scalar type the server sent: numbers
    /// in decimal, booleans as `true` and `false`. `None` for a value without a text form.
    ///
    /// ```
    /// use vim25::{Any, types::OptionValue};
    ///
    /// let option = OptionValue { key: "numa.vcpu".into(), value: Some(Any::new(&8i32)) };
    /// assert_eq!(option.text().as_deref(), Some("8"));
    /// ```
    #[must_use]
    pub fn text(&self) -> Option<String> {
        scalar_text(self.value.as_ref()?.node())
    }
}

/// For the items of `extraConfig` and of advanced options.
impl Poly<OptionValue> {
    /// Returns the key; empty when the server sent none.
    #[must_use]
    pub fn key(&self) -> &str {
        self.node()
            .get("key")
            .and_then(|key| key.as_str())
            .unwrap_or("")
    }

    /// Returns the value as text like [`OptionValue::text`], without converting the whole object.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        scalar_text(self.node().get("value")?)
    }
}

fn scalar_text(node: Node<'_>) -> Option<String> {
    if let Some(text) = node.as_str() {
        return Some(text.to_owned());
    }
    if let Some(number) = node.as_i64() {
        return Some(number.to_string());
    }
    if let Some(flag) = node.as_bool() {
        return Some(flag.to_string());
    }
    node.as_f64().map(|number| number.to_string())
}
