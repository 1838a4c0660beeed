//! Parses the attribute `#[guestinfo(...)]` of fields.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, Field, LitStr, Path, Result, Token};

const ALLOWED: &str = "allowed are `key`, `scope`, `secret`, `non_persistent`, `skip`, `flatten`, \
                       `default`, `with`, `chunks`, `vic04(...)` and `vic1(...)`";
const ALLOWED_PER_DIALECT: &str = "allowed here are `key`, `scope`, `secret` and `non_persistent`";

/// How a field is stored.
pub(crate) enum Kind {
    Stored(Box<Stored>),
    Skip,
    Flatten,
}

pub(crate) struct Stored {
    pub(crate) vic04: Option<FieldKey>,
    pub(crate) vic1: Option<FieldKey>,
    pub(crate) chunks: bool,
    pub(crate) with: Option<Path>,
}

#[derive(Clone)]
pub(crate) struct FieldKey {
    pub(crate) leaf: String,
    pub(crate) span: Span,
    access: Option<Access>,
    secret: bool,
    non_persistent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Hidden,
    ReadOnly,
    ReadWrite,
}

pub(crate) struct FieldAttribute {
    pub(crate) kind: Kind,
    /// `Some(None)` means the default of the field's type.
    pub(crate) default: Option<Option<Expr>>,
}

/// The options that can apply to both dialects or to only one of them.
#[derive(Clone, Default)]
struct KeyOptions {
    key: Option<LitStr>,
    access: Option<Access>,
    secret: bool,
    non_persistent: bool,
    first: Option<Span>,
}

