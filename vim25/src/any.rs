//! A value of any type.

use std::fmt;
use std::sync::Arc;

use crate::builder::Builder;
use crate::document::Document;
use crate::error::{ConvertError, EncodeError};
use crate::node::Node;
use crate::object;
use crate::slot::{Lenient, Loading, Slot};
use crate::table::FieldKind;

/// A value of any type: `anyType` in the schema, such as the value of
/// a property or of an [`OptionValue`](crate::types::OptionValue).
///
/// It shares the document it came from: cloning is cheap, but the whole decoded
/// message stays in memory as long as one value from it lives, unless the value is
/// [detached](Self::detach).
///
/// ```
/// use vim25::{Any, types::{OptionValue, VirtualMachinePowerState}};
///
/// let state = Any::new(&VirtualMachinePowerState::PoweredOn);
/// assert_eq!(state.get::<VirtualMachinePowerState>()?, VirtualMachinePowerState::PoweredOn);
/// let list = Any::new(&vec![OptionValue::new("a", "1"), OptionValue::new("b", "2")]);
/// assert_eq!(list.type_name(), "ArrayOfOptionValue");
/// assert_eq!(list.get::<Vec<OptionValue>>()?.len(), 2);
/// assert!(list.get::<String>().is_err());
/// # Ok::<(), vim25::ConvertError>(())
/// ```
#[derive(Clone)]
pub struct Any {
    doc: Arc<Document>,
    at: u32,
}

impl Any {
    /// Wraps a typed value.
    ///
    /// A value that cannot be sent (an unset enum, an empty reference) makes encoding
    /// fail with its path; see [`check`](Self::check).
    #[must_use]
    pub fn new<T: Slot>(value: &T) -> Self {
        Self {
            doc: object::document(value),
            at: 0,
        }
    }

    /// Wraps a value of a document, which is shared.
    #[must_use]
    pub fn of(node: Node<'_>) -> Self {
        Self {
            doc: Arc::clone(node.document()),
            at: node.index(),
        }
    }

    /// Returns a view of the value.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        Node::new(&self.doc, self.at)
    }

    /// Converts to a typed value: `T` exactly or, for structs, the `T` part of a derived type. All
    /// of it must be complete; see [`get_lenient`](Self::get_lenient).
    ///
    /// Each call converts again: convert once and keep the result.
    ///
    /// # Errors
    /// [`ConvertError`] when the value is of another type or incomplete.
    pub fn get<T: Slot>(&self) -> Result<T, ConvertError> {
        self.node().to()
    }

    /// Converts to a typed value, leaving out incomplete values inside it: list items
    /// and optional fields that lack a required field, as some servers omit them. The
    /// document still contains them.
    ///
    /// ```
    /// use vim25::{Any, types::OptionDef};
    /// # #[cfg(feature = "json")] {
    /// let options = Any::from_json(
    ///     r#"{"_typeName":"ArrayOfOptionDef","_value":[{"key":"a","label":"A","summary":""}]}"#,
    /// ).unwrap();
    /// assert!(options.get::<Vec<OptionDef>>().is_err());
    /// let options = options.get_lenient::<Vec<OptionDef>>().unwrap();
    /// assert!(options.value.is_empty());
    /// assert_eq!(options.left_out[0].to_string(), "`[0]` lacks the required field `optionType`");
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConvertError`] when the value is of another type, or incomplete itself.
    pub fn get_lenient<T: Slot>(&self) -> Result<Lenient<T>, ConvertError> {
        self.node().to_lenient()
    }

    /// Returns the value at a property path inside this one, as reading a property with that
    /// path would return it: a list field is one list value, even when it is
    /// empty. `None` where nothing is set. The path has the syntax of [`Node::path`].
    ///
    /// ```
    /// use vim25::{Any, types::{OptionValue, VirtualMachineConfigSpec}};
    ///
    /// let mut spec = VirtualMachineConfigSpec::default();
    /// spec.extra_config.push(OptionValue::new("a", "1").into());
    /// let value = Any::new(&spec);
    /// assert_eq!(value.at("extraConfig").map(|list| list.type_name()).as_deref(), Some("ArrayOfOptionValue"));
    /// assert_eq!(value.at(r#"extraConfig["a"].value"#), Some("1".into()));
    /// assert_eq!(value.at("name"), None);
    /// ```
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Self> {
        if path.is_empty() {
            return Some(self.clone());
        }
        crate::path::value(self.node(), path)
    }

    /// Returns the wire name of the type: `string`, `VirtualDisk`, `ArrayOfOptionValue`, …
    #[must_use]
    pub fn type_name(&self) -> String {
        self.node().type_name()
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.node().is_nil()
    }

    /// Checks whether the value can be sent.
    ///
    /// # Errors
    /// [`EncodeError`] with the path of the field that cannot be sent.
    pub fn check(&self) -> Result<(), EncodeError> {
        match &self.doc.problem {
            Some(problem) => Err((**problem).clone()),
            None => Ok(()),
        }
    }

    /// Returns the memory that the value and the message it came from occupy, in bytes, for
    /// accounting.
    #[must_use]
    pub fn size(&self) -> usize {
        self.doc.size()
    }

    /// Frees memory that was reserved while the value was converted. Worthwhile for values that are
    /// kept for long. A no-op if others share the document.
    ///
    /// ```
    /// use vim25::{Any, types::VirtualMachineConfigInfo};
    ///
    /// let mut value = Any::new(&VirtualMachineConfigInfo::default());
    /// let before = value.size();
    /// value.shrink_to_fit();
    /// assert!(value.size() <= before);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        if let Some(doc) = Arc::get_mut(&mut self.doc) {
            doc.cells.shrink_to_fit();
            doc.text.shrink_to_fit();
        }
    }

    /// Returns a copy that holds only this value and releases the message it came from.
    #[must_use]
    pub fn detach(&self) -> Self {
        if self.at == 0 {
            return self.clone();
        }
        let mut out = Builder::default();
        out.copy(0, self.node());
        let mut doc = out.finish();
        // Detached values are kept for long.
        doc.cells.shrink_to_fit();
        doc.text.shrink_to_fit();
        Self {
            doc: Arc::new(doc),
            at: 0,
        }
    }
}

impl Default for Any {
    /// Returns the unset value; sending it is an error.
    fn default() -> Self {
        Self {
            doc: Document::unset(),
            at: 0,
        }
    }
}

impl From<&str> for Any {
    fn from(text: &str) -> Self {
        Self::new(&text.to_owned())
    }
}

impl From<String> for Any {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl PartialEq for Any {
    fn eq(&self, other: &Self) -> bool {
        self.node() == other.node()
    }
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node().fmt(f)
    }
}

impl Slot for Any {
    const KIND: FieldKind = FieldKind::Any;

    #[inline]
    fn load(&mut self, node: Node<'_>, _: &mut Loading) {
        *self = Self::of(node);
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.copy(field, self.node());
    }
}
