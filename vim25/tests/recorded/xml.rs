//! An independent XML reader, so that the codec is not compared with itself.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};

pub(crate) const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(crate) const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";

/// A name with the namespace of its prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) local: String,
}

/// An element with everything in it.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: Name,
    /// The value of `xsi:type`, with its prefix resolved.
    pub(crate) xsi_type: Option<Name>,
    /// All other attributes, sorted, except for namespace declarations.
    pub(crate) attributes: Vec<(Name, String)>,
    pub(crate) children: Vec<Self>,
    /// The text, with entities resolved; if there are children, only the part that
    /// is not white space.
    pub(crate) text: String,
}

impl Element {
    /// Reads a whole document.
    pub(crate) fn read(xml: &str) -> Self {
        let mut reader = NsReader::from_str(xml);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(Self::opened(&reader, &start)),
                Event::Empty(start) => {
                    let element = Self::opened(&reader, &start);
                    open.last_mut().unwrap().children.push(element);
                }
                Event::Text(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text.xml10_content());
                    }
                }
                Event::CData(text) => open
                    .last_mut()
                    .unwrap()
                    .text
                    .push_str(&text.xml10_content()),
                Event::GeneralRef(entity) => {
                    let c = match &*entity {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => entity.resolve_char_ref().unwrap().unwrap(),
                    };
                    open.last_mut().unwrap().text.push(c);
                }
                Event::End(_) => {
                    let mut element = open.pop().unwrap();
                    if !element.children.is_empty() {
                        element.text.retain(|c| !c.is_whitespace());
                    }
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return element,
                    }
                }
                Event::Decl(_) | Event::Comment(_) => {}
                other => panic!("not in a message: {other:?}"),
            }
        }
    }

    fn opened(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Self {
        let (namespace, local) = reader.resolver().resolve_element(start.name());
        let mut element = Self {
            name: Name {
                namespace: uri(namespace),
                local: local.as_ref().to_owned(),
            },
            xsi_type: None,
            attributes: Vec::new(),
            children: Vec::new(),
            text: String::new(),
        };
        for attribute in start.attributes() {
            let attribute = attribute.unwrap();
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
            let name = Name {
                namespace: uri(namespace),
                local: local.as_ref().to_owned(),
            };
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .unwrap()
                .into_owned();
            if name.namespace == INSTANCE && name.local == "type" {
                element.xsi_type = Some(type_name(reader, &value));
            } else {
                element.attributes.push((name, value));
            }
        }
        element.attributes.sort();
        element
    }

    /// Returns the only child with this name.
    pub(crate) fn child(&self, local: &str) -> &Self {
        let mut found = self.children.iter().filter(|c| c.name.local == local);
        let child = found.next().unwrap_or_else(|| panic!("no {local}"));
        assert!(found.next().is_none(), "more than one {local}");
        child
    }
}

/// Resolves a type name in `xsi:type`: even without a prefix, it is in a namespace.
fn type_name(reader: &NsReader<&[u8]>, value: &str) -> Name {
    let name = quick_xml::name::QName(value);
    let namespace = reader.resolver().resolve_prefix(name.prefix(), true);
    Name {
        namespace: uri(namespace),
        local: name.local_name().as_ref().to_owned(),
    }
}

fn uri(resolved: ResolveResult<'_>) -> String {
    match resolved {
        ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(prefix) => panic!("an unbound prefix: {prefix:?}"),
    }
}
