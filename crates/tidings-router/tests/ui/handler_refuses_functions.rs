//! What can be seen in the text of a function is refused with a sentence.

use tidings_router::registry::handler;

#[handler]
fn not_async(request: CreateSite) -> Response<SiteCreated> {}

#[handler]
async fn generic<T>(request: T) -> Response<SiteCreated> {}

#[handler]
async fn lifetime<'a>(request: CreateSite<'a>) -> Response<SiteCreated> {}

#[handler]
async fn anything(request: impl Send) -> Response<SiteCreated> {}

#[handler]
async fn borrows(request: &CreateSite) -> Response<SiteCreated> {}

#[handler]
async fn nothing() -> Response<SiteCreated> {}

#[handler]
async fn too_many(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I, request: CreateSite) {}

#[handler]
async unsafe fn not_safe(request: CreateSite) -> Response<SiteCreated> {}

#[handler]
async extern "C" fn foreign(request: CreateSite) -> Response<SiteCreated> {}

#[handler(exchange = "create_site")]
async fn says_the_contract(request: CreateSite) -> Response<SiteCreated> {}

#[handler(retries = 3)]
async fn says_anything(request: CreateSite) -> Response<SiteCreated> {}

#[handler]
struct NoFunction;

struct Sites;

impl Sites {
    #[handler]
    async fn method(&self, request: CreateSite) -> Response<SiteCreated> {}
}

fn main() {}
