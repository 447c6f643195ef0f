//! Which members of a request are secret: the paths that a contract names, as a tree.

/// Some paths, joined where they begin alike.
///
/// A path names members: `password`, `database.password`. It passes through lists, so that `users.password` means that
/// of every user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    ends_here: bool,
    below: Vec<(Box<str>, Self)>,
}

impl Secrets {
    pub(crate) const NONE: Self = Self {
        ends_here: false,
        below: Vec::new(),
    };

    pub(crate) fn new<P: AsRef<str>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut secrets = Self::NONE;
        for path in paths {
            secrets.add(path.as_ref());
        }
        secrets
    }

    fn add(&mut self, path: &str) {
        let mut node = self;
        for name in path.split('.') {
            let known = node.below.iter().position(|(of, _)| **of == *name);
            let index = known.unwrap_or_else(|| {
                node.below.push((name.into(), Self::NONE));
                node.below.len() - 1
            });
            node = &mut node.below[index].1;
        }
        node.ends_here = true;
    }

    /// Whether nothing is secret from here on.
    pub(crate) fn is_empty(&self) -> bool {
        !self.ends_here && self.below.is_empty()
    }

    /// Whether everything from here on is secret.
    pub(crate) fn is_whole(&self) -> bool {
        self.ends_here
    }

    /// What is secret of the member with this name.
    pub(crate) fn of(&self, member: &str) -> &Self {
        const NONE: &Secrets = &Secrets::NONE;
        let found = self.below.iter().find(|(name, _)| **name == *member);
        found.map_or(NONE, |(_, secrets)| secrets)
    }

    /// The names at the end of the paths.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for (name, secrets) in &self.below {
            if secrets.ends_here {
                names.push(&**name);
            }
            names.extend(secrets.names());
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_what_is_secret() {
        let secrets = Secrets::new(["password", "database.password", "database.root.token"]);
        assert!(secrets.of("password").is_whole());
        assert!(secrets.of("name").is_empty());
        let database = secrets.of("database");
        assert!(!database.is_whole() && !database.is_empty());
        assert!(database.of("password").is_whole() && database.of("host").is_empty());
        assert_eq!(secrets.names(), ["password", "password", "token"]);
        assert!(Secrets::new::<&str>([]).is_empty());
    }

    #[test]
    fn a_path_that_goes_on_does_not_shorten_the_other() {
        let secrets = Secrets::new(["a", "a.b"]);
        assert!(secrets.of("a").is_whole());
        assert!(Secrets::new(["a.b", "a"]).of("a").is_whole());
    }
}
