//! Structs: stored as one key per field, or, with one unnamed field, as that field.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    DeriveInput, Error, Field, FieldsNamed, GenericArgument, PathArguments, Result, Type,
    WherePredicate, parse_quote,
};

use crate::attribute::{FieldAttribute, Kind, ours};

/// The generated code for all fields, grouped by method.
#[derive(Default)]
struct Body {
    constants: TokenStream,
    encode: TokenStream,
    encode_some: TokenStream,
    decode: TokenStream,
    describe: TokenStream,
    absent: TokenStream,
    bounds: Vec<WherePredicate>,
}

pub(crate) fn named(input: &DeriveInput, fields: &FieldsNamed) -> Result<TokenStream> {
    no_attributes(input)?;
    let mut body = Body::default();
    let mut leaves = HashMap::new();
    let mut errors: Option<Error> = None;
    for (at, field) in fields.named.iter().enumerate() {
        let result = FieldAttribute::parse(field).and_then(|attribute| {
            check_unique(&attribute, &mut leaves)?;
            body.push(at, field, &attribute, input);
            Ok(())
        });
        if let Err(error) = result {
            match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            }
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }

    let Body {
        constants,
        encode,
        encode_some,
        decode,
        describe,
        absent,
        bounds,
    } = body;
    let name = &input.ident;
    let mut generics = input.generics.clone();
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let names = fields.named.iter().map(|field| &field.ident);
    let locals = (0..fields.named.len()).map(local);
    Ok(quote! {
        const _: () = {
            #[automatically_derived]
            impl #impl_generics #name #type_generics #where_clause {
                #constants
            }

            #[automatically_derived]
            impl #impl_generics ::guestinfo::GuestInfo for #name #type_generics #where_clause {
                fn encode(&self, encoder: &mut ::guestinfo::Encoder) {
                    #encode
                }

                fn encode_some(&self, encoder: &mut ::guestinfo::Encoder) {
                    ::guestinfo::__private::encode_some(self, encoder, &[#encode_some]);
                }

                fn decode(
                    decoder: &mut ::guestinfo::Decoder<'_>,
                ) -> ::core::option::Option<Self> {
                    let checkpoint = decoder.checkpoint();
                    #decode
                    decoder
                        .found_since(checkpoint)
                        .then_some(Self { #(#names: #locals),* })
                }

                fn describe(describer: &mut ::guestinfo::Describer) {
                    #describe
                }

                fn absent(
                    dialect: ::guestinfo::Dialect,
                ) -> ::core::option::Option<Self> {
                    ::core::option::Option::Some(Self { #absent })
                }
            }
        };
    })
}

/// Returns the variable that holds a field while it is read. Variables are numbered, so
/// that no field name can shadow another.
fn local(at: usize) -> syn::Ident {
    format_ident!("value_{at}")
}

impl Body {
    fn push(&mut self, at: usize, field: &Field, attribute: &FieldAttribute, input: &DeriveInput) {
        let (name, ty) = (&field.ident, &field.ty);
        let required = attribute.default.is_none();
        match &attribute.kind {
            Kind::Skip => {
                let local = local(at);
                let default = default_function(ty, attribute);
                self.decode.extend(quote!(let #local: #ty = #default();));
                self.absent.extend(quote!(#name: #default(),));
            }
            Kind::Flatten => {
                let key = quote!(::core::option::Option::None);
                self.push_stored(at, field, &key, true, attribute);
            }
            Kind::Stored(stored) => {
                let key = stored.tokens();
                if let Some(with) = &stored.with {
                    self.push_with(at, field, &key, with, attribute);
                } else {
                    let key = quote!(::core::option::Option::Some(#key));
                    self.push_stored(at, field, &key, required, attribute);
                }
            }
        }

        if mentions_parameter(ty, input) {
            if !matches!(attribute.default, Some(Some(_))) {
                self.bounds
                    .push(parse_quote!(#ty: ::core::default::Default));
            }
            let with = matches!(&attribute.kind, Kind::Stored(stored) if stored.with.is_some());
            if !with && !matches!(attribute.kind, Kind::Skip) {
                self.bounds.push(parse_quote!(#ty: ::guestinfo::GuestInfo));
            }
        }
    }

    /// Adds a field that is stored by its type. Only the constant mentions the type's
    /// bounds, so a type that lacks them causes one error instead of one per method.
    fn push_stored(
        &mut self,
        at: usize,
        field: &Field,
        key: &TokenStream,
        required: bool,
        attribute: &FieldAttribute,
    ) {
        let (name, ty) = (&field.ident, &field.ty);
        let span = ty.span();
        let local = local(at);
        let constant = format_ident!("__GUESTINFO_{at}");
        let default = match &attribute.default {
            Some(Some(default)) => quote!(|| #default),
            _ => quote_spanned! {span=>
                || {
                    #[allow(unused_imports)]
                    use ::guestinfo::__private::{WithDefault, WithoutDefault, WithoutForm};
                    (&&&::guestinfo::__private::DefaultOf::<#ty>::of()).make()
                }
            },
        };
        self.constants.extend(quote_spanned! {span=>
            const #constant: ::guestinfo::__private::StoredField<#ty> =
                ::guestinfo::__private::StoredField::<#ty>::new(#key, #required, #default);
        });
        self.encode
            .extend(quote!(Self::#constant.encode(&self.#name, encoder);));
        self.encode_some
            .extend(quote!(&|encoder| Self::#constant.encode_some(&self.#name, encoder),));
        self.decode
            .extend(quote!(let #local: #ty = Self::#constant.decode(decoder);));
        self.describe
            .extend(quote!(Self::#constant.describe(describer);));
        self.absent
            .extend(quote!(#name: Self::#constant.absent(dialect)?,));
    }

    /// Adds a field that is converted to text by the functions of a module.
    fn push_with(
        &mut self,
        at: usize,
        field: &Field,
        key: &TokenStream,
        with: &syn::Path,
        attribute: &FieldAttribute,
    ) {
        let (name, ty) = (&field.ident, &field.ty);
        let local = local(at);
        let constant = format_ident!("__GUESTINFO_{at}");
        self.constants
            .extend(quote!(const #constant: ::guestinfo::Field = #key;));
        let default = default_function(ty, attribute);
        let optional = option_argument(ty);
        let required = attribute.default.is_none();
        let span = with.span();
        let to_text = quote_spanned! {span=>
            ::guestinfo::with::StoredText::into_stored_text(#with::to_text(value))
        };
        let from_text = quote_spanned! {span=>
            |text: &str| ::guestinfo::with::ReadText::into_read_value(#with::from_text(text))
        };
        let write = quote! {
            encoder.field_with(&Self::#constant, |encoder| {
                match #to_text {
                    ::core::result::Result::Ok(text) => encoder.text(text),
                    ::core::result::Result::Err(reason) => encoder.unstorable(reason),
                }
            });
        };
        let parse = quote!(decoder.parse("the text is not of the field's type", #from_text));
        let (encode, parse, reported) = match optional {
            Some(inner) => (
                quote!(if let ::core::option::Option::Some(value) = &self.#name { #write }),
                quote!({
                    let value: ::core::option::Option<#inner> = #parse;
                    value.map(::core::option::Option::Some)
                }),
                false,
            ),
            None => (quote!({ let value = &self.#name; #write }), parse, required),
        };
        self.encode.extend(encode);
        self.decode.extend(quote! {
            let #local: #ty =
                decoder.field_with(&Self::#constant, #reported, |decoder| #parse, #default);
        });
        self.describe
            .extend(quote!(describer.field_with(&Self::#constant, ::guestinfo::Describer::text);));
        let absent = match (required, optional) {
            (false, _) => quote!(#default()),
            (true, Some(_)) => quote! {
                if Self::#constant.exists(dialect) {
                    ::core::option::Option::None
                } else {
                    #default()
                }
            },
            (true, None) => quote! {
                if Self::#constant.exists(dialect) {
                    return ::core::option::Option::None
                } else {
                    #default()
                }
            },
        };
        self.absent.extend(quote!(#name: #absent,));
    }
}

/// Generates the function that creates a field's default value, for a field whose type
/// need not be storable.
fn default_function(ty: &Type, attribute: &FieldAttribute) -> TokenStream {
    match &attribute.default {
        Some(Some(default)) => quote!((|| #default)),
        _ => quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default),
    }
}

/// Generates the code for a struct of one unnamed field, which is stored as that field.
pub(crate) fn transparent(input: &DeriveInput, field: &Field) -> Result<TokenStream> {
    no_attributes(input)?;
    if let Some(attribute) = ours(&field.attrs).next() {
        return Err(Error::new_spanned(
            attribute,
            "the only field of a struct has no key of its own, so it has no options",
        ));
    }
    let name = &input.ident;
    let ty = &field.ty;
    let mut generics = input.generics.clone();
    if mentions_parameter(ty, input) {
        let bound = parse_quote!(#ty: ::guestinfo::GuestInfo);
        generics.make_where_clause().predicates.push(bound);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    // Only this constant mentions the bound of the field's type, so a missing bound
    // causes one error.
    let codec = quote_spanned! {ty.span()=>
        const __GUESTINFO: ::guestinfo::__private::Codec<#ty> =
            ::guestinfo::__private::Codec::<#ty>::of();
    };
    // The struct can be a map key if its field can. With the lifetime, the compiler
    // accepts the bound even if it does not hold.
    let mut key_generics = generics.clone();
    key_generics
        .make_where_clause()
        .predicates
        .push(parse_quote!(for<'__field> #ty: ::guestinfo::MapKey));
    let (_, _, map_key_clause) = key_generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #name #type_generics #where_clause {
            #codec
        }

        #[automatically_derived]
        impl #impl_generics ::guestinfo::GuestInfo for #name #type_generics #where_clause {
            const SHAPE: ::guestinfo::Shape = Self::__GUESTINFO.shape;

            fn encode(&self, encoder: &mut ::guestinfo::Encoder) {
                (Self::__GUESTINFO.encode)(&self.0, encoder);
            }

            fn encode_some(&self, encoder: &mut ::guestinfo::Encoder) {
                (Self::__GUESTINFO.encode_some)(&self.0, encoder);
            }

            fn decode(decoder: &mut ::guestinfo::Decoder<'_>) -> ::core::option::Option<Self> {
                (Self::__GUESTINFO.decode)(decoder).map(Self)
            }

            fn describe(describer: &mut ::guestinfo::Describer) {
                (Self::__GUESTINFO.describe)(describer);
            }

            fn absent(dialect: ::guestinfo::Dialect) -> ::core::option::Option<Self> {
                (Self::__GUESTINFO.absent)(dialect).map(Self)
            }

            fn push_text(
                &self,
                text: &mut ::std::string::String,
            ) -> ::core::result::Result<(), &'static str> {
                (Self::__GUESTINFO.push_text)(&self.0, text)
            }

            fn parse_text(text: &str) -> ::core::option::Option<Self> {
                (Self::__GUESTINFO.parse_text)(text).map(Self)
            }

            fn to_byte(&self) -> u8 {
                (Self::__GUESTINFO.to_byte)(&self.0)
            }

            fn from_byte(byte: u8) -> ::core::option::Option<Self> {
                (Self::__GUESTINFO.from_byte)(byte).map(Self)
            }
        }

        #[automatically_derived]
        impl #impl_generics ::guestinfo::MapKey for #name #type_generics #map_key_clause {}
    })
}

fn no_attributes(input: &DeriveInput) -> Result<()> {
    match ours(&input.attrs).next() {
        Some(attribute) => Err(Error::new_spanned(
            attribute,
            "a struct as a whole has no options; put the attribute on a field",
        )),
        None => Ok(()),
    }
}

/// Two fields at one key would overwrite each other; the platform folds case.
fn check_unique(
    attribute: &FieldAttribute,
    leaves: &mut HashMap<(u8, String), String>,
) -> Result<()> {
    let Kind::Stored(stored) = &attribute.kind else {
        return Ok(());
    };
    for (dialect, key) in [(0, &stored.vic04), (1, &stored.vic1)] {
        let Some(key) = key else { continue };
        let folded = (dialect, key.leaf.to_ascii_lowercase());
        if let Some(first) = leaves.insert(folded, key.leaf.clone()) {
            return Err(Error::new(
                key.span,
                format!(
                    "another field has the key \"{first}\", which is the same as \"{}\" to the \
                     platform",
                    key.leaf
                ),
            ));
        }
    }
    Ok(())
}

/// `T` of `Option<T>`, by its spelling.
fn option_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if last.ident == "Option" => Some(inner),
        _ => None,
    }
}

fn mentions_parameter(ty: &Type, input: &DeriveInput) -> bool {
    fn any(tokens: TokenStream, input: &DeriveInput) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Group(group) => any(group.stream(), input),
            TokenTree::Ident(ident) => input
                .generics
                .type_params()
                .any(|parameter| parameter.ident == ident),
            _ => false,
        })
    }
    any(ty.to_token_stream(), input)
}
