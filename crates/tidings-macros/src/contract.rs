//! Writes the `impl Contract`.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Ident, Path, Result, ext::IdentExt as _};

use crate::{attributes::Attributes, naming::message_name};

/// What distinguishes one derive from another.
pub(crate) struct Flavour {
    /// The kind; of events and commands also the marker trait.
    kind: &'static str,
    /// The attribute.
    attribute: &'static str,
    /// What precedes it in a sentence.
    article: &'static str,
}

pub(crate) const EVENT: Flavour = Flavour {
    kind: "Event",
    attribute: "event",
    article: "an",
};
pub(crate) const COMMAND: Flavour = Flavour {
    kind: "Command",
    attribute: "command",
    article: "a",
};
pub(crate) const REQUEST: Flavour = Flavour {
    kind: "Call",
    attribute: "request",
    article: "a",
};

pub(crate) fn derive(input: &DeriveInput, flavour: &Flavour) -> Result<TokenStream> {
    refuse_what_has_no_contract(input, flavour)?;
    let attributes = Attributes::parse(&input.attrs, flavour.attribute)?;
    let is_lax = attributes.is_lax();
    let krate = krate(attributes.krate);
    let ident = &input.ident;
    let kind = format_ident!("{}", flavour.kind);
    let contract = Contract {
        ident,
        krate: &krate,
        name: attributes
            .name
            .unwrap_or_else(|| message_name(&ident.unraw().to_string())),
        version: attributes.version.unwrap_or(1),
        kind: &kind,
        reply: quote!(()),
        // Strict is what a contract does by itself.
        decode: is_lax.then(|| decode(&krate, ident, true)),
    };
    Ok(quote! {
        #contract

        #[automatically_derived]
        impl #krate::contract::#kind for #ident {}
    })
}

/// Where the generated code finds `contract`.
pub(crate) fn krate(said: Option<Path>) -> TokenStream {
    said.map_or_else(|| quote!(::tidings), |path| quote!(#path))
}

/// An `impl Contract`.
pub(crate) struct Contract<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) krate: &'a TokenStream,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) kind: &'a Ident,
    pub(crate) reply: TokenStream,
    /// What is read, if it is not read as every contract is.
    pub(crate) decode: Option<TokenStream>,
}

impl ToTokens for Contract<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            ident,
            krate,
            name,
            kind,
            reply,
            decode,
            ..
        } = self;
        let version = Literal::u32_unsuffixed(self.version);
        tokens.extend(quote! {
            #[automatically_derived]
            impl #krate::contract::Contract for #ident {
                const NAME: &'static str = #name;
                const VERSION: u32 = #version;
                const KIND: #krate::contract::Kind = #krate::contract::Kind::#kind;
                type Reply = #reply;

                fn validate(&self) -> ::core::result::Result<(), #krate::contract::Invalid> {
                    #[allow(unused_imports, reason = "which of the two is used depends on the type")]
                    use #krate::contract::probe::{NoRules as _, Rules as _};
                    #krate::contract::probe::Probe(self).check()
                }

                #decode
            }
        });
    }
}

/// Decoding that tells every member that does not fit, and forgives spellings if it is lax.
pub(crate) fn decode(krate: &TokenStream, ident: &Ident, is_lax: bool) -> TokenStream {
    let rules = format_ident!("{}", if is_lax { "Lax" } else { "Strict" });
    quote! {
        fn decode(
            format: #krate::contract::derived::Format,
            body: &[u8],
        ) -> #krate::contract::derived::Result<Self> {
            static SHAPE: #krate::contract::Shape = #krate::contract::Shape::new(
                #krate::schema::of_input::<#ident>,
                #krate::contract::Rules::#rules,
            );
            SHAPE.decode(format, body)
        }
    }
}

pub(crate) fn refuse_what_has_no_contract(input: &DeriveInput, flavour: &Flavour) -> Result<()> {
    if !input.generics.params.is_empty() {
        let message = "a generic type has no contract: a contract has one name and one schema; \
                       derive it for a concrete type that wraps this one";
        return Err(Error::new_spanned(&input.generics, message));
    }
    let article = flavour.article;
    let kind = flavour.attribute;
    match &input.data {
        Data::Union(data) => Err(Error::new_spanned(
            data.union_token,
            format!("a union cannot be {article} {kind}: it cannot be serialized"),
        )),
        Data::Struct(data) if matches!(data.fields, Fields::Unit) => {
            let ident = &input.ident;
            Err(Error::new_spanned(
                ident,
                format!(
                    "a unit struct cannot be {article} {kind}: it would be written as `null`, where \
                     receivers expect an object; write `struct {ident} {{}}`"
                ),
            ))
        }
        Data::Struct(_) | Data::Enum(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMAND, EVENT, Flavour, derive};

    fn expand(item: &str, flavour: &Flavour) -> Result<String, String> {
        derive(&syn::parse_str(item).unwrap(), flavour)
            .map(|code| code.to_string().replace(' ', ""))
            .map_err(|error| error.to_string())
    }

    fn check(item: &str, flavour: &Flavour, expected: &[&str]) {
        let code = expand(item, flavour).unwrap();
        for part in expected {
            assert!(code.contains(part), "{item}: no {part} in {code}");
        }
    }

    fn refuses(item: &str, flavour: &Flavour, expected: &str) {
        let message = expand(item, flavour).unwrap_err();
        assert!(message.contains(expected), "{item}: {message}");
    }

    #[test]
    fn names_the_contract_after_the_type_unless_told_otherwise() {
        check(
            "struct UserCreated {}",
            &EVENT,
            &[
                "impl::tidings::contract::ContractforUserCreated",
                "NAME:&'staticstr=\"user.created\"",
                "VERSION:u32=1;",
                "Kind::Event;",
                "impl::tidings::contract::EventforUserCreated",
            ],
        );
        check(
            "#[command(name = \"user.create\", version = 3, crate = tidings_core)] enum X { A }",
            &COMMAND,
            &[
                "impltidings_core::contract::ContractforX",
                "\"user.create\"",
                "VERSION:u32=3;",
                "Kind::Command;",
                "impltidings_core::contract::CommandforX",
            ],
        );
        check("struct r#type {}", &EVENT, &["NAME:&'staticstr=\"type\""]);
    }

    #[test]
    fn only_who_says_lax_pays_for_it() {
        let strict = expand("struct A {}", &EVENT).unwrap();
        assert!(!strict.contains("fndecode"), "{strict}");
        let parts = ["fndecode", "of_input::<A>", "contract::Rules::Lax"];
        check("#[event(lax)] struct A {}", &EVENT, &parts);
    }

    #[test]
    fn refuses_what_has_no_one_shape() {
        refuses("struct A<T> { t: T }", &EVENT, "generic");
        refuses("struct A<'a> { t: &'a str }", &EVENT, "generic");
        refuses("union A { a: u8 }", &EVENT, "cannot be an event");
        refuses("union A { a: u8 }", &COMMAND, "cannot be a command");
        refuses("struct A;", &COMMAND, "write `struct A {}`");
    }
}
