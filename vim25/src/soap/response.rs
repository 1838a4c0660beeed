//! Responses and faults: encoded by servers, decoded by clients.

use std::sync::Arc;

use crate::any::Any;
use crate::call::Call;
use crate::decode::Decoder;
use crate::document::{Kind, ObjectType};
use crate::encode::Place;
use crate::error::{DecodeError, DecodeProblem, EncodeError, EncodeProblem};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::poly::Poly;
use crate::table::{self, FieldKind};

use super::envelope;

/// The response to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// The result; unset when the method returned none. A list of results is one list value.
    Value(Any),
    /// The fault that the server returned instead of a result.
    Fault(Fault),
}

/// Decodes the response to a call.
///
/// # Errors
/// [`DecodeError`] when the bytes are not a response to this call within the limits.
pub fn decode_response<R>(
    call: &Call<R>,
    xml: &[u8],
    limits: &Limits,
) -> Result<Response, DecodeError> {
    let mut decoder = Decoder::new(envelope::utf8(xml)?, limits)?;
    envelope::open_body(&mut decoder, |_, _| {})?;
    let Some((start, empty)) = envelope::next_element(&mut decoder)? else {
        return Err(decoder.error(DecodeProblem::NotSoap("a response or fault element")));
    };
    decoder.enter(&start)?;
    let name = start.local_name().as_ref().to_owned();
    if name == "Fault" {
        return fault(decoder).map(Response::Fault);
    }
    let method = call.method();
    if name.strip_suffix("Response") != Some(method) {
        let expected = format!("{method}Response");
        return Err(decoder.error(DecodeProblem::OtherMethod {
            expected,
            found: name,
        }));
    }
    let response = table::response_of(call.request_type());
    let ty = ObjectType::Known(response);
    let document = if empty {
        decoder.empty(ty)?
    } else {
        decoder.object(ty)?.0
    };
    let root = Any::of(Arc::new(document).root());
    let value = crate::splice::value_at(root.node(), "returnval");
    Ok(Response::Value(value.unwrap_or_default()))
}

/// Reads a `Fault` element that was just opened.
fn fault(mut decoder: Decoder<'_>) -> Result<Fault, DecodeError> {
    let (mut code, mut message) = (String::new(), String::new());
    while let Some((start, empty)) = envelope::next_element(&mut decoder)? {
        match start.local_name().as_ref() {
            _ if empty => {}
            "faultcode" => code = envelope::text(&mut decoder)?,
            "faultstring" => message = envelope::text(&mut decoder)?,
            "detail" => {
                decoder.enter(&start)?;
                match envelope::next_element(&mut decoder)? {
                    Some((detail, empty)) => {
                        let detail = fault_detail(decoder, &detail, empty)?;
                        return Ok(Fault::from_parts(code, message, detail));
                    }
                    None => decoder.leave(),
                }
            }
            _ => {
                envelope::text(&mut decoder)?;
            }
        }
    }
    Ok(Fault::from_parts(code, message, Poly::default()))
}

/// Reads the detail; its type is that of `xsi:type`, or else the name of its element.
fn fault_detail(
    decoder: Decoder<'_>,
    start: &quick_xml::events::BytesStart<'_>,
    empty: bool,
) -> Result<Poly<crate::types::MethodFault>, DecodeError> {
    let name = start.local_name().as_ref().to_owned();
    let from_element = name
        .strip_suffix("Fault")
        .and_then(table::value_type)
        .or_else(|| table::value_type(&name))
        .unwrap_or(<crate::types::MethodFault as crate::slot::Slot>::TYPE);
    let (document, _) = decoder.value(start, (FieldKind::Object, from_element), empty)?;
    let detail = Any::of(Arc::new(document).root());
    // A detail that is not a fault cannot be the typed detail.
    Ok(detail.get().unwrap_or_default())
}

/// Encodes the result of a method.
///
/// `value` is what the method returns: unset for nothing, a list value for a
/// list. For a method that the schema does not know, the value states its type.
///
/// # Errors
/// [`EncodeError`] with the path of a value that cannot be sent.
pub fn encode_response(method: &str, value: &Any) -> Result<String, EncodeError> {
    value.check()?;
    if !crate::encode::is_element_name(method) {
        let problem = EncodeProblem::NotAName(method.chars().take(64).collect());
        return Err(EncodeError::new("returnval".into(), problem));
    }
    let declared = table::method(method).map(|(_, response)| response);
    let namespace = declared.map_or("urn:vim25", table::namespace_uri);
    let row = declared
        .and_then(|response| table::field(response, 0))
        .map(|(row, _)| row);
    let (kind, ty) = row.map_or((FieldKind::Any, table::NONE), |row| (row.kind, row.ty));
    let place = Place::new(kind, ty, namespace);
    envelope::write(
        |_| {},
        |out| {
            out.push_str(&format!("<{method}Response xmlns=\"{namespace}\">"));
            let node = value.node();
            if node.kind() == Kind::Array && row.is_some_and(|row| row.is_array()) {
                for item in node.children() {
                    crate::encode::named(item, "returnval", place, out)?;
                }
            } else if !value.is_unset() {
                crate::encode::named(node, "returnval", place, out)?;
            }
            out.push_str(&format!("</{method}Response>"));
            Ok(())
        },
    )
}

/// Encodes a fault.
///
/// # Errors
/// [`EncodeError`] when the detail cannot be sent.
pub fn encode_fault(fault: &Fault) -> Result<String, EncodeError> {
    envelope::write(
        |_| {},
        |out| {
            out.push_str("<soapenv:Fault><faultcode>");
            crate::encode::escape(
                out,
                if fault.code().is_empty() {
                    "ServerFaultCode"
                } else {
                    fault.code()
                },
            );
            out.push_str("</faultcode><faultstring>");
            crate::encode::escape(out, fault.message());
            out.push_str("</faultstring>");
            if !fault.detail().is_unset() {
                fault.detail().check()?;
                out.push_str("<detail>");
                let type_name = fault.type_name();
                let local = type_name.rsplit('}').next().unwrap_or_default();
                let name = format!("{local}Fault");
                let mut detail = String::new();
                let namespace = match fault.detail().node().object_type() {
                    Some(ObjectType::Known(id)) => table::namespace_uri(id),
                    _ => Place::ANY.namespace,
                };
                let place = Place::new(FieldKind::Any, table::NONE, namespace);
                crate::encode::named(fault.detail().node(), &name, place, &mut detail)?;
                // The detail is in the namespace of its type, not in that of the envelope.
                detail.insert_str(name.len() + 1, &format!(" xmlns=\"{namespace}\""));
                out.push_str(&detail);
                out.push_str("</detail>");
            }
            out.push_str("</soapenv:Fault>");
            Ok(())
        },
    )
}
