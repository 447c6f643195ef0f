//! The program: it serves whatever handlers are linked, as a configuration file says.
//!
//! ```text
//! tidings-example-consumer --virtual-host-name=servers --config-file-path=rpc.yml
//! ```

use std::process::ExitCode;

// Names the crates with handlers, so that the linker keeps them.
tidings::handlers_from!(tidings_example_consumer);

fn main() -> ExitCode {
    tidings::rpc::main()
}
