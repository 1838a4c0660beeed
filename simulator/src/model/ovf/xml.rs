//! Reads the XML of OVF descriptors into a tree of elements.
//!
//! Descriptors use prefixes as they like, and no two names of OVF differ only in their namespace:
//! names are compared without prefix. Document types, and with them entities that a document
//! defines, are refused.

use std::borrow::Cow;

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
    pub(super) what: &'static str,
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
    let mut reader = Reader {
        text,
        at: 0,
        lines: 0,
        counted: 0,
    };
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    while !reader.rest().is_empty() {
        let rest = reader.rest();
        if let Some(comment) = rest.strip_prefix("<!--") {
            reader.skip_past(comment, "-->", "a comment does not end")?;
        } else if let Some(instruction) = rest.strip_prefix("<?") {
            reader.skip_past(instruction, "?>", "an instruction does not end")?;
        } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
            let inside = reader.skip_past(data, "]]>", "character data does not end")?;
            let within = open.last_mut();
            let within = within.ok_or_else(|| reader.wrong("there is text outside of the root"))?;
            within.text.push_str(inside);
        } else if rest.starts_with("<!") {
            return Err(reader.wrong("document types are not accepted"));
        } else if let Some(end) = rest.strip_prefix("</") {
            let name = reader.skip_past(end, ">", "a tag does not end")?;
            let closed = open
                .pop()
                .filter(|open| open.name == local(name.trim_end()));
            let closed = closed.ok_or_else(|| reader.wrong("an end tag matches no start tag"))?;
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => root = Some(closed),
            }
        } else if rest.starts_with('<') {
            if root.is_some() {
                return Err(reader.wrong("there is more than one root element"));
            }
            let (element, is_empty) = reader.start()?;
            if !is_empty {
                if open.len() >= DEPTH {
                    return Err(reader.wrong("the elements are nested too deeply"));
                }
                open.push(element);
            } else if let Some(parent) = open.last_mut() {
                parent.children.push(element);
            } else {
                root = Some(element);
            }
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            let piece = rest.get(..end).unwrap_or_default();
            match open.last_mut() {
                Some(within) => within.text.push_str(&reader.unescape(piece, reader.at)?),
                None if piece.trim().is_empty() => {}
                None => return Err(reader.wrong("there is text outside of the root")),
            }
            reader.at += end;
        }
    }
    match root {
        Some(root) => Ok(root),
        None => Err(reader.wrong("the document ends too early")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// The lines before `counted`.
    lines: usize,
    counted: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the current line. Counts only what was not counted before.
    fn line(&mut self) -> usize {
        let since = self.text.get(self.counted..self.at).unwrap_or_default();
        self.lines += since.matches('\n').count();
        self.counted = self.at;
        self.lines + 1
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        self.wrong_at(self.at, what)
    }

    fn wrong_at(&self, at: usize, what: &'static str) -> Malformed {
        let before = self.text.get(..at).unwrap_or_default();
        Malformed {
            line: before.matches('\n').count() + 1,
            what,
        }
    }

    /// Moves behind the next `end` of `inside`, which is the rest without what introduces it, and
    /// returns what is in between.
    fn skip_past(
        &mut self,
        inside: &'t str,
        end: &str,
        what: &'static str,
    ) -> Result<&'t str, Malformed> {
        let length = inside.find(end).ok_or_else(|| self.wrong(what))?;
        self.at = self.text.len() - inside.len() + length + end.len();
        Ok(inside.get(..length).unwrap_or_default())
    }

    /// Reads a start tag; also returns whether the element has no content.
    fn start(&mut self) -> Result<(Element, bool), Malformed> {
        let line = self.line();
        self.at += 1;
        let name = self.name()?;
        let mut attributes = Vec::new();
        loop {
            self.skip_blanks();
            let rest = self.rest();
            let is_empty = rest.starts_with("/>");
            if is_empty || rest.starts_with('>') {
                self.at += if is_empty { 2 } else { 1 };
                let element = Element {
                    name,
                    line,
                    attributes,
                    ..Element::default()
                };
                return Ok((element, is_empty));
            }
            let name = self.name()?;
            self.skip_blanks();
            let after = self.rest().strip_prefix('=');
            let after = after.ok_or_else(|| self.wrong("an attribute has no value"))?;
            let after = after.trim_start();
            let quote = after
                .chars()
                .next()
                .filter(|quote| matches!(quote, '"' | '\''));
            let quote = quote.ok_or_else(|| self.wrong("an attribute has no quotes"))?;
            let inside = after.strip_prefix(quote).unwrap_or_default();
            let mut buffer = [0; 4];
            let end: &str = quote.encode_utf8(&mut buffer);
            let value = self.skip_past(inside, end, "an attribute does not end")?;
            if value.contains('<') {
                return Err(self.wrong("an attribute contains <"));
            }
            let value = self.unescape(value, self.at - 1 - value.len())?;
            let value = value.into_owned();
            attributes.push((name, value));
        }
    }

    /// Reads a name and returns it without its prefix.
    fn name(&mut self) -> Result<String, Malformed> {
        let rest = self.rest();
        let is_end = |c: char| c.is_whitespace() || matches!(c, '=' | '/' | '>' | '<' | '"' | '\'');
        let end = rest.find(is_end).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        if local(name).is_empty() {
            return Err(self.wrong("a name is missing"));
        }
        self.at += end;
        Ok(local(name).to_owned())
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Replaces the entities in a text that begins at an offset.
    fn unescape<'s>(&self, text: &'s str, begin: usize) -> Result<Cow<'s, str>, Malformed> {
        if !text.contains('&') {
            return Ok(Cow::Borrowed(text));
        }
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('&') {
            plain.push_str(before);
            let at = begin + text.len() - after.len() - 1;
            let (name, after) = after
                .split_once(';')
                .ok_or_else(|| self.wrong_at(at, "an entity does not end"))?;
            let character = match name {
                "lt" => Some('<'),
                "gt" => Some('>'),
                "amp" => Some('&'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => number(name).and_then(char::from_u32),
            };
            let character =
                character.ok_or_else(|| self.wrong_at(at, "there is no such entity"))?;
            plain.push(character);
            rest = after;
        }
        plain.push_str(rest);
        Ok(Cow::Owned(plain))
    }
}

fn number(entity: &str) -> Option<u32> {
    let digits = entity.strip_prefix('#')?;
    match digits.strip_prefix('x') {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
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
