//! Enums of names, stored as text.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Error, Fields, LitStr, Result, Variant};

use crate::attribute::ours;

const ALLOWED: &str = "allowed on a variant are `text = \"...\"` and `other`";

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    if let Some(attribute) = ours(&input.attrs).next() {
        return Err(Error::new_spanned(
            attribute,
            "an enum as a whole has no options; put the attribute on a variant",
        ));
    }
    let mut push = TokenStream::new();
    let mut parse = TokenStream::new();
    let mut other = None;
    let mut named = Vec::new();
    let mut texts = HashMap::new();
    for variant in &data.variants {
        let ident = &variant.ident;
        let (text, is_other) = attribute(variant)?;
        if is_other {
            let one_field = matches!(&variant.fields, Fields::Unnamed(f) if f.unnamed.len() == 1);
            if !one_field {
                return Err(Error::new_spanned(
                    variant,
                    "the variant for `other` texts holds one `String`",
                ));
            }
            if other.replace(ident).is_some() {
                return Err(Error::new_spanned(
                    variant,
                    "only one variant can be `other`",
                ));
            }
            continue;
        }
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "an enum is stored as its name, so its variants hold nothing; mark one that holds \
                 a `String` as `other`",
            ));
        }
        let text = text.unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()));
        if texts.insert(text.value(), ()).is_some() {
            return Err(Error::new(text.span(), "another variant has this text"));
        }
        push.extend(quote!(Self::#ident => #text,));
        named.push(text.clone());
        parse.extend(quote!(#text => ::core::option::Option::Some(Self::#ident),));
    }
    if let Some(other) = other {
        push.extend(quote! {
            Self::#other(text) => {
                let text: &str = text;
                if [#(#named),*].contains(&text) {
                    return ::core::result::Result::Err(
                        "another variant already has this text, and would be read back instead",
                    );
                }
                text
            }
        });
        parse.extend(quote! {
            text => ::core::option::Option::Some(Self::#other(::core::convert::From::from(text))),
        });
    } else {
        parse.extend(quote!(_ => ::core::option::Option::None,));
    }

    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::guestinfo::GuestInfo for #name #type_generics #where_clause {
            const SHAPE: ::guestinfo::Shape = ::guestinfo::Shape::Text;

            fn encode(&self, encoder: &mut ::guestinfo::Encoder) {
                let mut text = ::std::string::String::new();
                match Self::push_text(self, &mut text) {
                    ::core::result::Result::Ok(()) => encoder.text(text),
                    ::core::result::Result::Err(reason) => encoder.unstorable(reason),
                }
            }

            fn decode(decoder: &mut ::guestinfo::Decoder<'_>) -> ::core::option::Option<Self> {
                decoder.parse("expected one of the field's names", Self::parse_text)
            }

            fn describe(describer: &mut ::guestinfo::Describer) {
                describer.text();
            }

            fn push_text(
                &self,
                text: &mut ::std::string::String,
            ) -> ::core::result::Result<(), &'static str> {
                let name: &str = match self { #push };
                text.push_str(name);
                ::core::result::Result::Ok(())
            }

            fn parse_text(text: &str) -> ::core::option::Option<Self> {
                match text { #parse }
            }
        }

        #[automatically_derived]
        impl #impl_generics ::guestinfo::MapKey for #name #type_generics #where_clause {}
    })
}

fn attribute(variant: &Variant) -> Result<(Option<LitStr>, bool)> {
    let (mut text, mut other) = (None, false);
    for attribute in ours(&variant.attrs) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("text") {
                text = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("other") {
                other = true;
            } else {
                return Err(meta.error(format!("unknown option; {ALLOWED}")));
            }
            Ok(())
        })?;
    }
    Ok((text, other))
}
