//! The envelope: finding the body of a message, and writing one around a body.

use quick_xml::events::{BytesStart, Event};

use crate::decode::Decoder;
use crate::error::{DecodeError, DecodeProblem};

use super::{ENVELOPE_NAMESPACE, XSD_NAMESPACE, XSI_NAMESPACE};

/// Writes an envelope; `header` and `body` append their contents.
pub(super) fn write<E>(
    header: impl FnOnce(&mut String),
    body: impl FnOnce(&mut String) -> Result<(), E>,
) -> Result<String, E> {
    let mut out = String::with_capacity(1_024);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenv=\"");
    out.push_str(ENVELOPE_NAMESPACE);
    out.push_str("\" xmlns:xsd=\"");
    out.push_str(XSD_NAMESPACE);
    out.push_str("\" xmlns:xsi=\"");
    out.push_str(XSI_NAMESPACE);
    out.push_str("\">");
    let start = out.len();
    out.push_str("<soapenv:Header>");
    let empty = out.len();
    header(&mut out);
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.push_str("</soapenv:Header>");
    }
    out.push_str("<soapenv:Body>\n");
    body(&mut out)?;
    out.push_str("\n</soapenv:Body></soapenv:Envelope>");
    Ok(out)
}

/// Checks that a message is UTF-8.
pub(super) fn utf8(xml: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(xml).map_err(|error| {
        let problem = DecodeProblem::Encoding(error);
        DecodeError::new(error.valid_up_to() as u64, String::new(), problem)
    })
}

/// Skips to the next start tag. `None` at the end of the enclosing element.
pub(super) fn next_element<'x>(
    decoder: &mut Decoder<'x>,
) -> Result<Option<(BytesStart<'x>, bool)>, DecodeError> {
    loop {
        match decoder.event()? {
            Event::Start(start) => return Ok(Some((start, false))),
            Event::Empty(start) => return Ok(Some((start, true))),
            Event::End(_) | Event::Eof => return Ok(None),
            Event::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
            _ => return Err(decoder.error(DecodeProblem::MixedContent)),
        }
    }
}

/// Returns the text content of the element that was just opened, up to its end.
pub(super) fn text(decoder: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let mut text = String::new();
    let mut depth = 0usize;
    loop {
        match decoder.event()? {
            Event::Text(piece) if depth == 0 => text.push_str(&piece.xml10_content()),
            Event::CData(piece) if depth == 0 => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(entity) if depth == 0 => text.push(decoder.entity(&entity)?),
            Event::Start(_) => depth += 1,
            Event::End(_) if depth == 0 => return Ok(text),
            Event::End(_) => depth -= 1,
            Event::Eof => {
                return Err(decoder.error(DecodeProblem::NotSoap("the end of an element")));
            }
            _ => {}
        }
    }
}

/// Enters the envelope and its body; each header element is passed to `header` with its text.
pub(super) fn open_body(
    decoder: &mut Decoder<'_>,
    mut header: impl FnMut(&str, String),
) -> Result<(), DecodeError> {
    let expect = |decoder: &Decoder<'_>, what| decoder.error(DecodeProblem::NotSoap(what));
    match next_element(decoder)? {
        Some((start, false)) if start.local_name().as_ref() == "Envelope" => {
            decoder.enter(&start)?;
        }
        _ => return Err(expect(decoder, "an Envelope element")),
    }
    while let Some((start, empty)) = next_element(decoder)? {
        match start.local_name().as_ref() {
            "Header" if empty => {}
            "Header" => {
                while let Some((child, empty)) = next_element(decoder)? {
                    let text = if empty { String::new() } else { text(decoder)? };
                    header(child.local_name().as_ref(), text);
                }
            }
            "Body" if !empty => return decoder.enter(&start),
            _ => break,
        }
    }
    Err(expect(decoder, "a Body element with content"))
}
