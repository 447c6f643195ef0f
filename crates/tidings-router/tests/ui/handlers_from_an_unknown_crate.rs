//! A crate whose handlers are expected is a dependency; a module of this crate is not one.

mod rooms {}

tidings_router::registry::handlers_from!(rooms, site_handlers);

fn main() {}