impl KeyOptions {
    /// Parses one option. Returns `false` if it is another one.
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        if meta.path.is_ident("key") {
            let key: LitStr = meta.value()?.parse()?;
            check_leaf(&key)?;
            self.key = Some(key);
        } else if meta.path.is_ident("scope") {
            self.access = Some(parse_scope(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("secret") {
            self.secret = true;
        } else if meta.path.is_ident("non_persistent") {
            self.non_persistent = true;
        } else {
            return Ok(false);
        }
        self.first.get_or_insert(meta.path.span());
        Ok(true)
    }

    /// Combines these options of one dialect with `plain`, the options for both dialects;
    /// these options take precedence.
    fn over(self, plain: &Self) -> Self {
        Self {
            key: self.key.or_else(|| plain.key.clone()),
            access: self.access.or(plain.access),
            secret: self.secret || plain.secret,
            non_persistent: self.non_persistent || plain.non_persistent,
            first: self.first.or(plain.first),
        }
    }

    fn key(self, field: &Field) -> Result<FieldKey> {
        let (leaf, span) = match &self.key {
            Some(key) => (key.value().trim().to_owned(), key.span()),
            None => {
                let ident = field.ident.as_ref();
                let name = ident.map(ToString::to_string).unwrap_or_default();
                let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
                (name, field.span())
            }
        };
        if self.access == Some(Access::Hidden) && self.non_persistent {
            return Err(Error::new(
                self.first.unwrap_or(span),
                "a hidden value cannot be `non_persistent`: no form of key expresses that",
            ));
        }
        // A sealed value is useful to the guest only if the guest can read it.
        let access = self
            .access
            .or_else(|| self.secret.then_some(Access::ReadOnly));
        Ok(FieldKey {
            leaf,
            span,
            access,
            secret: self.secret,
            non_persistent: self.non_persistent,
        })
    }
}

impl FieldAttribute {
    pub(crate) fn parse(field: &Field) -> Result<Self> {
        let mut plain = KeyOptions::default();
        let mut dialects: [Option<KeyOptions>; 2] = [None, None];
        let (mut skip, mut flatten, mut with, mut default) = (None, None, None, None);
        let (mut chunks, mut stored) = (None, None);

        for attribute in ours(&field.attrs) {
            attribute.parse_nested_meta(|meta| {
                let span = meta.path.span();
                if plain.take(&meta)? {
                    stored.get_or_insert(span);
                } else if meta.path.is_ident("skip") {
                    skip = Some(span);
                } else if meta.path.is_ident("flatten") {
                    flatten = Some(span);
                } else if meta.path.is_ident("chunks") {
                    stored.get_or_insert(span);
                    chunks = Some(span);
                } else if meta.path.is_ident("with") {
                    stored.get_or_insert(span);
                    with = Some(parse_with(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("default") {
                    default = Some(if meta.input.peek(Token![=]) {
                        Some(meta.value()?.parse()?)
                    } else {
                        None
                    });
                } else if meta.path.is_ident("vic04") || meta.path.is_ident("vic1") {
                    stored.get_or_insert(span);
                    let at = usize::from(meta.path.is_ident("vic1"));
                    let options = dialects[at].get_or_insert_default();
                    if meta.input.peek(syn::token::Paren) {
                        meta.parse_nested_meta(|meta| {
                            if options.take(&meta)? {
                                return Ok(());
                            }
                            Err(meta.error(format!("unknown option; {ALLOWED_PER_DIALECT}")))
                        })?;
                    }
                } else {
                    return Err(meta.error(format!("unknown option; {ALLOWED}")));
                }
                Ok(())
            })?;
        }

        for (word, span) in [("skip", skip), ("flatten", flatten)] {
            if let (Some(span), Some(_)) = (span, stored) {
                return Err(Error::new(
                    span,
                    format!(
                        "`{word}` cannot be combined with other options: the field has no key of its own"
                    ),
                ));
            }
        }
        if let (Some(_), Some(span)) = (skip, flatten) {
            return Err(Error::new(
                span,
                "a field cannot be both skipped and flattened",
            ));
        }
        let kind = if skip.is_some() {
            Kind::Skip
        } else if flatten.is_some() {
            Kind::Flatten
        } else {
            let [mut vic04, mut vic1] = dialects;
            if vic04.is_none() && vic1.is_none() {
                (vic04, vic1) = (Some(KeyOptions::default()), Some(KeyOptions::default()));
            }
            let key = |options: Option<KeyOptions>| {
                options
                    .map(|options| options.over(&plain).key(field))
                    .transpose()
            };
            Kind::Stored(Box::new(Stored {
                vic04: key(vic04)?,
                vic1: key(vic1)?,
                chunks: chunks.is_some(),
                with,
            }))
        };
        Ok(Self { kind, default })
    }
}

impl Stored {
    /// Generates the constant that describes the field.
    pub(crate) fn tokens(&self) -> TokenStream {
        let vic04 = key_tokens(self.vic04.as_ref());
        let vic1 = key_tokens(self.vic1.as_ref());
        let chunks = self.chunks;
        quote! {
            ::guestinfo::Field { vic04: #vic04, vic1: #vic1, chunks: #chunks }
        }
    }
}

fn key_tokens(key: Option<&FieldKey>) -> TokenStream {
    let Some(key) = key else {
        return quote!(::core::option::Option::None);
    };
    let leaf = &key.leaf;
    let scope = match key.access {
        // A non-persistent field needs a scope, whose suffix its children inherit.
        None if !key.non_persistent => quote!(::core::option::Option::None),
        None => {
            return Error::new(key.span, "`non_persistent` needs a `scope` next to it")
                .to_compile_error();
        }
        Some(access) => {
            let access = match access {
                Access::Hidden => quote!(HIDDEN),
                Access::ReadOnly => quote!(READ_ONLY),
                Access::ReadWrite => quote!(READ_WRITE),
            };
            let secret = key.secret.then(|| quote!(.secret()));
            let non_persistent = key.non_persistent.then(|| quote!(.non_persistent()));
            quote!(::core::option::Option::Some(
                ::guestinfo::Scope::#access #secret #non_persistent
            ))
        }
    };
    quote! {
        ::core::option::Option::Some(::guestinfo::FieldKey { leaf: #leaf, scope: #scope })
    }
}

pub(crate) fn ours(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("guestinfo"))
}

fn parse_scope(text: &LitStr) -> Result<Access> {
    match text.value().as_str() {
        "hidden" => Ok(Access::Hidden),
        "read-only" => Ok(Access::ReadOnly),
        "read-write" => Ok(Access::ReadWrite),
        _ => Err(Error::new(
            text.span(),
            "unknown scope; allowed are \"hidden\", \"read-only\" and \"read-write\"",
        )),
    }
}

fn parse_with(text: &LitStr) -> Result<Path> {
    if text.value() == "json" {
        return syn::parse_str("::guestinfo::with::json");
    }
    text.parse().map_err(|_| {
        Error::new(
            text.span(),
            "allowed are \"json\" and the path of a module with `to_text` and `from_text`",
        )
    })
}

fn check_leaf(key: &LitStr) -> Result<()> {
    let value = key.value();
    let leaf = value.trim();
    let reason = if leaf.is_empty() {
        "a key is not empty"
    } else if leaf.contains(|c: char| c.is_control() || " #=\"|~@".contains(c)) {
        "a key has no spaces, control characters, `#`, `=`, `\"`, `|`, `~` or `@`"
    } else if leaf.len() > 200 {
        "a key has at most 200 bytes"
    } else if leaf.to_ascii_lowercase().starts_with("guestinfo.") {
        "the prefix `guestinfo.` comes from the scope"
    } else if leaf.starts_with(['.', '/']) || leaf.ends_with(['.', '/']) {
        "a key neither begins nor ends with a separator"
    } else {
        return Ok(());
    };
    Err(Error::new(key.span(), reason))
}
