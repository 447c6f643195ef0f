//! `#[handler]`: leaves the function as it is, and registers it beside it.
//!
//! What can be seen in the text of a function is refused here. What takes types is left to the compiler; the generated
//! code gives each type the place in the text that a complaint about it belongs to.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, FnArg, Ident, ItemFn, Path, Result, Signature, Type, ext::IdentExt as _, meta,
    parse::Parser as _, spanned::Spanned as _,
};

use crate::{attributes::once, contract};

/// Eight extractors and the request.
const MOST: usize = 9;

/// Expands the attribute. A function that is refused stays, so that whoever calls it is not reported as well.
pub(crate) fn expand(said: TokenStream, item: &TokenStream) -> TokenStream {
    let registered = settings(said).and_then(|krate| {
        let function = syn::parse2(item.clone()).map_err(|error| not_a_function(item, error))?;
        registration(&function, &contract::krate(krate))
    });
    let registered = registered.unwrap_or_else(|error| error.to_compile_error());
    quote! {
        #[allow(clippy::unused_async, reason = "a handler is async whether or not it waits for anything")]
        #item
        #registered
    }
}

fn settings(said: TokenStream) -> Result<Option<Path>> {
    let mut krate = None;
    let parser = meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            return once(&mut krate, &meta, |meta| meta.value()?.parse());
        }
        let name = meta.path.get_ident().map(ToString::to_string);
        Err(meta.error(match name.as_deref() {
            Some("exchange" | "response" | "reply" | "lock" | "lax" | "secrets" | "remembered") => {
                "this is part of the contract: say it in the `#[request(…)]` of the request"
            }
            _ => "unknown setting: a handler has none but `crate = …`",
        }))
    });
    parser.parse2(said)?;
    Ok(krate)
}

/// What is wrong with the text of a function the compiler says better; anything else is no function.
fn not_a_function(item: &TokenStream, error: Error) -> Error {
    let mut tokens = item.clone().into_iter();
    if tokens.any(|token| token.to_string() == "fn") {
        return error;
    }
    let message = "`#[handler]` belongs above an `async fn` whose last argument is a request";
    Error::new(Span::call_site(), message)
}

/// The code that adds the function to the handlers of the program.
fn registration(function: &ItemFn, krate: &TokenStream) -> Result<TokenStream> {
    let signature = &function.sig;
    refuse_what_cannot_be_called(signature)?;
    let arguments = arguments(signature)?;
    let Some(request) = arguments.last() else {
        return Err(without_request(signature));
    };
    let cfgs = function.attrs.iter().filter(|it| it.path().is_ident("cfg"));
    let path = signature.ident.unraw().to_string();
    let registry = quote!(#krate::registry);
    let facts = placed(&registry, request.span());
    let facts = quote_spanned!(request.span()=> #facts::RequestInfo::of::<#request>());
    let handler = handler(signature, &arguments, &registry);
    Ok(quote! {
        #(#cfgs)*
        #registry::inventory::submit! {
            #registry::Registration::new(
                #facts,
                || #handler,
                ::core::concat!(::core::module_path!(), "::", #path),
                ::core::concat!(::core::file!(), ":", ::core::line!()),
            )
        }
    })
}

/// The handler as a value. Whatever is asked of a type is asked where the type is written, and of the answer where the
/// function is named: the compiler points there, and says a thing once that it finds twice at one place.
fn handler(signature: &Signature, arguments: &[&Type], registry: &TokenStream) -> TokenStream {
    let Some((request, extractors)) = arguments.split_last() else {
        return TokenStream::new();
    };
    let name = &signature.ident;
    // Not the function's own names: it could have the name of one of these.
    let [states, scope, format] =
        ["states", "scope", "format"].map(|name| Ident::new(name, Span::mixed_site()));
    let written = |at| placed(&quote!(#registry::written), at);
    let asked = |extractor: &&&Type, what: &str, of: &Ident| {
        let (at, what) = (extractor.span(), Ident::new(what, extractor.span()));
        let written = written(at);
        quote_spanned!(at=> #written::#what::<#extractor>(#of)?)
    };
    let checks = extractors.iter().map(|it| asked(&it, "check", &states));
    let made = extractors.iter().map(|it| asked(&it, "extract", &scope));

    let (here, there) = (request.span(), name.span());
    let (at_request, at_name) = (written(here), written(there));
    let read = quote_spanned!(here=> #at_request::request::<#request>(#scope, #format)?);
    let promised = quote_spanned!(here=> &#at_request::promised::<#request>());
    let handling = quote_spanned!(there=> #name(#(#made,)* #read));
    let answer = quote_spanned!(there=> #at_name::answer(#promised, #handling, #format));
    let handler = quote_spanned!(here=> #at_request::handler::<#request>);
    let path = name.unraw().to_string();
    quote! {
        #handler(
            ::core::concat!(::core::module_path!(), "::", #path),
            |#states| {
                let _ = #states;
                #(#checks;)*
                ::core::result::Result::Ok(())
            },
            |#scope, #format| ::core::result::Result::Ok(#answer),
        )
    }
}

/// A path that means what it meant, and of which the compiler says that it is written there.
fn placed(path: &TokenStream, there: Span) -> TokenStream {
    let placed = path.clone().into_iter().map(|mut token| {
        token.set_span(there.resolved_at(token.span()));
        token
    });
    placed.collect()
}

fn refuse_what_cannot_be_called(signature: &Signature) -> Result<()> {
    let refused = |what: &dyn ToTokens, message: &str| Err(Error::new_spanned(what, message));
    if !signature.generics.params.is_empty() {
        let message = "a handler is registered once, for one request: it cannot be generic; write a handler for each type \
                       that calls this function";
        return refused(&signature.generics, message);
    }
    if signature.asyncness.is_none() {
        let message = "a handler is an `async fn`, because it shares its thread with others: write `async fn`, and put \
                       work that blocks into `tokio::task::spawn_blocking`";
        return refused(&signature.fn_token, message);
    }
    if let Some(unsafety) = &signature.unsafety {
        return refused(
            unsafety,
            "a handler is called by a runtime, which can prove nothing: it cannot be `unsafe`",
        );
    }
    if let Some(abi) = &signature.abi {
        return refused(
            abi,
            "a handler is called by Rust code only: leave the ABI out",
        );
    }
    Ok(())
}

/// The types of the arguments.
fn arguments(signature: &Signature) -> Result<Vec<&Type>> {
    if signature.inputs.len() > MOST {
        let message = format!(
            "a handler has at most {MOST} arguments: put what belongs together into one type that implements `FromCall`, \
             or into one state"
        );
        return Err(Error::new_spanned(&signature.inputs, message));
    }
    signature.inputs.iter().map(argument).collect()
}

fn argument(argument: &FnArg) -> Result<&Type> {
    let FnArg::Typed(argument) = argument else {
        let message = "a handler is a function, not a method: there is nobody whose `self` it could be; ask for `State<T>`";
        return Err(Error::new_spanned(argument, message));
    };
    match &*argument.ty {
        Type::Reference(reference) => {
            let owned = reference.elem.to_token_stream();
            let message = format!(
                "a handler owns its arguments, because it outlives the delivery: take `{owned}`"
            );
            Err(Error::new_spanned(reference, message))
        }
        Type::ImplTrait(anything) => {
            let message =
                "a handler is registered once, for one request: name the type of this argument";
            Err(Error::new_spanned(anything, message))
        }
        named => Ok(named),
    }
}

fn without_request(signature: &Signature) -> Error {
    let message =
        "a handler needs a request: it is the last argument, and says which exchange this handles";
    Error::new_spanned(&signature.ident, message)
}
