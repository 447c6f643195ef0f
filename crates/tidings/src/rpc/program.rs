//! The consumer program with the transports of this build.

use std::process::ExitCode;

use tidings_core::transport::Registry;
use tower_layer::Identity;

/// Serves the handlers that are linked into it, as a configuration file says.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// #[derive(Clone)]
/// struct Limit(u32);
///
/// fn main() -> ExitCode {
///     tidings::rpc::Program::new().state(Limit(10)).main()
/// }
/// ```
pub type Program<L = Identity> = tidings_consumer::Program<Built, L>;

/// The transports whose Cargo features are on.
#[derive(Clone, Copy, Debug)]
pub struct Built;

impl tidings_consumer::Transports for Built {
    fn transports() -> Registry {
        crate::transports()
    }
}

/// The `main` of a consumer whose handlers need no state: reads the command line and the file that it names, and serves
/// until SIGTERM.
#[must_use]
pub fn main() -> ExitCode {
    Program::new().main()
}
