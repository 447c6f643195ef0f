//! What callers get, byte for byte.

use serde_json::json;
use tidings_core::{
    Call, Envelope, Error, ErrorKind, Fault, FaultCode, HandlerError, Kind, Payload, Reply,
    contract::{Invalid, Place, Response, Violation},
    convention::Convention,
    error::Result,
    respond::Respond,
};

use crate::requests::{arrived, rpc, sealed};

fn answer(outcome: Result<&Reply, &Error>) -> Call {
    let call = arrived("create_site", "{}");
    rpc()
        .answer(&call, outcome)
        .unwrap()
        .expect("somebody waits")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "its callers make what they pass"
)]
fn check(outcome: Result<Reply, Error>, expected: &str) {
    let call = answer(outcome.as_ref());
    let bytes = &call.envelope.payload.bytes;
    assert_eq!(str::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn a_failure_that_is_not_the_callers_business_is_not_told() {
    let unexpected = r#"{"success":false,"message":"An unexpected error occurred","data":null}"#;
    for kind in [
        ErrorKind::Handler,
        ErrorKind::Panic,
        ErrorKind::Misuse,
        ErrorKind::Unavailable,
        ErrorKind::Unconfirmed,
        ErrorKind::Denied,
    ] {
        check(Err(Error::new(kind, "the password is hunter2")), unexpected);
    }
    let failed = HandlerError::fatal("the password is hunter2");
    check(Err(failed.into()), unexpected);
}

#[test]
fn a_request_that_does_not_fit_learns_why() {
    let location = vec![
        Place::Member("lines".into()),
        Place::Element(2),
        Place::Member("count".into()),
    ];
    let invalid = Invalid::new(vec![
        Violation::new(
            vec![Place::Member("name".into())],
            "Field required",
            "missing",
        ),
        Violation::new(location, "Input should be a valid integer", "int_type"),
    ]);
    check(
        Err(Error::new(ErrorKind::Invalid, "request").with_source(invalid)),
        r#"{"success":false,"message":"Request validation failed","data":{"errors":[{"location":["name"],"message":"Field required","type":"missing"},{"location":["lines",2,"count"],"message":"Input should be a valid integer","type":"int_type"}]}}"#,
    );
    check(
        Err(Error::new(ErrorKind::Decode, "the request ends too soon")),
        r#"{"success":false,"message":"Request validation failed","data":{"errors":[{"location":[],"message":"the request ends too soon","type":"json_invalid"}]}}"#,
    );
}

#[test]
fn what_the_caller_can_do_something_about_is_told() {
    for kind in [ErrorKind::Timeout, ErrorKind::NoRoute, ErrorKind::Full] {
        check(
            Err(Error::new(kind, "nothing here handles `x`")),
            r#"{"success":false,"message":"nothing here handles `x`","data":null}"#,
        );
    }
    let fault = Fault::new(FaultCode::NotFound, "no such site");
    let told = r#"{"success":false,"message":"no such site","data":null}"#;
    check(Ok(Reply::fault(fault.clone())), told);
    check(Err(HandlerError::from(fault.clone()).into()), told);
    check(
        Ok(Reply::fault(fault.with_details(json!({"id": 7})))),
        r#"{"success":false,"message":"no such site","data":{"id":7}}"#,
    );
}

#[test]
fn an_answer_is_spelt_as_deployed_consumers_spell_it() {
    #[derive(serde::Serialize)]
    struct Data {
        text: &'static str,
        float: [f64; 3],
        nothing: Option<u8>,
        infinite: f64,
        many: u128,
    }
    let data = Data {
        text: "é\u{1}\n\t/\u{7f}\u{2028}\"\\",
        float: [1.0, 1e16, 1e-7],
        nothing: None,
        infinite: f64::INFINITY,
        many: 340_282_366_920_938_463_463_374_607_431_768_211_455,
    };
    let spelt = concat!(
        r#"{"success":true,"message":"Ja, schön","data":{"text":"é\u0001\n\t/"#,
        "\u{7f}\u{2028}",
        r#"\"\\","float":[1.0,1e16,1e-7],"nothing":null,"infinite":null,"many":340282366920938463463374607431768211455}}"#
    );
    check(Response::success("Ja, schön", data).respond(), spelt);
    check(
        Response::<u8>::failure("Quota exceeded").respond(),
        r#"{"success":false,"message":"Quota exceeded","data":null}"#,
    );
}

#[test]
fn what_a_handler_has_written_is_passed_on_as_it_is() {
    check(Ok(Reply::payload(Payload::json("{ }"))), "{ }");
    check(
        Ok(Reply::empty()),
        r#"{"success":true,"message":"Done","data":null}"#,
    );
}

#[test]
fn an_answer_goes_through_the_exchange_of_its_request_and_says_nothing_more() {
    let call = answer(Ok(&Reply::empty()));
    assert_eq!(call.address.to_string(), "create_site/amq.gen-1");
    assert!(!call.mandatory, "who has given up is no failure");
    let Envelope {
        payload,
        headers,
        properties,
        persistent,
    } = &call.envelope;
    assert_eq!(payload.content_type.as_deref(), Some("application/json"));
    assert!(headers.is_empty() && !persistent);
    let mut fields = properties.fields().unwrap().clone();
    let id = fields.correlation_id.take();
    assert_eq!(id.as_deref(), Some("3f0c3a3e-9f0e-4d5c-8a43-6a5f7d5b1c11"));
    assert_eq!(fields, tidings_core::properties::Fields::default());
}

#[test]
fn a_request_without_an_id_is_answered_without_one() {
    let mut call = arrived("create_site", "{}");
    call.envelope.properties.fields_mut().correlation_id = None;
    let answer = rpc().answer(&call, Ok(&Reply::empty())).unwrap().unwrap();
    assert!(answer.envelope.properties.is_empty());
}

#[test]
fn nobody_is_answered_who_does_not_wait() {
    for reply_to in [None, Some("".into())] {
        let mut call = arrived("create_site", "{}");
        call.envelope.properties.fields_mut().reply_to = reply_to;
        assert!(rpc().answer(&call, Ok(&Reply::empty())).unwrap().is_none());
    }
}

#[test]
fn direct_replies_pass_no_exchange() {
    let mut call = arrived("create_site", "{}");
    let reply_to = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAx.abc==";
    call.envelope.properties.fields_mut().reply_to = Some(reply_to.into());
    let answer = rpc().answer(&call, Ok(&Reply::empty())).unwrap().unwrap();
    assert_eq!(answer.address.to_string(), reply_to);
}

#[test]
fn callers_hear_their_answers_through_the_exchange_that_they_asked() {
    let call = sealed(&rpc(), Kind::Call, "{}", &[]).unwrap();
    let exchange = rpc().returns_through(&call).unwrap();
    assert_eq!(&*exchange.name, "create_site");
    assert!(!exchange.durable);
}
