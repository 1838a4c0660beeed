//! Reads the XML of OVF descriptors into a tree of elements.
//!
//! Descriptors use prefixes as they like, and no two names of OVF differ only in their namespace:
//! names are compared without prefix. Document types, and with them entities that a document
//! defines, are refused.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The maximum depth of nested elements.
const DEPTH: usize = 64;

/// An element with its attributes, elements and text.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The name without its prefix.
    pub(super) name: String,
    /// The line on which the element begins, from 1 on.
    pub(super) line: usize,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
    text: String,
}

/// The reason why a text is not well-formed, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) what: String,
}

impl Element {
    /// Returns the value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Iterates over the children of this name.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the text of the first child of this name, without surrounding blanks.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// Returns the text of all children of this name.
    pub(super) fn texts<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e str> {
        self.all(name).map(|child| child.text.trim())
    }
}

/// Reads a document and returns its root element.
pub(super) fn parse(text: &str) -> Result<Element, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut lines = Lines {
        text,
        line: 1,
        at: 0,
    };
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let line = lines.of(reader.buffer_position());
        let wrong = |what: String| Malformed { line, what };
        let outside = || wrong("there is text outside of the root".to_owned());
        let event = reader.read_event();
        let event = event.map_err(|error| Malformed {
            line: lines.of(reader.error_position()),
            what: error.to_string(),
        })?;
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                if root.is_some() {
                    return Err(wrong("there is more than one root element".to_owned()));
                }
                let element = element(start, line).map_err(wrong)?;
                if matches!(event, Event::Empty(_)) {
                    close(&mut open, &mut root, element);
                } else if open.len() >= DEPTH {
                    return Err(wrong("the elements are nested too deeply".to_owned()));
                } else {
                    open.push(element);
                }
            }
            // The reader has checked that it matches.
            Event::End(_) => {
                if let Some(closed) = open.pop() {
                    close(&mut open, &mut root, closed);
                }
            }
            Event::Text(piece) => {
                let piece = piece.xml10_content();
                match open.last_mut() {
                    Some(within) => within.text.push_str(&piece),
                    None if piece.trim().is_empty() => {}
                    None => return Err(outside()),
                }
            }
            Event::CData(piece) => {
                let within = open.last_mut().ok_or_else(outside)?;
                within.text.push_str(&piece.xml10_content());
            }
            Event::GeneralRef(entity) => {
                let within = open.last_mut().ok_or_else(outside)?;
                let character = character(&entity);
                let character =
                    character.ok_or_else(|| wrong(format!("there is no entity {:?}", &*entity)))?;
                within.text.push(character);
            }
            Event::DocType(_) => {
                return Err(wrong("document types are not accepted".to_owned()));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                let root = root.filter(|_| open.is_empty());
                return root.ok_or_else(|| wrong("the document ends too early".to_owned()));
            }
        }
    }
}

/// Counts the lines up to increasing offsets.
struct Lines<'t> {
    text: &'t str,
    line: usize,
    at: usize,
}

impl Lines<'_> {
    fn of(&mut self, offset: u64) -> usize {
        let to = usize::try_from(offset).unwrap_or(usize::MAX);
        let since = self.text.as_bytes().get(self.at..to).unwrap_or_default();
        self.line += since.iter().filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(to);
        self.line
    }
}

fn close(open: &mut [Element], root: &mut Option<Element>, closed: Element) {
    match open.last_mut() {
        Some(parent) => parent.children.push(closed),
        None => *root = Some(closed),
    }
}

/// Returns an element without its content.
fn element(start: &BytesStart<'_>, line: usize) -> Result<Element, String> {
    let name = start.local_name().into_inner().to_owned();
    if name.is_empty() {
        return Err("a name is missing".to_owned());
    }
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.value.contains('<') {
            return Err("an attribute contains <".to_owned());
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| error.to_string())?.into_owned();
        attributes.push((attribute.key.local_name().into_inner().to_owned(), value));
    }
    Ok(Element {
        name,
        line,
        attributes,
        ..Element::default()
    })
}

/// Returns the character that an entity stands for.
fn character(entity: &BytesRef<'_>) -> Option<char> {
    match &**entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => entity.resolve_char_ref().ok().flatten(),
    }
}

/// Escapes a text for an element or an attribute. Characters that XML does not have are dropped.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn elements_have_attributes_text_and_children_whatever_their_prefixes() {
        let text = "\u{feff}<?xml version='1.0'?>\n<!-- <a> -->\n<ovf:A x:b = \"1 &lt; &#50;\" c='\"'>\n\
                    t<B/>&amp;<![CDATA[<u>]]><o:C>  v </o:C></ovf:A >\n";
        let root = parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.line), ("A", 3));
        assert_eq!(root.attribute("b"), Some("1 < 2"));
        assert_eq!(root.attribute("c"), Some("\""));
        assert_eq!(root.text.trim(), "t&<u>");
        assert_eq!(root.children.len(), 2);
        assert_eq!(root.text_of("C"), Some("v"));
        assert_eq!(root.text_of("B"), None);
        let odd = "<a>&\"\n\u{1}é\u{10ffff}";
        let again = parse(&format!("<x y=\"{0}\">{0}</x>", escape(odd))).unwrap();
        let expected = odd.replace('\u{1}', "");
        assert_eq!(again.attribute("y"), Some(&*expected));
        assert_eq!(again.text, expected);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_line() {
        for (text, line) in [
            ("", 1),
            ("<a>", 1),
            ("<a>\n</b>", 2),
            ("</a>", 1),
            ("<a/>\n<b/>", 2),
            ("<a/>x", 1),
            ("x<a/>", 1),
            ("<a b>", 1),
            ("<a b=c/>", 1),
            ("<a b='c/>", 1),
            ("<a b='<'/>", 1),
            ("<a>\n\n&b;</a>", 3),
            ("<a>&lt</a>", 1),
            ("<a>&#xd800;</a>", 1),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", 1),
            ("<a><!-- </a>", 1),
            ("< a/>", 1),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error:?}");
        }
        let deep = "<a>".repeat(DEPTH + 1) + &"</a>".repeat(DEPTH + 1);
        assert!(parse(&deep).is_err());
        let deep = "<a>".repeat(DEPTH) + &"</a>".repeat(DEPTH);
        assert!(parse(&deep).is_ok());
    }
}
