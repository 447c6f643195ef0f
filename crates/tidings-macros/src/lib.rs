//! The derives of Tidings: they put the contract where the type is.
//!
//! Generated code is what a person would write: one `impl Contract` and one marker.

mod attributes;
mod contract;
mod naming;

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

fn derive(input: TokenStream, flavour: &contract::Flavour) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    contract::derive(&input, flavour)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
