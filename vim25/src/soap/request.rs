//! Requests: encoded by clients, decoded by servers.

use std::sync::Arc;

use crate::any::Any;
use crate::call::Call;
use crate::decode::Decoder;
use crate::document::ObjectType;
use crate::error::{ConvertError, ConvertProblem, DecodeError, DecodeProblem, EncodeError};
use crate::limits::Limits;
use crate::reference::AnyRef;
use crate::slot::Slot;
use crate::table;

use super::envelope;

/// The SOAP header of a request.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// `operationID`: an id for the call that servers write to their logs.
    pub operation_id: Option<String>,
    /// `vcSessionCookie`: the session, on endpoints other than the main one. A secret.
    pub session_cookie: Option<String>,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("operation_id", &self.operation_id)
            .field(
                "session_cookie",
                &self.session_cookie.as_ref().map(|_| "(hidden)"),
            )
            .finish()
    }
}

/// Encodes a call as a message.
///
/// # Errors
/// [`EncodeError`] with the path of an argument that cannot be sent.
pub fn encode_request<R>(call: &Call<R>, header: &Header) -> Result<String, EncodeError> {
    let write_header = |out: &mut String| {
        let entries = [
            ("operationID", &header.operation_id),
            ("vcSessionCookie", &header.session_cookie),
        ];
        for (name, value) in entries {
            if let Some(value) = value {
                out.push_str(&format!("<{name}>"));
                crate::encode::escape(out, value);
                out.push_str(&format!("</{name}>"));
            }
        }
    };
    envelope::write(write_header, |out| {
        out.push_str(&format!(
            "<{} xmlns=\"{}\">",
            call.method(),
            call.namespace()
        ));
        // Arguments never change the namespace: those of an undocumented method are in its.
        let around = table::namespace_uri(call.request_type());
        crate::encode::children(call.arguments(), around, out)?;
        out.push_str(&format!("</{}>", call.method()));
        Ok(())
    })
}

/// A call as a server receives it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The SOAP header.
    pub header: Header,
    /// The wire name of the method, which the schema may not know.
    pub method: String,
    /// The namespace of the method, if it was not compiled in. A server of
    /// another API version or of another service would refuse the call.
    pub foreign_namespace: Option<String>,
    /// The object that the method is called on; absent in a malformed request.
    pub this: Option<AnyRef>,
    arguments: Any,
}

impl Request {
    /// Returns `_this` and the arguments by their wire names.
    #[must_use]
    pub const fn arguments(&self) -> &Any {
        &self.arguments
    }

    /// Returns one argument; for an optional parameter, `T` is an `Option` or `Vec`.
    ///
    /// # Errors
    /// [`ConvertError`] when the argument is absent although required, or not a `T`.
    pub fn argument<T: Slot>(&self, name: &'static str) -> Result<T, ConvertError> {
        let node = self.arguments.node();
        let mut loading = crate::slot::Loading::default();
        let mut value = T::default();
        let mut present = false;
        for child in node.all(name) {
            present = true;
            value.load(child, &mut loading);
        }
        let table = node.object_type().map_or(table::NONE, ObjectType::table);
        let required =
            table::find_field(table, name, &mut 0).is_some_and(|(_, row)| row.is_required());
        if !present && required {
            return Err(node.error(ConvertProblem::Missing { field: name }));
        }
        loading.finish(value)
    }
}

/// Decodes a request.
///
/// A method that the schema does not know is accepted, with its arguments
/// unconverted: clients use some undocumented methods.
///
/// # Errors
/// [`DecodeError`] when the bytes are not a request within the limits.
pub fn decode_request(xml: &[u8], limits: &Limits) -> Result<Request, DecodeError> {
    let mut decoder = Decoder::new(envelope::utf8(xml)?, limits)?;
    let mut header = Header::default();
    envelope::open_body(&mut decoder, |name, text| match name {
        "operationID" => header.operation_id = Some(text),
        "vcSessionCookie" => header.session_cookie = Some(text),
        _ => {}
    })?;
    let Some((start, empty)) = envelope::next_element(&mut decoder)? else {
        return Err(decoder.error(DecodeProblem::NotSoap("a method element")));
    };
    decoder.enter(&start)?;
    let method = start.local_name().as_ref().to_owned();
    let foreign_namespace = decoder.foreign_namespace(start.name().as_ref());
    let ty = table::method(&method).map_or(ObjectType::Untyped, |(request, _)| {
        ObjectType::Known(request)
    });
    let document = if empty {
        decoder.empty(ty)?
    } else {
        decoder.object(ty)?.0
    };
    let arguments = Any::of(Arc::new(document).root());
    let this = arguments
        .node()
        .get("_this")
        .and_then(|this| this.to().ok());
    Ok(Request {
        header,
        method,
        foreign_namespace,
        this,
        arguments,
    })
}
