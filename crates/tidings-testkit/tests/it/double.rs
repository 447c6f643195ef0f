//! The doubles write down what happens and answer as told.

use tidings_core::{ErrorKind, Settlement, transport::Publisher};
use tidings_testkit::double::{Answer, FakePublisher, FakeSettle, Fate, call, delivered};

#[tokio::test]
async fn a_publisher_can_leave_publishes_pending() {
    let publisher = FakePublisher::new();
    publisher.answer(Answer::Stay);
    let pending = [
        publisher.publish(call("q", "a")),
        publisher.publish(call("q", "b")),
    ];
    assert!(!pending[0].is_ready());
    assert_eq!(publisher.resolve(Err(ErrorKind::Unconfirmed)), 2);
    for completion in pending {
        assert_eq!(completion.await.unwrap_err().kind(), ErrorKind::Unconfirmed);
    }
    assert_eq!(publisher.resolve(Ok(())), 0);
    assert_eq!(publisher.take().len(), 2);
    assert!(publisher.calls().is_empty());
}

#[tokio::test]
async fn a_settler_tells_settled_from_abandoned() {
    let settle = FakeSettle::new();
    let [first, second, third] = ["a", "b", "c"].map(|text| settle.delivery(delivered("q", text)));
    second.settle(Settlement::Ack).await.unwrap();
    drop(first);
    settle.refuse(ErrorKind::Closed);
    assert!(third.settle(Settlement::Reject).await.is_err());
    let wanted = [
        (1, Fate::Settled(Settlement::Ack)),
        (0, Fate::Abandoned),
        (2, Fate::Settled(Settlement::Reject)),
    ];
    assert_eq!(settle.fates(), wanted);
    assert_eq!(settle.settlements(), [Settlement::Ack, Settlement::Reject]);
}
