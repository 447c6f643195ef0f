//! Writes the `impl Contract` and the `impl Request`.

mod attributes;
mod duration;
mod members;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Error, Fields, Result, ext::IdentExt as _};

use self::{
    attributes::{Answer, Attributes, Lock},
    members::Members,
};
use crate::{
    contract::{self, Contract},
    naming::message_name,
};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    contract::refuse_what_has_no_contract(input, &contract::REQUEST)?;
    refuse_lists(input)?;
    let mut attributes = Attributes::parse(&input.attrs)?;
    let krate = contract::krate(attributes.krate.take());
    let (exchange, answer, lock) = settle(input, &mut attributes)?;
    let (ident, kind) = (&input.ident, format_ident!("Call"));
    let contract = Contract {
        ident,
        krate: &krate,
        name: exchange,
        version: 1,
        kind: &kind,
        reply: answer.reply(&krate),
        decode: Some(contract::decode(&krate, ident, attributes.is_lax())),
    };
    let lock = lock.consts(&krate);
    let facts = facts(&attributes);
    let validate_reply = answer.validate(&krate);
    let examples = examples(&attributes, &krate);
    Ok(quote! {
        #contract

        #[automatically_derived]
        impl #krate::contract::Request for #ident {
            #facts
            #lock
            #validate_reply
            #examples
        }
    })
}

/// A request is an object: callers in other languages know no other.
fn refuse_lists(input: &DeriveInput) -> Result<()> {
    match &input.data {
        Data::Struct(data) if matches!(&data.fields, Fields::Unnamed(fields) if fields.unnamed.len() != 1) =>
        {
            let message = "a tuple struct cannot be a request: it would be written as a list, where receivers expect an \
                           object; give its fields names";
            Err(Error::new_spanned(&data.fields, message))
        }
        _ => Ok(()),
    }
}

/// What must be said, and what names a member; everything that is wrong is reported at once.
fn settle(input: &DeriveInput, attributes: &mut Attributes) -> Result<(String, Answer, Locked)> {
    let mut errors = Vec::new();
    let exchange = attributes.exchange.take().or_else(|| {
        errors.push(without_exchange(input));
        None
    });
    let answer = attributes.answer.take().or_else(|| {
        errors.push(without_answer(input));
        None
    });
    let members = Members::of(input);
    let lock = match attributes.lock.take() {
        None => Some(Locked::Whole),
        Some(Lock::Off) => Some(Locked::Off),
        Some(Lock::Member(name)) => match members.lock(&name) {
            Ok(member) => Some(Locked::Member(name.value(), member.field.clone())),
            Err(error) => {
                errors.push(error);
                None
            }
        },
    };
    let secrets = attributes.secrets.iter().flatten();
    errors.extend(secrets.filter_map(|path| members.check_secret(path).err()));
    if let (Some(exchange), Some(answer), Some(lock), []) = (exchange, answer, lock, &*errors) {
        return Ok((exchange, answer, lock));
    }
    let all = errors.into_iter().reduce(|mut all, error| {
        all.combine(error);
        all
    });
    Err(all.unwrap_or_else(|| without_exchange(input)))
}

fn without_exchange(input: &DeriveInput) -> Error {
    let guess = message_name(&input.ident.unraw().to_string()).replace('.', "_");
    let message = format!(
        "a request needs the name of its exchange, which callers know: `#[request(exchange = \"{guess}\")]`"
    );
    Error::new_spanned(&input.ident, message)
}

fn without_answer(input: &DeriveInput) -> Error {
    let message = "a request needs an answer: `response = T` for the usual one with a `T` as its data (`response = ()` if it \
                   has none), or `reply = M` for a model of your own";
    Error::new_spanned(&input.ident, message)
}

/// By what requests exclude one another.
enum Locked {
    Whole,
    Off,
    Member(String, syn::Ident),
}

