//! What is linked into this program, by exchange and by package.

use std::collections::{BTreeMap, BTreeSet};

use tidings_core::{Error, ErrorKind, error::Result};

use super::{Package, Registration};

/// The handlers that are linked into this program.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    by_exchange: BTreeMap<&'static str, Registration>,
    expected: Vec<Package>,
}

impl Registered {
    /// Everything that registered itself.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if two handlers handle the same request; the text names both and their places.
    pub fn all() -> Result<Self> {
        let registrations = inventory::iter::<Registration>().copied();
        Self::of(registrations, inventory::iter::<Package>().copied())
    }

    /// These handlers, of which at least one should come from each of these packages.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn of(
        registrations: impl IntoIterator<Item = Registration>,
        expected: impl IntoIterator<Item = Package>,
    ) -> Result<Self> {
        let mut by_exchange = BTreeMap::new();
        for registration in registrations {
            if let Some(other) = by_exchange.insert(registration.exchange(), registration) {
                return Err(twice(&other, &registration));
            }
        }
        Ok(Self {
            by_exchange,
            expected: expected.into_iter().collect(),
        })
    }

    /// The handler of this exchange.
    #[must_use]
    pub fn get(&self, exchange: &str) -> Option<&Registration> {
        self.by_exchange.get(exchange)
    }

    /// Every handler, by the name of its exchange.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.by_exchange.values()
    }

    /// The exchanges that can be served, in alphabetical order.
    pub fn exchanges(&self) -> impl Iterator<Item = &'static str> {
        self.by_exchange.keys().copied()
    }

    /// The crates that have handlers, with how many.
    #[must_use]
    pub fn packages(&self) -> BTreeMap<&'static str, usize> {
        let mut packages = BTreeMap::new();
        for registration in self.iter() {
            *packages.entry(registration.package).or_default() += 1;
        }
        packages
    }

    /// The crates that were expected to have handlers and have none.
    pub fn idle_packages(&self) -> impl Iterator<Item = &Package> {
        let busy: BTreeSet<_> = self.iter().map(|it| it.package).collect();
        self.expected
            .iter()
            .filter(move |package| !busy.contains(package.name))
    }

    /// How many handlers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_exchange.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_exchange.is_empty()
    }
}

fn twice(one: &Registration, other: &Registration) -> Error {
    // The order in which the linker lists them must not show.
    let mut places = [one, other].map(|it| format!("`{}` at {}", it.function, it.at));
    places.sort();
    let [first, second] = places;
    let context = format!(
        "two handlers of requests to exchange `{}` are linked into this program: {first}, and {second}: remove one, \
         or leave its crate out",
        one.exchange()
    );
    Error::new(ErrorKind::Misuse, context)
}
