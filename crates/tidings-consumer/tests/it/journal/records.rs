//! What the log server gets for each request.

use super::*;

#[tokio::test]
async fn a_request_is_shipped_as_it_was_understood_and_its_answer_after_it() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let (journal, id) = (journal(&server), id());
    let name = Keys::new([KEY]).unwrap().encrypt("bob");
    let asked = call(&id, &json!({"name": name, "pin": "4711", "unknown": 1}));
    assert!(handle(&journal, asked, done()).await.is_ok());

    let request = server.next().await;
    assert_eq!(request.path, "/api/v1/rpc-requests");
    assert_eq!(request.token.as_deref(), Some("t0ken"));
    assert_eq!(
        request.body,
        json!({
            "correlation_id": id,
            "request_payload": {"name": MASK, "size": 20, "pin": MASK},
            "virtual_host_name": "servers",
            "queue_name": "web1",
            "rabbitmq_username": "consumer",
            "hostname": "host7",
            "exchange_name": "create_site",
        })
    );
    let response = server.next().await;
    assert_eq!(response.path, "/api/v1/rpc-responses");
    assert_eq!(
        response.body,
        json!({
            "correlation_id": id,
            "response_payload": {"success": true, "message": "Made", "data": 7},
            "traceback": null,
        })
    );
    let counts = closed(&journal).await;
    assert_eq!((counts.shipped, counts.dropped, counts.queued), (2, 0, 0));
}

/// What the log server gets for this request and this outcome.
async fn shipped(body: &Value, result: Result<Reply>) -> (Value, Value, Value) {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    drop(handle(&journal, call(&id(), body), result).await);
    let mut request = server.next().await.body;
    let mut response = server.next().await.body;
    closed(&journal).await;
    (
        request["request_payload"].take(),
        response["response_payload"].take(),
        response["traceback"].take(),
    )
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_shipped_as_it_came() {
    let refused = Error::new(ErrorKind::Invalid, "no").with_source(Invalid::new(Vec::new()));
    let body = json!({"nom": "bob", "password": "hunter2", "pin": 4711});
    let (request, response, traceback) = shipped(&body, Err(refused)).await;
    assert_eq!(
        request,
        json!({"nom": "bob", "password": MASK, "pin": MASK})
    );
    assert_eq!(response["message"], "Request validation failed");
    assert_eq!(traceback, Value::Null);

    let undecodable = Error::new(ErrorKind::Decode, "no object");
    let (request, response, _) = shipped(&json!("hunter2"), Err(undecodable)).await;
    assert_eq!(request, json!({"undecodable_bytes": 9}));
    assert_eq!(response["success"], false);
}

#[tokio::test]
async fn why_a_call_failed_is_shipped_where_the_caller_is_not_told() {
    let body = json!({"name": "bob"});
    let disk = std::io::Error::other("no space left");
    let failed = Error::new(ErrorKind::Handler, "the handler failed").with_source(disk);
    let (_, response, traceback) = shipped(&body, Err(failed)).await;
    assert_eq!(
        response,
        json!({"success": false, "message": "An unexpected error occurred", "data": null})
    );
    assert_eq!(traceback, "the handler failed: no space left");

    let fault = Fault::new(FaultCode::NotFound, "no such site");
    let told = Error::new(ErrorKind::Handler, "the handler failed").with_source(fault);
    let (_, response, traceback) = shipped(&body, Err(told)).await;
    assert_eq!(response["message"], "no such site");
    assert_eq!(traceback, Value::Null);
}

#[tokio::test]
async fn answers_of_any_kind_are_shipped_without_secrets() {
    let body = json!({"name": "bob"});
    let reply = |text: &'static str| Ok(Reply::payload(Payload::json(text)));
    let (_, response, _) = shipped(&body, reply(r#"{"success":true,"data":{"pin":"4711"}}"#)).await;
    assert_eq!(response, json!({"success": true, "data": {"pin": MASK}}));
    let (_, response, _) = shipped(&body, reply("[1]")).await;
    assert_eq!(response, json!({"answer": [1]}));
    let (_, response, _) = shipped(&body, reply("hunter2")).await;
    assert_eq!(response, json!({"undecodable_bytes": 7}));
}

#[tokio::test]
async fn ids_decide_what_can_be_shipped() {
    let mut server = LogServer::start(|_| Mood::Answers(422));
    let journal = journal(&server);
    assert!(handle(&journal, call("", &json!({})), done()).await.is_ok());
    assert!(
        handle(&journal, call("order-7", &json!({})), done())
            .await
            .is_ok()
    );
    assert_eq!(server.next().await.body["correlation_id"], "order-7");
    assert_eq!(server.next().await.body["correlation_id"], "order-7");
    let counts = closed(&journal).await;
    assert!(
        server.is_idle(),
        "what has no id cannot be told from others"
    );
    assert_eq!(
        (counts.shipped, counts.dropped, counts.foreign_ids),
        (0, 4, 1)
    );
}

#[tokio::test]
async fn what_will_come_again_has_no_answer_yet() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    let requeue = Error::new(ErrorKind::Handler, "stopping").with_outcome(Outcome::Requeue);
    assert!(
        handle(&journal, call(&id(), &json!({})), Err(requeue))
            .await
            .is_err()
    );
    assert_eq!(server.next().await.path, "/api/v1/rpc-requests");
    assert_eq!(closed(&journal).await.shipped, 1);
    assert!(server.is_idle());
}

#[tokio::test]
async fn a_handling_that_was_given_up_is_recorded_once_its_time_is_over() {
    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    for (waits, records) in [(Duration::ZERO, 2), (Duration::from_secs(60), 1)] {
        let never = service_fn(|_: Call| std::future::pending::<Result<Reply>>());
        let mut asked = call(&id(), &json!({"name": "bob"}));
        asked.deadline = Deadline::after(waits);
        drop(journal.layer(source()).layer(never).call(asked));
        assert_eq!(server.next().await.path, "/api/v1/rpc-requests");
        if records == 2 {
            let response = server.next().await.body;
            let message = response["response_payload"]["message"].as_str().unwrap();
            assert!(message.contains("deadline"), "{message}");
        }
    }
    assert_eq!(closed(&journal).await.shipped, 3);
}

#[tokio::test]
async fn a_handler_of_the_authors_that_panics_while_it_is_read_harms_nobody() {
    #[derive(JsonSchema)]
    struct Clumsy;
    impl Serialize for Clumsy {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }
    impl<'de> Deserialize<'de> for Clumsy {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }
    impl Contract for Clumsy {
        const NAME: &'static str = "create_site";
        const VERSION: u32 = 1;
        const KIND: Kind = Kind::Call;
        type Reply = ();
    }
    impl Request for Clumsy {
        const LOCK: Lock = Lock::Off;
        const SECRETS: &'static [&'static str] = &[];
        const REMEMBERED: Option<Duration> = None;
        fn lock_value(&self) -> Option<String> {
            None
        }
        fn validate_reply((): &()) -> Result<(), Invalid> {
            Ok(())
        }
    }

    let mut server = LogServer::start(|_| Mood::Answers(201));
    let journal = journal(&server);
    let source = source().with_requests([RequestInfo::of::<Clumsy>()]);
    let inner = service_fn(|_: Call| async { done() });
    let mut service = journal.layer(source).layer(inner);
    assert!(
        service
            .call(call(&id(), &json!({"name": "bob"})))
            .await
            .is_ok()
    );
    assert_eq!(
        server.next().await.body["request_payload"],
        json!({"name": "bob"})
    );
    assert_eq!(closed(&journal).await.shipped, 2);
}
