//! Names of messages, subscribers, routing keys and queues.

use tidings_core::Kind;
use tidings_domain::{Domain, names};

use crate::golden::{cases, string};

#[test]
fn names_everything_as_the_wire_does() {
    let domain = Domain::new("o", "s").unwrap();
    let cases = cases("naming_vectors.json");
    assert_eq!(cases.len(), 18);
    for case in &cases {
        let class = string(case, "class");
        let name = names::dotted(class);
        let subscriber = names::snake(class);
        assert_eq!(name, string(case, "message_name"), "{class}");
        assert_eq!(subscriber, string(case, "subscriber_name"), "{class}");
        let key = |kind| domain.names().routing_key(kind, 1, &name).unwrap();
        assert_eq!(key(Kind::Event), string(case, "event_routing_key"));
        assert_eq!(key(Kind::Command), string(case, "command_routing_key"));
        let queue = domain
            .names()
            .queue(Kind::Event, 1, &name, &subscriber)
            .unwrap();
        assert_eq!(queue, string(case, "queue"), "{class}");
        assert_eq!(names::retry(&queue), string(case, "retry_queue"), "{class}");
        assert_eq!(
            names::dead_letter(&queue),
            string(case, "dead_letter_queue"),
            "{class}"
        );
    }
}
