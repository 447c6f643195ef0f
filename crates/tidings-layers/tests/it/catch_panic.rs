//! A panic is a failed handling, wherever it happens.

use std::{
    panic::panic_any,
    task::{Context, Poll, Waker},
};

use tidings_core::{Call, Error, ErrorKind, Outcome, Reply, error::Result};
use tidings_layers::CatchPanicLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fakes::{QUEUE, answers, end, handler, poll, start},
    recorder::Recorder,
};

fn check(error: &Error, text: &str) {
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert_eq!(error.outcome(), Outcome::Retry);
    assert!(error.to_string().contains(text), "`{text}` in `{error}`");
}

#[test]
fn a_panic_in_poll_is_an_error_with_its_text() {
    let mut service = CatchPanicLayer::new(QUEUE).layer(handler(async |_| panic!("boom {}", 1)));
    check(&end(start(&mut service)).unwrap_err(), "boom 1");
}

#[test]
fn a_panic_in_call_is_an_error_with_its_text() {
    fn panics(_: Call) -> std::future::Ready<Result<Reply>> {
        panic!("bang")
    }
    let mut service = CatchPanicLayer::new(QUEUE).layer(handler(panics));
    check(&end(start(&mut service)).unwrap_err(), "bang");
}

#[test]
fn a_panic_in_poll_ready_is_an_error() {
    struct Unready;
    impl Service<Call> for Unready {
        type Response = Reply;
        type Error = Error;
        type Future = std::future::Ready<Result<Reply>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
            panic!("not today")
        }
        fn call(&mut self, _: Call) -> Self::Future {
            std::future::ready(Ok(Reply::empty()))
        }
    }
    let mut service = CatchPanicLayer::new(QUEUE).layer(Unready);
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => check(&error, "not today"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_without_text_is_an_error_too() {
    let mut service = CatchPanicLayer::new(QUEUE).layer(handler(async |_| panic_any(7)));
    check(&end(start(&mut service)).unwrap_err(), "not text");
}

#[test]
fn a_second_panic_while_dropping_is_contained() {
    struct Bomb;
    impl Future for Bomb {
        type Output = Result<Reply>;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            panic!("first")
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("second")
        }
    }
    let mut service = CatchPanicLayer::new(QUEUE).layer(handler(|_| Bomb));
    let mut future = start(&mut service);
    match poll(&mut future) {
        Poll::Ready(Err(error)) => check(&error, "first"),
        other => panic!("{other:?}"),
    }
    assert!(
        poll(&mut future).is_ready(),
        "never polls the handler again"
    );
}

#[test]
fn counts_panics_and_nothing_else() {
    let recorder = Recorder::default();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let layer = CatchPanicLayer::new(QUEUE);
    end(start(&mut layer.layer(answers(|| Ok(Reply::empty()))))).unwrap();
    end(start(&mut layer.layer(handler(async |_| panic!("boom"))))).unwrap_err();
    let key = format!("tidings_handler_panics{{subscription={QUEUE}}}");
    assert_eq!(recorder.counter(&key), 1);
}
