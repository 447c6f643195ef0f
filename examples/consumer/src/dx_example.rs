//! The exchange `dx_example`: whether a food is tolerable.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Request, handler, rpc::Response};

/// Asks whether a food is tolerable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate, Request,
)]
#[garde(allow_unvalidated)]
#[request(
    exchange = "dx_example",
    response = Toleration,
    lock = "favourite_food",
    lax,
    example = DxExample { favourite_food: Food::Banana, chance_percentage: 20 }
)]
pub struct DxExample {
    /// The food in question.
    pub favourite_food: Food,
    /// How likely it is not to be tolerable after all.
    #[serde(default = "twenty")]
    // The rule is for the type, and the schema tells it to callers.
    #[garde(custom(positive))]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub chance_percentage: i64,
}

/// A food.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Food {
    /// Nobody tolerates it.
    Onion,
    /// An orange.
    Orange,
    /// A banana.
    Banana,
}

/// Whether it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Toleration {
    /// Whether it is.
    pub tolerable: bool,
}

/// Determines it by chance.
#[handler]
pub async fn dx_example(request: DxExample) -> Response<Toleration> {
    let by_chance = || fastrand::f64() > request.chance_percentage as f64 / 100.0;
    let tolerable = request.favourite_food != Food::Onion && by_chance();
    Response::success("Determined toleration", Toleration { tolerable })
}

fn positive(value: &i64, (): &()) -> garde::Result {
    if *value > 0 {
        return Ok(());
    }
    Err(garde::Error::new("must be greater than 0"))
}

fn twenty() -> i64 {
    20
}

#[cfg(test)]
mod tests {
    use tidings::{Contract, contract::Invalid, convention::Format};

    use super::*;

    async fn tolerable(favourite_food: Food, chance_percentage: i64) -> Option<bool> {
        let request = DxExample {
            favourite_food,
            chance_percentage,
        };
        let data = dx_example(request).await.into_result().unwrap();
        data.map(|data| data.tolerable)
    }

    #[test]
    fn a_chance_of_nothing_is_refused_and_the_reason_is_told() {
        let refused = |chance: &str| {
            let body = format!(r#"{{"favourite_food": "onion", "chance_percentage": {chance}}}"#);
            let error = DxExample::decode(Format::Json, body.as_bytes()).err()?;
            let violations = error.source_ref::<Invalid>()?.violations().iter();
            let messages: Vec<_> = violations.map(|it| it.message.as_str()).collect();
            Some(messages.join("; "))
        };
        let why = Some("Input should be greater than 0".to_owned());
        assert_eq!(refused("0"), why);
        assert_eq!(refused(r#""-1""#), why);
        assert_eq!(refused(r#""1""#), None, "text is as good as a number");
    }

    #[tokio::test]
    async fn onions_are_never_tolerable_and_others_by_chance() {
        assert_eq!(tolerable(Food::Onion, 1).await, Some(false));
        assert_eq!(tolerable(Food::Banana, 100).await, Some(false));
        let some = async || tolerable(Food::Orange, 50).await == Some(true);
        let mut seen = false;
        for _ in 0..200 {
            seen |= some().await;
        }
        assert!(seen, "half of the oranges are");
    }
}
