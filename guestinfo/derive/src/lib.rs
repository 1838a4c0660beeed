//! The derive macro of `guestinfo`. Its attributes are documented on the trait
//! `guestinfo::GuestInfo`.

mod attribute;
mod names;
mod structure;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Stores a type as guestinfo keys; see the trait `guestinfo::GuestInfo`.
#[proc_macro_derive(GuestInfo, attributes(guestinfo))]
pub fn derive_guest_info(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let expanded = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure::named(&input, fields),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                structure::transparent(&input, &fields.unnamed[0])
            }
            _ => Err(syn::Error::new_spanned(
                &input.ident,
                "GuestInfo can be derived for structs with named fields, structs of one unnamed \
                 field, and enums of names",
            )),
        },
        Data::Enum(data) => names::expand(&input, data),
        Data::Union(_) => Err(syn::Error::new_spanned(
            &input.ident,
            "GuestInfo cannot be derived for unions",
        )),
    };
    expanded
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
