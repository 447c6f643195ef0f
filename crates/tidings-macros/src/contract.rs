//! Writes the `impl Contract`.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::{attributes::Attributes, naming::message_name};

/// What distinguishes one derive from another.
pub(crate) struct Flavour {
    /// The kind and the marker trait.
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

pub(crate) fn derive(input: &DeriveInput, flavour: &Flavour) -> Result<TokenStream> {
    refuse_what_has_no_contract(input, flavour)?;
    let attributes = Attributes::parse(&input.attrs, flavour.attribute)?;
    let krate = attributes
        .krate
        .map_or_else(|| quote!(::tidings), |path| quote!(#path));
    let name = attributes
        .name
        .unwrap_or_else(|| message_name(&unraw(&input.ident)));
    let version = Literal::u32_unsuffixed(attributes.version.unwrap_or(1));
    let (ident, kind) = (&input.ident, format_ident!("{}", flavour.kind));
    Ok(quote! {
        #[automatically_derived]
        impl #krate::contract::Contract for #ident {
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            const KIND: #krate::contract::Kind = #krate::contract::Kind::#kind;
            type Reply = ();

            fn validate(&self) -> ::core::result::Result<(), #krate::contract::Invalid> {
                #[allow(unused_imports, reason = "which of the two is used depends on the type")]
                use #krate::contract::probe::{NoRules as _, Rules as _};
                #krate::contract::probe::Probe(self).check()
            }
        }

        #[automatically_derived]
        impl #krate::contract::#kind for #ident {}
    })
}

fn refuse_what_has_no_contract(input: &DeriveInput, flavour: &Flavour) -> Result<()> {
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

/// `r#type` is named `type`.
fn unraw(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#")
        .map_or_else(|| text.clone(), str::to_owned)
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
    fn refuses_what_has_no_one_shape() {
        refuses("struct A<T> { t: T }", &EVENT, "generic");
        refuses("struct A<'a> { t: &'a str }", &EVENT, "generic");
        refuses("union A { a: u8 }", &EVENT, "cannot be an event");
        refuses("union A { a: u8 }", &COMMAND, "cannot be a command");
        refuses("struct A;", &COMMAND, "write `struct A {}`");
    }
}
