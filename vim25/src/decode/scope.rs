//! Which prefixes stand for the XML Schema instance namespace.
//!
//! Namespaces matter to this decoder in one place only: which attribute is
//! `xsi:type`. Producers bind that namespace to prefixes of their own, also
//! deep inside a message, so bindings are kept per depth. They change only at
//! elements that carry an `xmlns` attribute.

/// A prefix that is, or hides, a binding to the instance namespace.
struct Binding {
    depth: usize,
    prefix: Box<str>,
    instance: bool,
}

/// The bindings in force.
#[derive(Default)]
pub(crate) struct Scope {
    /// Elements that are open.
    pub(crate) depth: usize,
    bindings: Vec<Binding>,
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

    /// The current element binds a prefix.
    pub(crate) fn bind(&mut self, prefix: &str, uri: &str) {
        let instance = uri == crate::soap::XSI_NAMESPACE;
        // What changes nothing need not be kept: neither a second reading of the
        // same attribute, nor the conventional prefix.
        if instance != self.is_instance(prefix) {
            self.bindings.push(Binding {
                depth: self.depth,
                prefix: prefix.into(),
                instance,
            });
        }
    }

    /// Whether a prefix stands for the instance namespace. An unbound `xsi` does.
    #[inline]
    pub(crate) fn is_instance(&self, prefix: &str) -> bool {
        match self
            .bindings
            .iter()
            .rev()
            .find(|binding| *binding.prefix == *prefix)
        {
            Some(binding) => binding.instance,
            None => prefix == "xsi",
        }
    }
}
