//! SOAP 1.1 messages: envelopes around calls, results and faults.
//!
//! Clients use [`encode_request`] and [`decode_response`], servers
//! [`decode_request`], [`encode_response`] and [`encode_fault`]. Nothing here does I/O.

mod envelope;
mod request;
mod response;

pub use request::{Header, Request, decode_request, encode_request};
pub use response::{Response, decode_response, encode_fault, encode_response};

/// The namespace of `xsi:type` and `xsi:nil`.
pub(crate) const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The namespace of XML Schema's own types.
pub(crate) const XSD_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema";
/// The namespace of SOAP 1.1's own encoding, whose scalars are those of XML Schema.
pub(crate) const ENCODING_NAMESPACE: &str = "http://schemas.xmlsoap.org/soap/encoding/";
/// The namespace of SOAP 1.1 envelopes.
pub(crate) const ENVELOPE_NAMESPACE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
