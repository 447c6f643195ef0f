//! The application's state as an argument.

mod states;

use std::ops::{Deref, DerefMut};

use tidings_core::{
    error::Result,
    extract::{FromCall, Scope},
};

pub use self::states::States;

/// The application's state, or a part of it that implements [`FromState`].
///
/// ```
/// # use tidings_router::State;
/// #[derive(Clone)]
/// struct Mailer;
///
/// async fn send_mail(State(mailer): State<Mailer>) { /* … */ }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct State<T>(pub T);

/// A part of the state that a handler may ask for by its own type.
///
/// ```
/// # use tidings_core::error::Result;
/// # use tidings_router::FromState;
/// # #[derive(Clone)]
/// # struct Mailer;
/// struct App {
///     mailer: Mailer,
/// }
///
/// impl FromState<App> for Mailer {
///     fn from_state(app: &App) -> Result<Self> {
///         Ok(app.mailer.clone())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not part of the state `{S}`",
    label = "this handler asks for another state than the router's",
    note = "ask for `State<{S}>`, give the router a `{Self}` in `with_state`, or implement `FromState<{S}>` for `{Self}`"
)]
pub trait FromState<S>: Sized {
    /// Copies the part out. Asked for every message, and once before the first: a part that is missing keeps the
    /// server from starting.
    ///
    /// # Errors
    /// That the part is missing, and how to give it.
    fn from_state(state: &S) -> Result<Self>;
}

impl<S: Clone> FromState<S> for S {
    fn from_state(state: &S) -> Result<Self> {
        Ok(state.clone())
    }
}

impl<S, T: FromState<S>> FromCall<S> for State<T> {
    fn from_call(scope: &Scope<'_, S>) -> Result<Self> {
        T::from_state(scope.state).map(Self)
    }

    fn check(state: &S) -> Result<()> {
        T::from_state(state).map(drop)
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for State<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
