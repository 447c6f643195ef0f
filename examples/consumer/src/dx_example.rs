//! The exchange `dx_example`: whether a food is tolerable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings::{Request, handler, rpc::Response};

/// Asks whether a food is tolerable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Request)]
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

fn twenty() -> i64 {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tolerable(favourite_food: Food, chance_percentage: i64) -> Option<bool> {
        let request = DxExample {
            favourite_food,
            chance_percentage,
        };
        let data = dx_example(request).await.into_result().unwrap();
        data.map(|data| data.tolerable)
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
