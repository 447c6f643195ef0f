//! Several handlers at one queue: the name that the convention finds in a message decides which is called.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use tidings_core::{
    Call, Error, ErrorKind,
    convention::{Interest, Opened},
    error::Result,
};

use crate::{
    handler::Handling,
    ordering::{Named, OrderKey},
    route::{Bound, Route, RouteService},
    subscriber::Options,
};

/// The handlers by the names of what they handle.
#[derive(Default)]
pub(crate) struct Joined {
    by_name: HashMap<Box<str>, Arc<dyn Bound>>,
    fallback: Option<Arc<dyn Bound>>,
}

impl Bound for Joined {
    fn handle(&self, call: &Call, opened: &Opened<'_>, service: &RouteService) -> Result<Handling> {
        let found = self.by_name.get(&*opened.name).or(self.fallback.as_ref());
        let handler = found.ok_or_else(|| nobody(&opened.name))?;
        handler.handle(call, opened, service)
    }

    fn check(&self) -> Result<()> {
        let mut all = self.by_name.values().chain(&self.fallback);
        all.try_for_each(|handler| handler.check())
    }
}

/// Whoever waits for an answer reads this.
fn nobody(name: &str) -> Error {
    Error::new(ErrorKind::NoRoute, format!("nothing here handles `{name}`"))
}

impl Route {
    /// One route for handlers that share a queue. Their settings must agree, except for the order: each has its own.
    ///
    /// A handler of a whole queue, as [`on_queue`](crate::Subscriber::on_queue) adds one, gets what no other handles.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] if two handle the same name, or their settings contradict one another.
    pub fn join(routes: Vec<Self>) -> Result<Self> {
        let mut joined = Joined::default();
        let mut keys = Named::default();
        let mut all: Option<(Arc<str>, Interest, Options)> = None;
        for route in routes {
            let Self {
                subscriber,
                interest,
                mut options,
                bound,
            } = route;
            joined.add(&subscriber, &interest, bound)?;
            keys.add(name_of(&interest), options.ordered_by.take());
            all = Some(match all {
                None => (subscriber, interest, options),
                Some((subscriber, interest, so_far)) => {
                    let options = so_far.agree(options, &subscriber)?;
                    (subscriber, interest, options)
                }
            });
        }
        let Some((subscriber, interest, mut options)) = all else {
            let context = "there is no handler to join: add one to the subscriber";
            return Err(Error::new(ErrorKind::Misuse, context));
        };
        options.ordered_by = OrderKey::named(keys);
        Ok(Self {
            subscriber,
            interest,
            options,
            bound: Arc::new(joined),
        })
    }
}

impl Joined {
    fn add(&mut self, subscriber: &str, interest: &Interest, bound: Arc<dyn Bound>) -> Result<()> {
        let Some(name) = name_of(interest) else {
            if self.fallback.replace(bound).is_some() {
                return Err(twice(subscriber, "whatever no other handler takes"));
            }
            return Ok(());
        };
        match self.by_name.entry(name.into()) {
            Entry::Occupied(_) => Err(twice(subscriber, &format!("`{name}`"))),
            Entry::Vacant(free) => {
                free.insert(bound);
                Ok(())
            }
        }
    }
}

/// The only name that such a handler gets; `None` if it gets any.
fn name_of(interest: &Interest) -> Option<&str> {
    match interest {
        Interest::Contract(contract) => Some(contract.name),
        Interest::Named { name, .. } => Some(name),
        _ => None,
    }
}

fn twice(subscriber: &str, what: &str) -> Error {
    let context = format!(
        "subscriber `{subscriber}` has two handlers of {what}, and each message is handled once: remove one of them"
    );
    Error::new(ErrorKind::Misuse, context)
}

impl Options {
    /// These settings, where neither says something else than the other.
    fn agree(self, other: Self, subscriber: &str) -> Result<Self> {
        Ok(Self {
            concurrency: same(
                self.concurrency,
                other.concurrency,
                subscriber,
                "concurrency",
            )?,
            prefetch: same(self.prefetch, other.prefetch, subscriber, "prefetch")?,
            timeout: same(self.timeout, other.timeout, subscriber, "timeout")?,
            retry: same(self.retry, other.retry, subscriber, "retry policy")?,
            ordered_by: None,
        })
    }
}

fn same<T: fmt::Debug>(
    one: Option<T>,
    other: Option<T>,
    subscriber: &str,
    what: &str,
) -> Result<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if format!("{one:?}") != format!("{other:?}") => {
            let context = format!(
                "the handlers of subscriber `{subscriber}` share a queue and cannot have different settings: its {what} is \
                 {one:?} and {other:?}"
            );
            Err(Error::new(ErrorKind::Misuse, context))
        }
        (one, other) => Ok(one.or(other)),
    }
}
