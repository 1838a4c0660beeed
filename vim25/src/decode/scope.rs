//! Namespace prefixes and what they stand for.
//!
//! Namespaces matter to this decoder in two places: which attribute is
//! `xsi:type`, and whether the type it names is one of ours. Servers and clients
//! choose their own prefixes, also deep inside a message, so bindings are kept per
//! depth. They change only at elements with an `xmlns` attribute.

use crate::soap::{ENCODING_NAMESPACE, ENVELOPE_NAMESPACE, XSD_NAMESPACE, XSI_NAMESPACE};
use crate::table;

/// The namespaces of SOAP and XML Schema, whose type names are treated as ours.
const COMMON: [&str; 3] = [XSD_NAMESPACE, ENVELOPE_NAMESPACE, ENCODING_NAMESPACE];

/// The meaning of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// The XML Schema instance namespace.
    Instance,
    /// A namespace of SOAP or XML Schema, or one of ours that has no tables.
    Common,
    /// One of our namespaces that was compiled in.
    Ours(&'static str),
    /// Any other namespace: its types are not ours, even if they have the same name.
    Foreign(Box<str>),
}

/// A prefix whose meaning changed; the empty prefix is the default namespace.
struct Binding {
    depth: usize,
    prefix: Box<str>,
    meaning: Meaning,
}

/// The bindings in force.
#[derive(Default)]
pub(crate) struct Scope {
    /// The number of open elements.
    pub(crate) depth: usize,
    bindings: Vec<Binding>,
    /// Whether any binding was to a namespace that is not ours.
    foreign: bool,
}

impl Meaning {
    fn of(uri: &str) -> Self {
        if uri == XSI_NAMESPACE {
            Self::Instance
        } else if let Some(uri) = table::known_namespace(uri) {
            Self::Ours(uri)
        } else if COMMON.contains(&uri) || uri.is_empty() {
            Self::Common
        } else {
            Self::Foreign(uri.into())
        }
    }

    /// Returns the meaning of a prefix that is not bound.
    fn unbound(prefix: &str) -> Self {
        match prefix {
            "xsi" => Self::Instance,
            "" => Self::Ours(table::VIM25),
            _ => Self::Common,
        }
    }
}

impl Scope {
    /// Records the end of an element.
    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        while self
            .bindings
            .last()
            .is_some_and(|binding| binding.depth > self.depth)
        {
            self.bindings.pop();
        }
    }

    /// Binds a prefix, or the default namespace if the prefix is empty, for the current element.
    pub(crate) fn bind(&mut self, prefix: &str, uri: &str) {
        let meaning = Meaning::of(uri);
        // A binding that changes nothing is not kept, such as a second reading of the
        // same attribute, or the conventional prefix.
        if meaning != *self.meaning(prefix).unwrap_or(&Meaning::unbound(prefix)) {
            self.foreign |= matches!(meaning, Meaning::Foreign(_));
            self.bindings.push(Binding {
                depth: self.depth,
                prefix: prefix.into(),
                meaning,
            });
        }
    }

    /// Returns the number of bindings in force.
    pub(crate) const fn bound(&self) -> usize {
        self.bindings.len()
    }

    /// Returns whether a prefix is the instance namespace; an unbound `xsi` is.
    #[inline]
    pub(crate) fn is_instance(&self, prefix: &str) -> bool {
        match self.meaning(prefix) {
            Some(meaning) => *meaning == Meaning::Instance,
            None => prefix == "xsi",
        }
    }

    /// Returns the namespace of a qualified type name, when it is not one of ours.
    #[inline]
    pub(crate) fn foreign(&self, name: &str) -> Option<&str> {
        if !self.foreign {
            return None;
        }
        let prefix = name.rsplit_once(':').map_or("", |(prefix, _)| prefix);
        match self.meaning(prefix.trim_ascii()) {
            Some(Meaning::Foreign(uri)) => Some(uri),
            _ => None,
        }
    }

    /// Returns the namespace of a qualified type name, when it is one of ours and can
    /// matter: few names exist in two of them.
    #[inline]
    pub(crate) fn ours(&self, name: &str) -> Option<&'static str> {
        if !table::MANY {
            return None;
        }
        let prefix = name.rsplit_once(':').map_or("", |(prefix, _)| prefix);
        match self.meaning(prefix.trim_ascii()) {
            Some(Meaning::Ours(uri)) => Some(uri),
            _ => None,
        }
    }

    fn meaning(&self, prefix: &str) -> Option<&Meaning> {
        let binding = self
            .bindings
            .iter()
            .rev()
            .find(|binding| *binding.prefix == *prefix);
        binding.map(|binding| &binding.meaning)
    }
}
