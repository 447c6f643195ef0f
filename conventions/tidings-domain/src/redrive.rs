//! From the dead letters back into the queue where they came from.

use tidings_core::{Address, Call, Envelope, Headers, error::Result, headers};

use crate::{names, place::Place, recover::copy::forget_deaths};

/// What begins the headers that say how a message failed.
const OURS: &str = "tidings-";

/// The call that puts a dead letter into its main queue again, as if it had never failed.
///
/// Its body is unchanged, or what the caller has made of it. The count of redeliveries, the broker's history
/// and everything that [`Domain`](crate::Domain) wrote about the failure are gone; `queue` says where it belongs, so
/// that a failure is retried by whichever system takes it. Other headers and properties stay. It goes to the
/// queue by name, so it reaches this subscriber only.
///
/// ```
/// use tidings_core::{Address, Call, Envelope, Headers};
///
/// let headers = Headers::new().with("redelivery_count", 6).with("tidings-reason", "max_retries");
/// let key = "dead_letter.acme.shop.1.event.order_placed.bill";
/// let dead = Call::new(Address::new("dead_letter.acme.shop", key), Envelope::new("{}").with_headers(headers));
/// let call = tidings_domain::redrive(&dead)?;
/// assert_eq!(&*call.address.key, "acme.shop.1.event.order_placed.bill");
/// assert_eq!(call.envelope.headers.len(), 1, "only `queue` is left");
/// # Ok::<_, tidings_core::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Misuse`](tidings_core::ErrorKind::Misuse) if the call came out of a queue that holds no dead letters.
pub fn redrive(dead: &Call) -> Result<Call> {
    let queue = match &dead.origin {
        Some(origin) => &origin.queue,
        None => &dead.address.key,
    };
    let place = Place::of(queue);
    if !place.dead {
        return Err(names::misuse(format!(
            "queue `{queue}` holds no dead letters: redrive from one whose name begins with `dead_letter.`"
        )));
    }
    let mut envelope = forget_failures(dead.envelope.clone());
    envelope.headers.remove(headers::QUEUE);
    if !place.is_store() {
        envelope.headers.set(headers::QUEUE, place.base);
    }
    Ok(Call::new(Address::queue(place.base), envelope))
}

/// The envelope as if it had never failed: without the count of redeliveries, the broker's history, what
/// [`Domain`](crate::Domain) wrote about the failure, and an expiration that would end it in its new queue as well.
#[must_use]
pub fn forget_failures(mut envelope: Envelope) -> Envelope {
    forget_deaths(&mut envelope.headers);
    envelope
        .headers
        .retain(|name| name != headers::REDELIVERY_COUNT && !name.starts_with(OURS));
    if envelope.properties.expiration().is_some() {
        envelope.properties.fields_mut().expiration = None;
    }
    envelope
}

/// The call that sends a message to a retry exchange without any header, as the existing tools requeue.
///
/// It waits for the retry TTL and is then in the main queue that the key names. For the store the exchange is
/// [`Names::store_retry_exchange`](names::Names::store_retry_exchange) and the key [`names::RETRY_STORE`].
#[must_use]
pub fn requeue(call: &Call, exchange: &str, key: &str) -> Call {
    let envelope = call.envelope.clone().with_headers(Headers::new());
    Call::new(Address::new(exchange, key), envelope)
}
