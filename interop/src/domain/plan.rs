//! Which calls of which subscriber succeed: `S` success, `F` failure, the last letter repeats.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// The letters of each subscriber. Those without succeed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(BTreeMap<String, Vec<char>>);

impl Plan {
    /// Reads `{"subscriber": "FFS"}`.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let letters: BTreeMap<String, String> = serde_json::from_str(json)
            .context("the plan must be JSON like {\"subscriber\": \"FFS\"}")?;
        let mut plan = BTreeMap::new();
        for (subscriber, letters) in letters {
            if letters.is_empty() || letters.chars().any(|letter| !matches!(letter, 'S' | 'F')) {
                bail!(
                    "the plan of `{subscriber}` is `{letters}`: use one or more of the letters S and F"
                );
            }
            plan.insert(subscriber, letters.chars().collect());
        }
        Ok(Self(plan))
    }

    /// Those that it is about.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What the call number `call` (from 1) of a subscriber does.
    pub(crate) fn act(&self, subscriber: &str, call: usize) -> char {
        let letters = self.0.get(subscriber).map_or(&['S'][..], Vec::as_slice);
        *letters.get(call - 1).or(letters.last()).unwrap_or(&'S')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_letter_repeats() {
        let plan = Plan::parse(r#"{"mail": "FFS", "audit": "F"}"#).unwrap();
        let acts = |name| (1..=4).map(|call| plan.act(name, call)).collect::<String>();
        assert_eq!(acts("mail"), "FFSS");
        assert_eq!(acts("audit"), "FFFF");
        assert_eq!(acts("other"), "SSSS");
    }

    #[test]
    fn other_letters_are_refused() {
        assert!(Plan::parse(r#"{"mail": "FXS"}"#).is_err());
        assert!(Plan::parse(r#"{"mail": ""}"#).is_err());
        for no_plan in ["", "FFS", "[]", r#"{"mail": 1}"#] {
            let error = format!("{:#}", Plan::parse(no_plan).unwrap_err());
            assert!(error.starts_with("the plan must be JSON like"), "{error}");
        }
    }
}
