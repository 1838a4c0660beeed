//! The derive macro of `vsphere-client`. Its attributes are documented on the trait
//! `vsphere_client::Properties`.

mod field;
mod structure;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Reads a struct from properties of a managed object; see the trait
/// `vsphere_client::Properties`.
#[proc_macro_derive(Properties, attributes(properties, property))]
pub fn derive_properties(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure::expand(&input, fields),
            _ => Err(unsupported(&input)),
        },
        _ => Err(unsupported(&input)),
    };
    expanded
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn unsupported(input: &DeriveInput) -> syn::Error {
    syn::Error::new_spanned(
        &input.ident,
        "Properties can be derived for structs with named fields",
    )
}
