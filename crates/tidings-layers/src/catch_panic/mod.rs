//! Turns a panic of the handler into an error.
//!
//! **What.** A panic while the handler is called, polled or asked whether it is ready becomes an [`Error`](tidings_core::Error) of the kind
//! [`Panic`](tidings_core::ErrorKind::Panic) that carries the panic's text and asks for another attempt: it counts as a failure like
//! any other, and a message that always panics becomes a dead letter. It counts [`PANICS`](tidings_core::metric::PANICS).
//!
//! **Where.** Innermost: the panic becomes an error where it happens, so that all layers above treat it alike and none is
//! torn down half-way. A panic in a layer of the user's own is therefore not caught here; the runtime gives that message back.
//!
//! **Cancellation.** After a panic the handling is dropped before the error is returned.
//!
//! **What may be broken afterwards.** State that the handler shares with others and was changing when it panicked: a poisoned
//! `Mutex` says so, anything else does not. Nothing is caught in programs built with `panic = "abort"`.
//!
//! ```
//! use tidings_layers::CatchPanicLayer;
//!
//! let layer = CatchPanicLayer::new("acme.registration.1.event.user_created.send_mail");
//! assert_eq!(layer.describe(), "catch_panic: a panic of the handler is a failed handling");
//! ```

mod layer;
mod service;

pub use self::{
    layer::CatchPanicLayer,
    service::{CatchPanic, CatchPanicFuture},
};
