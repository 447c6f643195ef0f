//! What a caller gets: the handler's reply as it is, or a failure in the words that deployed callers know.

use serde::Serialize;
use tidings_core::{
    Address, Call, Envelope, Error, ErrorKind, Fault, Payload, Reply,
    codec::Format,
    contract::{Invalid, Place, Violation},
    error::Result,
    properties::Fields,
};

/// The message of an answer to a request whose handling failed for a reason that is not the caller's business.
pub const UNEXPECTED: &str = "An unexpected error occurred";

/// The message of an answer to a request that does not fit its contract.
pub const REFUSED: &str = "Request validation failed";

/// Replies to the pseudo-queue of direct replies do not pass an exchange.
const DIRECT: &str = "amq.rabbitmq.reply-to.";

/// The answer to a request, addressed to whoever waits for it; `None` if nobody does.
///
/// It goes through the exchange that the request came from, with the reply address as its key: that is what the
/// caller has bound its reply queue to.
pub(crate) fn to(call: &Call, outcome: Result<&Reply, &Error>) -> Result<Option<Call>> {
    let properties = &call.envelope.properties;
    let Some(reply_to) = properties.reply_to().filter(|address| !address.is_empty()) else {
        return Ok(None);
    };
    let mut envelope = Envelope::default().transient();
    envelope.payload = payload(outcome)?;
    if let Some(id) = properties.correlation_id() {
        envelope.properties = Fields {
            correlation_id: Some(id.clone()),
            ..Fields::default()
        }
        .into();
    }
    let address = if reply_to.starts_with(DIRECT) {
        Address::queue(reply_to.clone())
    } else {
        Address::new(call.address.exchange.clone(), reply_to.clone())
    };
    // A caller that has given up has taken its queue away; that is no failure.
    Ok(Some(Call::new(address, envelope).unroutable_is_fine()))
}

/// What an answer to this outcome consists of, whoever gets it.
pub(crate) fn payload(outcome: Result<&Reply, &Error>) -> Result<Payload> {
    match outcome {
        Ok(reply) => of_reply(reply),
        Err(error) => of_error(error),
    }
}

/// The three members that every answer has, in their order.
#[derive(Serialize)]
struct Answer<'a, T> {
    success: bool,
    message: &'a str,
    data: Option<T>,
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: Vec<Mistake<'a>>,
}

#[derive(Serialize)]
struct Mistake<'a> {
    location: &'a [Place],
    message: &'a str,
    #[serde(rename = "type")]
    code: &'a str,
}

fn of_reply(reply: &Reply) -> Result<Payload> {
    match reply.clone().into_result() {
        Some(Ok(payload)) => Ok(payload),
        Some(Err(fault)) => of_fault(&fault),
        None => write(&Answer::<()> {
            success: true,
            message: "Done",
            data: None,
        }),
    }
}

fn of_error(error: &Error) -> Result<Payload> {
    if let Some(invalid) = error.source_ref::<Invalid>() {
        return refused(invalid.violations().iter().map(mistake).collect());
    }
    if let Some(fault) = error.source_ref::<Fault>() {
        return of_fault(fault);
    }
    let context = error.to_string();
    match error.kind() {
        ErrorKind::Decode => refused(vec![Mistake {
            location: &[],
            message: &context,
            code: "json_invalid",
        }]),
        // These say what the caller can do something about; everything else stays here.
        ErrorKind::Timeout | ErrorKind::NoRoute | ErrorKind::Full => failure(&context),
        _ => failure(UNEXPECTED),
    }
}

fn of_fault(fault: &Fault) -> Result<Payload> {
    write(&Answer {
        success: false,
        message: &fault.message,
        data: fault.details.as_ref(),
    })
}

fn mistake(violation: &Violation) -> Mistake<'_> {
    Mistake {
        location: &violation.location,
        message: &violation.message,
        code: &violation.code,
    }
}

fn refused(errors: Vec<Mistake<'_>>) -> Result<Payload> {
    write(&Answer {
        success: false,
        message: REFUSED,
        data: Some(Errors { errors }),
    })
}

fn failure(message: &str) -> Result<Payload> {
    write(&Answer::<()> {
        success: false,
        message,
        data: None,
    })
}

fn write<T: Serialize>(answer: &T) -> Result<Payload> {
    let mut bytes = Vec::with_capacity(128);
    Format::Json.encode(answer, &mut bytes)?;
    Ok(Payload::json(bytes))
}
