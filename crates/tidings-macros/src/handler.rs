//! `#[handler]`: leaves the function as it is, and registers it beside it.
//!
//! What can be seen in the text of a function is refused here. What takes types is left to the compiler; the generated
//! code gives each type the place in the text that a complaint about it belongs to.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericParam, ItemFn, Path, Result, ReturnType, Signature, Type,
    ext::IdentExt as _, meta, parse::Parser as _, spanned::Spanned as _,
};

use crate::{attributes::once, contract};

/// Eight extractors and the request.
const MOST: usize = 9;

/// Expands the attribute; a function that is refused stays, so that its callers are not reported as well.
pub(crate) fn expand(said: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = settings(said).and_then(|krate| {
        let function: ItemFn =
            syn::parse2(item.clone()).map_err(|error| not_a_function(&item, error))?;
        registration(&function, &contract::krate(krate))
    });
    let beside = expanded.unwrap_or_else(|error| error.to_compile_error());
    quote!(#item #beside)
}

fn settings(said: TokenStream) -> Result<Option<Path>> {
    let mut krate = None;
    let parser = meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            return once(&mut krate, &meta, |meta| meta.value()?.parse());
        }
        let path = meta.path.get_ident().map(ToString::to_string);
        Err(meta.error(match path.as_deref() {
            Some("exchange" | "lock" | "response" | "reply") => {
                "this belongs to the request: say it in its `#[request(…)]`"
            }
            _ => "unknown setting: `#[handler]` has none but `crate = …`",
        }))
    });
    parser.parse2(said)?;
    Ok(krate)
}

/// A syntax error inside a function is the compiler's to report; anything else is no function.
fn not_a_function(item: &TokenStream, error: Error) -> Error {
    if item.clone().into_iter().any(|token| token.to_string() == "fn") {
        return error;
    }
    let message = "`#[handler]` belongs above an `async fn` whose last argument is a request";
    Error::new(Span::call_site(), message)
}

/// The code that puts the handler into the list of the program.
fn registration(function: &ItemFn, krate: &TokenStream) -> Result<TokenStream> {
    let signature = &function.sig;
    let arguments = arguments(signature)?;
    let (name, registry) = (&signature.ident, quote!(#krate::registry));
    let Some((request, extractors)) = arguments.split_last() else {
        return Err(without_request(signature));
    };
    let cfgs = function.attrs.iter().filter(|it| it.path().is_ident("cfg"));
    let path = name.unraw().to_string();
    let returned = returned(signature);
    Ok(quote! {
        #(#cfgs)*
        const _: () = {
            #registry::inventory::submit! {
                #registry::Registration::new()
            }
        };
    })
}
