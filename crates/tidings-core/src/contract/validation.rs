//! Rules on a message's members, and the probe by which a derive finds out whether a type has any.
//!
//! A type that derives `garde::Validate` is validated before it is published and after it is
//! decoded; a type that does not is accepted as it is. Nobody has to remember a flag: the probe
//! looks for the trait by method resolution, which prefers the by-value receiver of
//! [`probe::Rules`] over the by-reference one of [`probe::NoRules`].

use std::{borrow::Cow, fmt};

use serde::Serialize;

/// A message that breaks its own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    violations: Vec<Violation>,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The member, for example `lines[2].price`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// The class of the rule, for programs: one of pydantic's error codes, which deployed callers know, such as
    /// `missing` or `int_parsing`; `value_error` for a rule of the type's own.
    pub code: Cow<'static, str>,
    /// The way to the member, step by step.
    pub location: Vec<Place>,
}

/// One step on the way to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// Into the member of this name.
    Member(String),
    /// Into the element with this index.
    Element(usize),
}

impl Violation {
    /// A violation at the end of this way.
    #[must_use]
    pub fn new(
        location: Vec<Place>,
        message: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut path = String::new();
        for place in &location {
            match place {
                Place::Member(name) if path.is_empty() => path.push_str(name),
                Place::Member(name) => path.extend([".", name.as_str()]),
                Place::Element(index) => path.push_str(&format!("[{index}]")),
            }
        }
        Self {
            path,
            message: message.into(),
            code: code.into(),
            location,
        }
    }
}

impl Invalid {
    /// A message that breaks these rules.
    #[must_use]
    pub fn new(violations: Vec<Violation>) -> Self {
        Self { violations }
    }

    /// The broken rules, in no particular order.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The broken rules, to keep.
    #[must_use]
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }
}

/// The first ten: a line of a log is for people.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (index, violation) in self.violations.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            f.write_str(separator)?;
            if !violation.path.is_empty() {
                write!(f, "`{}`: ", violation.path)?;
            }
            f.write_str(&violation.message)?;
        }
        match self.violations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Invalid {}

impl From<garde::Report> for Invalid {
    fn from(report: garde::Report) -> Self {
        let violation = |(path, error): &(garde::Path, garde::Error)| {
            let path = path.to_string();
            Violation::new(places(&path), error.to_string(), "value_error")
        };
        Self::new(report.iter().map(violation).collect())
    }
}

/// The steps of a path as garde writes it: `lines[2].price`.
fn places(path: &str) -> Vec<Place> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let place = |part: &str| match part.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Place::Element(index),
        _ => Place::Member(part.to_owned()),
    };
    parts.map(place).collect()
}

/// Finds out at compile time whether a type declares rules. Called by derives only.
pub mod probe {
    use super::Invalid;

    /// Wraps the message whose rules are looked for.
    #[derive(Debug)]
    pub struct Probe<'a, T>(pub &'a T);

    /// Chosen for types that derive `garde::Validate`.
    pub trait Rules {
        /// Applies the rules.
        ///
        /// # Errors
        /// Every broken rule.
        fn check(self) -> Result<(), Invalid>;
    }

    /// Chosen for every other type.
    pub trait NoRules {
        /// Accepts the message.
        ///
        /// # Errors
        /// Never.
        fn check(self) -> Result<(), Invalid>;
    }

    impl<T> Rules for Probe<'_, T>
    where
        T: garde::Validate,
        T::Context: Default,
    {
        fn check(self) -> Result<(), Invalid> {
            self.0.validate().map_err(Invalid::from)
        }
    }

    impl<T> NoRules for &Probe<'_, T> {
        fn check(self) -> Result<(), Invalid> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Invalid,
        probe::{NoRules as _, Probe, Rules as _},
    };

    #[derive(garde::Validate)]
    struct Strict {
        #[garde(range(min = 1))]
        amount: u32,
        #[garde(dive)]
        parts: Vec<Part>,
    }

    #[derive(garde::Validate)]
    struct Part {
        #[garde(length(min = 2))]
        name: String,
    }

    struct Lax;

    fn strict(amount: u32, name: &str) -> Result<(), Invalid> {
        let name = name.to_owned();
        let strict = Strict {
            amount,
            parts: vec![Part { name }],
        };
        Probe(&strict).check()
    }

    #[test]
    fn a_type_with_rules_is_checked() {
        assert_eq!(strict(1, "ab"), Ok(()));
        let invalid = strict(0, "a").unwrap_err();
        let paths: Vec<_> = invalid.violations().iter().map(|v| &*v.path).collect();
        assert_eq!(paths, ["amount", "parts[0].name"]);
        let text = invalid.to_string();
        assert!(
            text.starts_with("`amount`: ") && text.contains("; `parts[0].name`: "),
            "{text}"
        );
    }

    #[test]
    fn a_type_without_rules_is_accepted() {
        assert_eq!((&Probe(&Lax)).check(), Ok(()));
        assert_eq!(Probe(&Lax).check(), Ok(()));
    }
}
