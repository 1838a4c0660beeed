//! One field: its path, and how it is read.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Field, Ident, PathArguments, Token, Type};

/// A field of the struct and its property.
pub(crate) struct PropertyField<'f> {
    name: &'f Ident,
    path: String,
    /// The type of the value: the argument of an `Option`.
    value: &'f Type,
    is_optional: bool,
    object: &'f Ident,
}

impl<'f> PropertyField<'f> {
    pub(crate) fn parse(field: &'f Field, object: &'f Ident) -> syn::Result<Self> {
        let Some(name) = &field.ident else {
            return Err(syn::Error::new_spanned(field, "the field has no name"));
        };
        let mut path = None;
        for attribute in &field.attrs {
            if !attribute.path().is_ident("property") {
                continue;
            }
            if path.is_some() {
                return Err(syn::Error::new_spanned(
                    attribute,
                    "the path is given twice",
                ));
            }
            let tokens = attribute.meta.require_list()?.tokens.clone();
            path = Some(dotted.parse2(tokens).map_err(|error| {
                let text = "expected a path of wire names, as in #[property(runtime.powerState)]";
                syn::Error::new(error.span(), text)
            })?);
        }
        let (value, is_optional) = optional(&field.ty).map_or((&field.ty, false), |ty| (ty, true));
        Ok(Self {
            name,
            path: path.unwrap_or_else(|| wire_name(&name.unraw().to_string())),
            value,
            is_optional,
            object,
        })
    }

    /// Returns the path, checked at compile time.
    pub(crate) fn path(&self) -> TokenStream {
        let property = self.property();
        quote!(#property.path())
    }

    /// Returns the field's initializer.
    pub(crate) fn read(&self) -> TokenStream {
        let (name, value) = (self.name, self.value());
        quote!(#name: #value)
    }

    /// Returns the statement that reads the field again if its property changed.
    pub(crate) fn update(&self) -> TokenStream {
        let (name, path, value) = (self.name, &self.path, self.value());
        quote! {
            if changed.iter().any(|path| path == #path) {
                self.#name = #value;
            }
        }
    }

    /// Returns the expression that reads the property.
    fn value(&self) -> TokenStream {
        let property = self.property();
        if self.is_optional {
            quote!(properties.optional(#property)?)
        } else {
            quote!(properties.required(#property)?)
        }
    }

    /// Returns the property as a constant expression, whose path and type are checked.
    pub(crate) fn property(&self) -> TokenStream {
        let Self {
            path,
            value,
            object,
            ..
        } = self;
        quote_spanned! { self.value.span()=>
            const {
                ::vsphere_client::__derive::Property::<
                    ::vsphere_client::__derive::mo::#object,
                    #value,
                >::checked(#path)
            }
        }
    }
}

fn dotted(input: syn::parse::ParseStream<'_>) -> syn::Result<String> {
    let names =
        Punctuated::<Ident, Token![.]>::parse_separated_nonempty_with(input, Ident::parse_any)?;
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    Ok(names.join("."))
}

/// Returns the argument of `Option<..>`.
fn optional(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        syn::GenericArgument::Type(value) if last.ident == "Option" => Some(value),
        _ => None,
    }
}

/// `overall_status` is `overallStatus` on the wire.
fn wire_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    let mut upper = false;
    for letter in field.chars() {
        match letter {
            '_' => upper = !name.is_empty(),
            _ if upper => {
                name.extend(letter.to_uppercase());
                upper = false;
            }
            _ => name.push(letter),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_become_wire_names() {
        for (field, wire) in [
            ("name", "name"),
            ("overall_status", "overallStatus"),
            ("_name", "name"),
            ("resource_pool_", "resourcePool"),
        ] {
            assert_eq!(wire_name(field), wire);
        }
    }
}
