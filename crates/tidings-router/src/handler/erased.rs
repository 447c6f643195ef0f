//! The one seam where a handler's type is forgotten, so that a router can hold many.

use std::{fmt, marker::PhantomData, sync::Arc};

use tidings_core::{codec::Format, error::Result, extract::Scope};

use crate::handler::{Handler, Handling};

/// A handler whose argument types are forgotten.
pub(crate) type ErasedHandler<S> = Arc<dyn Erased<S>>;

/// What remains of a handler.
pub(crate) trait Erased<S>: Send + Sync {
    /// As [`Handler::call`].
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling>;
}

struct Typed<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<H: Handler<Args, S>, Args, S> Erased<S> for Typed<H, Args> {
    fn call(&self, scope: &Scope<'_, S>, format: Format) -> Result<Handling> {
        self.handler.call(scope, format)
    }
}

/// Forgets the types of a handler's arguments.
pub(crate) fn erase<H, Args, S>(handler: H) -> ErasedHandler<S>
where
    H: Handler<Args, S>,
    Args: 'static,
{
    Arc::new(Typed {
        handler,
        args: PhantomData,
    })
}

impl<S> fmt::Debug for dyn Erased<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
