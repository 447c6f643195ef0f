//! A text of the configuration that is never shown, and the two places outside the file from which it may come.

use std::{env, fmt, fs, io, path::Path};

/// A text that neither `Debug` nor an error ever shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever needs it to open something.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where secrets come from that are not in the file itself.
pub(super) struct Surroundings<'a> {
    /// The value of an environment variable.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file.
    pub(super) content: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The folder that relative paths begin in.
    pub(super) folder: &'a Path,
}

impl<'a> Surroundings<'a> {
    /// Those of this process, for a configuration file in this folder.
    pub(super) fn of_process(folder: &'a Path) -> Self {
        Self {
            variable: &variable,
            content: &|path| fs::read_to_string(path),
            folder,
        }
    }

    /// The secret that a text stands for: `$env:NAME`, `$file:PATH`, or itself.
    pub(super) fn secret(&self, text: &str) -> Result<Secret, String> {
        if let Some(name) = text.strip_prefix("$env:") {
            let found = (self.variable)(name).filter(|value| !value.is_empty());
            return found.map(Secret).ok_or_else(|| {
                format!("stands for the environment variable `{name}`, which is not set: set it")
            });
        }
        let Some(path) = text.strip_prefix("$file:") else {
            return Ok(Secret::new(text));
        };
        let path = self.folder.join(path);
        let content = (self.content)(&path).map_err(|error| {
            let path = path.display();
            format!("stands for the file `{path}`, which cannot be read: {error}")
        })?;
        let content = content.trim();
        if content.is_empty() {
            let path = path.display();
            return Err(format!("stands for the file `{path}`, which is empty"));
        }
        Ok(Secret::new(content))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a configuration file may name variables for its secrets, and this is where it is read"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Secret, String> {
        let surroundings = Surroundings {
            variable: &|name| (name == "SET").then(|| "from env".to_owned()),
            content: &|path| match path.to_str() {
                Some("/etc/app/key") => Ok("from file\n".to_owned()),
                Some("/etc/app/empty") => Ok(" \n".to_owned()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            folder: Path::new("/etc/app"),
        };
        surroundings.secret(text)
    }

    #[test]
    fn a_secret_comes_from_where_its_text_says() {
        for (text, secret) in [
            ("plain", "plain"),
            ("$env:SET", "from env"),
            ("$file:key", "from file"),
            ("$file:/etc/app/key", "from file"),
            ("$other:x", "$other:x"),
            ("", ""),
        ] {
            assert_eq!(resolve(text).unwrap().reveal(), secret, "{text}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_told_by_name() {
        for (text, mentions) in [
            ("$env:UNSET", "`UNSET`, which is not set"),
            ("$file:gone", "`/etc/app/gone`, which cannot be read"),
            ("$file:empty", "`/etc/app/empty`, which is empty"),
        ] {
            let why = resolve(text).unwrap_err();
            assert!(why.contains(mentions), "{text}: {why}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "***");
    }
}
