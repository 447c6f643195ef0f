//! What `#[handler]` writes calls: functions that each ask one thing of one type.
//!
//! One function with all the bounds would do, but the compiler would then blame the name of the handler for everything;
//! asked apart, it points at the argument, the request or the answer that does not fit. Called by generated code only:
//! it may change in any version.

use std::{fmt, sync::Arc};

use tidings_core::{
    codec::Format,
    contract::Request,
    error::Result,
    extract::{FromCall, Scope},
    message::FromMessage as _,
};

use crate::{
    AnswerOf, AnyHandler, Handling, States,
    handler::{self, Erased, Write},
};

/// The handler that asks its arguments for what they need in `check`, and makes and answers in `call`.
pub fn handler<R: Request>(
    name: &'static str,
    check: impl Fn(&States) -> Result<()> + Send + Sync + 'static,
    call: impl Fn(&Scope<'_, States>, Format) -> Result<Handling> + Send + Sync + 'static,
) -> AnyHandler<States> {
    AnyHandler::answering::<R>(Arc::new(Written { name, check, call }))
}

/// Whether the state has what an extractor needs.
///
/// # Errors
/// What is missing.
pub fn check<T: FromCall<States>>(states: &States) -> Result<()> {
    T::check(states)
}

/// Makes the argument that is an extractor.
///
/// # Errors
/// What kept it from being made.
pub fn extract<T: FromCall<States>>(scope: &Scope<'_, States>) -> Result<T> {
    T::from_call(scope)
}

/// Makes the last argument.
///
/// # Errors
/// What is wrong with the request.
pub fn request<R: Request>(scope: &Scope<'_, States>, format: Format) -> Result<R> {
    R::from_message(scope.opened, format)
}

/// The reply that a contract names, and how it is written.
pub struct Promised<P>(Write<P>);

/// What the contract of this request promises.
#[must_use]
pub fn promised<R: Request>() -> Promised<R::Reply> {
    Promised(handler::write::<R>)
}

/// Waits for the handler, and writes what it returns.
pub fn answer<P, F>(promised: &Promised<P>, handling: F, format: Format) -> Handling
where
    P: 'static,
    F: Future<Output: AnswerOf<P>> + Send + 'static,
{
    handler::answer(promised.0, handling, format)
}

impl<P> fmt::Debug for Promised<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promised")
    }
}

/// A handler made of closures.
struct Written<Check, Call> {
    name: &'static str,
    check: Check,
    call: Call,
}

impl<Check, Call> Erased<States> for Written<Check, Call>
where
    Check: Fn(&States) -> Result<()> + Send + Sync,
    Call: Fn(&Scope<'_, States>, Format) -> Result<Handling> + Send + Sync,
{
    fn call(&self, scope: &Scope<'_, States>, format: Format) -> Result<Handling> {
        (self.call)(scope, format)
    }

    fn check(&self, states: &States) -> Result<()> {
        (self.check)(states)
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

impl<Check, Call> fmt::Debug for Written<Check, Call> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