impl Locked {
    fn consts(&self, krate: &TokenStream) -> TokenStream {
        let lock = quote!(#krate::contract::Lock);
        let (lock, value) = match self {
            Self::Whole => (quote!(#lock::Whole), quote!(::core::option::Option::None)),
            Self::Off => (quote!(#lock::Off), quote!(::core::option::Option::None)),
            Self::Member(name, field) => {
                // The span makes the compiler point at the field if its value cannot be written.
                let value = quote_spanned!(field.span()=> #krate::contract::derived::lock_value(&self.#field));
                (quote!(#lock::Member(#name)), value)
            }
        };
        quote! {
            const LOCK: #krate::contract::Lock = #lock;

            fn lock_value(&self) -> ::core::option::Option<::std::string::String> {
                #value
            }
        }
    }
}

impl Answer {
    fn reply(&self, krate: &TokenStream) -> TokenStream {
        match self {
            Self::Response(data) => quote!(#krate::contract::Response<#data>),
            Self::Reply(model) => quote!(#model),
        }
    }

    fn validate(&self, krate: &TokenStream) -> TokenStream {
        let probe = quote!(#krate::contract::probe);
        let checked = match self {
            Self::Response(data) => {
                quote!(reply.check_data(|data: &#data| #probe::Probe(data).check()))
            }
            Self::Reply(_) => quote!(#probe::Probe(reply).check()),
        };
        quote! {
            fn validate_reply(reply: &Self::Reply) -> ::core::result::Result<(), #krate::contract::Invalid> {
                #[allow(unused_imports, reason = "which of the two is used depends on the type")]
                use #probe::{NoRules as _, Rules as _};
                #checked
            }
        }
    }
}

fn facts(attributes: &Attributes) -> TokenStream {
    let secrets = attributes.secrets.iter().flatten();
    let remembered = attributes.remembered.map_or_else(
        || quote!(::core::option::Option::None),
        |duration| {
            let seconds = Literal::u64_unsuffixed(duration.as_secs());
            let nanos = Literal::u32_unsuffixed(duration.subsec_nanos());
            quote!(::core::option::Option::Some(::core::time::Duration::new(#seconds, #nanos)))
        },
    );
    quote! {
        const SECRETS: &'static [&'static str] = &[#(#secrets),*];
        const REMEMBERED: ::core::option::Option<::core::time::Duration> = #remembered;
    }
}

fn examples(attributes: &Attributes, krate: &TokenStream) -> TokenStream {
    let examples = &attributes.examples;
    if examples.is_empty() {
        return TokenStream::new();
    }
    let derived = quote!(#krate::contract::derived);
    quote! {
        fn examples() -> ::std::vec::Vec<#derived::Value> {
            #derived::examples::<Self>(&[#(#examples),*])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::derive;

    fn expand(item: &str) -> Result<String, String> {
        derive(&syn::parse_str(item).unwrap())
            .map(|code| code.to_string().replace(' ', ""))
            .map_err(|errors| {
                errors
                    .into_iter()
                    .map(|error| error.to_string())
                    .collect::<Vec<_>>()
                    .join("\n")
            })
    }

    fn check(settings: &str, expected: &[&str]) {
        let item = format!(
            "#[request({settings})] struct CreateSite {{ #[serde(rename = \"site-name\")] name: String }}"
        );
        let code = expand(&item).unwrap();
        for part in expected {
            assert!(code.contains(part), "{settings}: no {part} in {code}");
        }
    }

    fn refuses(item: &str, expected: &[&str]) {
        let message = expand(item).unwrap_err();
        for part in expected {
            assert!(message.contains(part), "{item}: {message}");
        }
    }

    #[test]
    fn a_request_that_says_the_least_is_locked_as_a_whole_and_strict() {
        check(
            "exchange = \"dx_create_site\", response = Created",
            &[
                "impl::tidings::contract::ContractforCreateSite",
                "NAME:&'staticstr=\"dx_create_site\"",
                "Kind::Call;",
                "typeReply=::tidings::contract::Response<Created>;",
                "of_input::<CreateSite>,::tidings::contract::Rules::Strict",
                "impl::tidings::contract::RequestforCreateSite",
                "LOCK:::tidings::contract::Lock=::tidings::contract::Lock::Whole;",
                "SECRETS:&'static[&'staticstr]=&[];",
                "REMEMBERED:::core::option::Option<::core::time::Duration>=::core::option::Option::None;",
                "reply.check_data(|data:&Created|",
            ],
        );
    }

    #[test]
    fn every_setting_is_written() {
        check(
            "exchange = \"a\", reply = Answer, lock = \"site-name\", lax, secrets(\"site-name\"), remembered = \"90 s\", \
             example = first(), example = second(), crate = tidings_core",
            &[
                "impltidings_core::contract::RequestforCreateSite",
                "typeReply=Answer;",
                "tidings_core::contract::Rules::Lax",
                "Lock::Member(\"site-name\")",
                "derived::lock_value(&self.name)",
                "SECRETS:&'static[&'staticstr]=&[\"site-name\"];",
                "Duration::new(90,0)",
                "derived::examples::<Self>(&[first(),second()])",
                "Probe(reply).check()",
            ],
        );
        check(
            "exchange = \"a\", response = (), lock = off",
            &["Lock::Off;", "Response<()>"],
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        refuses(
            "#[request(lock = \"nmae\", secrets(\"pasword\"))] struct CreateSite { name: String, password: String }",
            &[
                "#[request(exchange = \"create_site\")]",
                "needs an answer",
                "`nmae` is no member",
                "`pasword` is no member",
            ],
        );
    }

    #[test]
    fn refuses_what_is_no_object() {
        let said = "#[request(exchange = \"a\", response = ())]";
        refuses(&format!("{said} struct A(u8, u8);"), &["written as a list"]);
        refuses(&format!("{said} struct A();"), &["written as a list"]);
        refuses(&format!("{said} struct A;"), &["write `struct A {}`"]);
        refuses(
            &format!("{said} union A {{ a: u8 }}"),
            &["cannot be a request"],
        );
        refuses(&format!("{said} struct A<T> {{ a: T }}"), &["generic"]);
        assert!(expand(&format!("{said} struct A(Inside);")).is_ok());
    }
}
