//! The failure in an answer that is not what its contract promises: what the server itself says of a request.

use serde::Deserialize;
use serde_json::Value;
use tidings_core::{Fault, FaultCode};

use crate::answer::REFUSED;

/// The members that every answer has; what else is there does not matter.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

/// The failure that an answer speaks of; `None` if it is a success, or no answer of this wire.
pub(crate) fn of(answer: &[u8]) -> Option<Fault> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    if answer.success {
        return None;
    }
    let code = match &*answer.message {
        REFUSED => FaultCode::InvalidArgument,
        _ => FaultCode::Unknown,
    };
    let fault = Fault::new(code, answer.message);
    Some(match answer.data {
        Some(details) => fault.with_details(details),
        None => fault,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_read_with_its_details() {
        let refused = of(br#"{"success":false,"message":"Request validation failed","data":{}}"#);
        let expected = Fault::new(FaultCode::InvalidArgument, REFUSED).with_details(json!({}));
        assert_eq!(refused, Some(expected));
        let failed = of(br#"{"success": false, "message": "No room", "data": null, "more": 1}"#);
        assert_eq!(failed, Some(Fault::new(FaultCode::Unknown, "No room")));
    }

    #[test]
    fn anything_else_is_none() {
        let success = br#"{"success":true,"message":"Done","data":null}"#;
        for answer in [
            &b""[..],
            b"[]",
            b"{}",
            b"\xff",
            br#"{"success":false}"#,
            success,
        ] {
            assert_eq!(of(answer), None, "{answer:?}");
        }
    }
}
