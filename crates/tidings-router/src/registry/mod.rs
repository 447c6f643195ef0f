//! Handlers that register themselves, from any crate that is linked into the program.
//!
//! `#[handler]` submits a [`Registration`]; whoever serves asks for [`Registered::all`]. The list is put together by
//! the linker before `main` and never changes. The linker leaves out a crate that the program never names:
//! `use that_crate as _;` names it, and a [`Package`] beside it lets [`Registered::idle_packages`] tell when it
//! brought nothing.
//!
//! ```
//! # extern crate tidings_router as tidings;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tidings_core::{HandlerError, Request, contract::Response};
//! use tidings_router::{State, registry::{Registered, handler}};
//!
//! #[derive(Request, Serialize, Deserialize, JsonSchema)]
//! #[request(exchange = "open_shop", response = ShopOpened, lock = "name")]
//! # #[request(crate = tidings_core)]
//! struct OpenShop {
//!     name: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct ShopOpened {
//!     street: String,
//! }
//!
//! #[handler]
//! async fn open_shop(State(street): State<String>, request: OpenShop) -> Result<Response<ShopOpened>, HandlerError> {
//!     Ok(Response::success(format!("{} is open", request.name), ShopOpened { street }))
//! }
//!
//! let all = Registered::all()?;
//! assert!(all.get("open_shop").is_some());
//! # Ok::<(), tidings_core::Error>(())
//! ```

mod registered;
mod request_info;
#[doc(hidden)]
pub mod written;

use crate::{AnyHandler, States};

#[doc(hidden)]
pub use inventory;
#[doc(inline)]
pub use tidings_core::handler;

pub use self::{registered::Registered, request_info::RequestInfo};
#[doc(inline)]
pub use crate::{handlers_from, register_handler, register_package};

/// One handler that registered itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Registration {
    /// What it handles.
    pub request: RequestInfo,
    /// Makes the handler.
    pub handler: fn() -> AnyHandler<States>,
    /// The crate that it is in, with underscores.
    pub package: &'static str,
    /// The function, with its path.
    pub function: &'static str,
    /// File and line.
    pub at: &'static str,
}

impl Registration {
    /// A handler of this request; `function` is its path, which begins with the name of its crate.
    #[must_use]
    pub const fn new(
        request: RequestInfo,
        handler: fn() -> AnyHandler<States>,
        function: &'static str,
        at: &'static str,
    ) -> Self {
        Self {
            request,
            handler,
            package: krate(function),
            function,
            at,
        }
    }

    /// The exchange of its requests: the name of the contract.
    #[must_use]
    pub const fn exchange(&self) -> &'static str {
        self.request.contract.name
    }
}

/// A crate that is expected to bring handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// Its name in paths, with underscores.
    pub name: &'static str,
    /// File and line where it is expected.
    pub at: &'static str,
}

impl Package {
    /// The crate with this name in paths.
    #[must_use]
    pub const fn new(name: &'static str, at: &'static str) -> Self {
        Self { name, at }
    }
}

inventory::collect!(Registration);
inventory::collect!(Package);

/// The first step of a path.
const fn krate(path: &'static str) -> &'static str {
    let mut end = 0;
    while end < path.len() && path.as_bytes()[end] != b':' {
        end += 1;
    }
    path.split_at(end).0
}

/// Registers a handler, as `#[handler]` does.
///
/// It asks for what [`AnyHandler::of_request`](crate::AnyHandler::of_request) asks for, and is for handlers that no
/// attribute can be put on, such as those that another macro writes.
#[macro_export]
macro_rules! register_handler {
    ($request:ty, $function:ident) => {
        $crate::registry::inventory::submit! {
            $crate::registry::Registration::new(
                $crate::registry::RequestInfo::of::<$request>(),
                || $crate::AnyHandler::of_request($function),
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!($function)),
                ::core::concat!(::core::file!(), ":", ::core::line!()),
            )
        }
    };
}

/// Names a crate so that the linker keeps its handlers, and expects it to have some.
#[macro_export]
macro_rules! register_package {
    ($package:ident) => {
        use ::$package as _;
        $crate::registry::inventory::submit! {
            $crate::registry::Package::new(
                ::core::stringify!($package),
                ::core::concat!(::core::file!(), ":", ::core::line!()),
            )
        }
    };
}

/// Serves the handlers of these crates: names them, so that the linker keeps them, and expects each to have some.
///
/// Written beside `main`, outside of functions. A crate is named as in paths, with underscores; a crate without any
/// handler is in [`Registered::idle_packages`](crate::registry::Registered::idle_packages).
///
/// ```text
/// tidings::handlers_from!(site_handlers, database_handlers);
/// ```
#[macro_export]
macro_rules! handlers_from {
    ($($package:ident),+ $(,)?) => {
        $($crate::register_package!($package);)+
    };
}
