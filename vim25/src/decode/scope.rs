//! What the prefixes of a message stand for.
//!
//! Namespaces matter to this decoder in two places: which attribute is
//! `xsi:type`, and whether the type that it names is one of ours. Producers bind
//! namespaces to prefixes of their own, also deep inside a message, so bindings
//! are kept per depth. They change only at elements that carry an `xmlns`
//! attribute.

use crate::soap::{ENCODING_NAMESPACE, ENVELOPE_NAMESPACE, XSD_NAMESPACE, XSI_NAMESPACE};
use crate::table;

/// The namespaces of SOAP and XML Schema, whose type names are as good as ours.
const COMMON: [&str; 3] = [XSD_NAMESPACE, ENVELOPE_NAMESPACE, ENCODING_NAMESPACE];

/// What a prefix stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// The XML Schema instance namespace.
    Instance,
    /// One of SOAP's and XML Schema's, or of those names of ours without tables.
    Common,
    /// A namespace that was compiled in.
    Ours(&'static str),
    /// Any other: types of the same name are not ours.
    Foreign(Box<str>),
}

/// A prefix whose meaning changed; the empty one is the default namespace.
struct Binding {
    depth: usize,
    prefix: Box<str>,
    meaning: Meaning,
}

/// The bindings in force.
#[derive(Default)]
pub(crate) struct Scope {
    /// Elements that are open.
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

    /// What a prefix stands for that nothing binds.
    fn unbound(prefix: &str) -> Self {
        match prefix {
            "xsi" => Self::Instance,
            "" => Self::Ours(table::VIM25),
            _ => Self::Common,
        }
    }
}

impl Scope {
    /// An element ended.
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

    /// The current element binds a prefix, or with an empty one the default namespace.
    pub(crate) fn bind(&mut self, prefix: &str, uri: &str) {
        let meaning = Meaning::of(uri);
        // What changes nothing need not be kept: neither a second reading of the
        // same attribute, nor the conventional prefix.
        if meaning != *self.meaning(prefix).unwrap_or(&Meaning::unbound(prefix)) {
            self.foreign |= matches!(meaning, Meaning::Foreign(_));
            self.bindings.push(Binding {
                depth: self.depth,
                prefix: prefix.into(),
                meaning,
            });
        }
    }

    /// How many bindings are in force.
    pub(crate) const fn bound(&self) -> usize {
        self.bindings.len()
    }

    /// Whether a prefix stands for the instance namespace. An unbound `xsi` does.
    #[inline]
    pub(crate) fn is_instance(&self, prefix: &str) -> bool {
        match self.meaning(prefix) {
            Some(meaning) => *meaning == Meaning::Instance,
            None => prefix == "xsi",
        }
    }

    /// The namespace of a type's name, prefix and all, when it is not one of ours.
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

    /// The namespace of a type's name, prefix and all, when it is one of ours and
    /// may matter: names that stand in two of them are few.
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
