//! TTLs by rules over queue names.

use std::time::Duration;

use tidings_domain::{QueueConfig, QueueRule};

use crate::golden::{cases, string};

fn config(name: &str) -> QueueConfig {
    let defaults = |retry, main| {
        QueueConfig::new()
            .with_retry_ttl(Duration::from_millis(retry))
            .with_main_ttl(Duration::from_millis(main))
    };
    match name {
        "default()" => defaults(5_000, 5_000),
        "from_dict *mail* retry 7, * main 9, defaults 100/200" => defaults(100, 200)
            .with_rules_json(
                r#"{"mail": {"when_queue_contains": "*mail*", "use": {"retry_ttl": 7}},
                    "any": {"when_queue_contains": "*", "use": {"main_ttl": 9}}}"#,
            )
            .unwrap(),
        "SpecificQueueConfig('*store') without ttls, defaults 1/2" => {
            defaults(1, 2).with_rule(QueueRule::new("*store"))
        }
        other => panic!("no such configuration: {other}"),
    }
}

#[test]
fn finds_the_ttls_that_the_wire_finds() {
    let cases = cases("queue_config_vectors.json");
    assert_eq!(cases.len(), 12);
    for case in &cases {
        let config = config(string(case, "config"));
        let queue = string(case, "queue");
        let ttl = |member: &str| case[member].as_u64().map(Duration::from_millis);
        assert_eq!(config.retry_ttl(queue), ttl("retry_ttl"), "{case}");
        assert_eq!(config.main_ttl(queue), ttl("main_ttl"), "{case}");
    }
}
