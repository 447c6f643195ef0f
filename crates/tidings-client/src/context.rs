//! What a message inherits from the one that caused it.

use serde_json::{Map, Value};
use tidings_core::{
    Metadata,
    metadata::{CAUSATION_ID, CORRELATION_ID, TRACE_PARENT},
};

/// Carries correlation, causation and trace context of `cause` over into `meta`.
pub(crate) fn carry_on(meta: &mut Map<String, Value>, cause: &Metadata) {
    let correlation = cause.correlation_id().unwrap_or(&cause.id);
    meta.insert(CORRELATION_ID.to_owned(), correlation.into());
    meta.insert(CAUSATION_ID.to_owned(), cause.id.as_str().into());
    if let Some(trace) = cause.meta.get(TRACE_PARENT) {
        meta.insert(TRACE_PARENT.to_owned(), trace.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidings_core::clock::Clock;

    use super::*;

    fn caused_by(meta: Value) -> Map<String, Value> {
        let cause = Metadata {
            id: "m-1".to_owned(),
            name: "user.created".to_owned(),
            version: 1,
            kind: "domain_event".to_owned(),
            occurred_at: Clock::SYSTEM.now(),
            meta,
        };
        let mut carried = Map::new();
        carry_on(&mut carried, &cause);
        carried
    }

    #[test]
    fn the_first_message_of_a_chain_gives_its_own_id_as_correlation() {
        let carried = caused_by(json!({}));
        assert_eq!(
            Value::Object(carried),
            json!({"correlation_id": "m-1", "causation_id": "m-1"})
        );
    }

    #[test]
    fn correlation_and_trace_are_carried_on() {
        let carried =
            caused_by(json!({"correlation_id": "c-1", "traceparent": "00-ab-cd-01", "other": 1}));
        let expected =
            json!({"correlation_id": "c-1", "causation_id": "m-1", "traceparent": "00-ab-cd-01"});
        assert_eq!(Value::Object(carried), expected);
    }

    #[test]
    fn a_foreign_meta_that_is_no_object_is_no_problem() {
        assert_eq!(caused_by(json!("text"))["correlation_id"], "m-1");
    }
}
