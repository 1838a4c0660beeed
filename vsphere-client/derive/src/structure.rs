//! The implementation of `Properties` for a struct.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, FieldsNamed, Ident};

use crate::field::PropertyField;

pub(crate) fn expand(input: &DeriveInput, fields: &FieldsNamed) -> syn::Result<TokenStream> {
    let object = object(input)?;
    let fields = fields
        .named
        .iter()
        .map(|field| PropertyField::parse(field, &object))
        .collect::<syn::Result<Vec<_>>>()?;
    let paths = fields.iter().map(PropertyField::path);
    let reads = fields.iter().map(PropertyField::read);
    let updates = fields.iter().map(PropertyField::update);
    // A constant that is not generic is checked even in a struct that nothing reads, and by
    // `cargo check`; inside of functions, only what is compiled to machine code is.
    let checks = fields.iter().map(PropertyField::property);
    let checked = input.generics.params.is_empty().then(|| {
        quote! {
            const _: () = { #(let _ = #checks;)* };
        }
    });
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #checked

        #[automatically_derived]
        impl #generics ::vsphere_client::Properties for #name #arguments #bounds {
            type Object = ::vsphere_client::__derive::mo::#object;

            const PATHS: &'static [&'static str] = &[#(#paths),*];

            fn from_properties(
                properties: &::vsphere_client::ObjectProperties<Self::Object>,
            ) -> ::vsphere_client::Result<Self> {
                ::core::result::Result::Ok(Self { #(#reads),* })
            }

            fn update(
                &mut self,
                properties: &::vsphere_client::ObjectProperties<Self::Object>,
                changed: &[::std::string::String],
            ) -> ::vsphere_client::Result<()> {
                #(#updates)*
                ::core::result::Result::Ok(())
            }
        }
    })
}

/// Returns the managed object type that `#[properties(..)]` names.
fn object(input: &DeriveInput) -> syn::Result<Ident> {
    let mut found = None;
    for attribute in &input.attrs {
        if !attribute.path().is_ident("properties") {
            continue;
        }
        if found.is_some() {
            return Err(syn::Error::new_spanned(
                attribute,
                "the managed object type is given twice",
            ));
        }
        found = Some(attribute.parse_args::<Ident>().map_err(|error| {
            syn::Error::new(
                error.span(),
                "expected the name of a managed object type, as in #[properties(VirtualMachine)]",
            )
        })?);
    }
    found.ok_or_else(|| {
        syn::Error::new_spanned(
            &input.ident,
            "the managed object type is missing: add #[properties(VirtualMachine)], or another type",
        )
    })
}

#[cfg(test)]
mod tests {
    use syn::{Data, Fields, parse_quote};

    use super::*;

    /// Returns the message for a struct that cannot be derived.
    fn refused(input: DeriveInput) -> String {
        let Data::Struct(data) = &input.data else {
            panic!("the input is not a struct");
        };
        let Fields::Named(fields) = &data.fields else {
            panic!("the fields have no names");
        };
        expand(&input, fields)
            .expect_err("the attributes are refused")
            .to_string()
    }

    #[test]
    fn mistakes_in_attributes_are_explained() {
        let text = refused(parse_quote! { struct Missing { name: String } });
        assert!(text.contains("add #[properties(VirtualMachine)]"), "{text}");
        let text = refused(parse_quote! {
            #[properties("VirtualMachine")]
            struct Quoted { name: String }
        });
        assert!(
            text.contains("as in #[properties(VirtualMachine)]"),
            "{text}"
        );
        let text = refused(parse_quote! {
            #[properties(VirtualMachine)]
            #[properties(HostSystem)]
            struct Twice { name: String }
        });
        assert!(text.contains("given twice"), "{text}");
        let text = refused(parse_quote! {
            #[properties(VirtualMachine)]
            struct QuotedPath {
                #[property("runtime.powerState")]
                power: String,
            }
        });
        assert!(
            text.contains("as in #[property(runtime.powerState)]"),
            "{text}"
        );
    }
}
