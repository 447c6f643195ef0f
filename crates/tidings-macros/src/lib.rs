//! The derives of Tidings, which put the contract where the type is, and `#[handler]`, which registers a function.
//!
//! Generated code is what a person would write: one `impl Contract` and one marker or `impl Request`; one entry in the
//! list of handlers.

mod attributes;
mod contract;
mod handler;
mod naming;
mod request;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a type an event: a fact that any number of subscribers may receive.
///
/// Written above the type, beside `Serialize`, `Deserialize` and `JsonSchema`; `#[event(…)]` changes what is
/// derived. The trait `Contract` has an example.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `name = "user.signed_up"` | the dotted name | the type's own, split before every ASCII capital and joined by dots: `UserCreated` is `user.created` |
/// | `version = 2` | the version, 0 or more | 1 |
/// | `lax` | numbers and booleans may be spelled as Python's pydantic reads them (`"3"` for 3), and what does not fit is told member by member | no |
/// | `crate = tidings_core` | where the generated code finds `contract` | `::tidings` |
///
/// A type that also derives `garde::Validate` is validated before it is published and after it is received.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    derive(input, &contract::EVENT)
}

/// Makes a type a command: a request to act, for exactly one subscriber.
///
/// Name and version follow the rules of [`Event`](macro@Event); the attribute is `#[command(…)]`.
#[proc_macro_derive(Command, attributes(command))]
pub fn derive_command(input: TokenStream) -> TokenStream {
    derive(input, &contract::COMMAND)
}

/// Makes a type a request: a question to one receiver, which answers.
///
/// Written above the type, beside `Serialize`, `Deserialize` and `JsonSchema`. The trait `Request` has an example.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `exchange = "create_site"` | the name, which is an exchange where there are exchanges | required |
/// | `response = T` | the answer is a `Response<T>`: success, message, and a `T` as data; `()` for none | one of the two |
/// | `reply = M` | the answer is an `M` | is required |
/// | `lock = "domain"` | requests with equal values of this member are handled one at a time | one request at a time, whatever it says |
/// | `lock = off` | requests are handled side by side | |
/// | `lax` | numbers and booleans may be spelled as Python's pydantic reads them: `"3"` for 3, `"yes"` for true | a number is a number |
/// | `secrets("password", "db.password")` | members that no log, journal or broker may see in clear, as paths | none |
/// | `remembered = "10 min"` | how long the answer is kept for a request that is delivered again; a number is seconds | it is handled again |
/// | `example = CreateSite { … }` | a request as it may be sent; may be said several times | none |
/// | `crate = tidings_core` | where the generated code finds `contract` | `::tidings` |
///
/// Members are named as callers write them, after `#[serde(rename)]`. A lock or a secret that names no member does not
/// compile. A type that also derives `garde::Validate` is validated, and so are answers before they are sent.
#[proc_macro_derive(Request, attributes(request))]
pub fn derive_request(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    request::derive(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Registers an async function as the handler of its last argument, a request.
///
/// The function stays as it is: it can be called and tested. Every program that links its crate finds it, if it names
/// the crate: `handlers_from!(the_crate)`, or `use the_crate as _;`. The module `registry` has an example.
///
/// The arguments before the request are extractors. `State<T>` is whatever the program was given of type `T`. The
/// function returns the reply that the request's derive names, or a `Result` of it with any error.
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `crate = tidings_router` | where the generated code finds `registry` | `::tidings` |
#[proc_macro_attribute]
pub fn handler(said: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(said.into(), &item.into()).into()
}

fn derive(input: TokenStream, flavour: &contract::Flavour) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    contract::derive(&input, flavour)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
