//! Writes the `impl Contract`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Result};

use crate::{attributes::Attributes, naming::message_name};

/// What distinguishes one derive from another.
pub(crate) struct Flavour {
    /// The kind and the marker trait.
    kind: &'static str,
    /// The attribute.
    attribute: &'static str,
}

pub(crate) const EVENT: Flavour = Flavour {
    kind: "Event",
    attribute: "event",
};
pub(crate) const COMMAND: Flavour = Flavour {
    kind: "Command",
    attribute: "command",
};

pub(crate) fn derive(input: &DeriveInput, flavour: &Flavour) -> Result<TokenStream> {
    refuse_what_has_no_contract(input, flavour)?;
    let attributes = Attributes::parse(&input.attrs, flavour.attribute)?;
    let krate = attributes
        .krate
        .map_or_else(|| quote!(::tidings), |path| quote!(#path));
    let name = match &attributes.name {
        Some(name) => name.value(),
        None => message_name(&unraw(&input.ident)),
    };
    let version = attributes
        .version
        .map_or_else(|| quote!(1), |version| quote!(#version));
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
    let kind = flavour.attribute;
    if !input.generics.params.is_empty() {
        let message = format!(
            "a generic type cannot be one {kind}: a contract has one name and one schema; wrap the concrete type"
        );
        return Err(Error::new_spanned(&input.generics, message));
    }
    if let Data::Union(data) = &input.data {
        return Err(Error::new_spanned(
            data.union_token,
            format!("a union cannot be an {kind}: it cannot be serialized"),
        ));
    }
    Ok(())
}

/// `r#type` is named `type`.
fn unraw(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#")
        .map_or_else(|| text.clone(), str::to_owned)
}
