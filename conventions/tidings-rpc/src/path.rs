//! Paths in requests: absolute ones and relative ones, as deployed handlers know them.
//!
//! They are strings, checked and normalised without a look at the disk: no element is resolved, no link followed.
//! Lengths are counted in characters, because the Python types do; a file system that counts bytes may still refuse.

use std::{fmt, path::Path, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest path, in characters.
const LONGEST: usize = 4096;

/// The longest element of a path, in characters.
const LONGEST_ELEMENT: usize = 255;

/// Why a text is no path of this sort. It does not quote the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPath(&'static str);

impl fmt::Display for NotAPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotAPath {}

/// A type of path: a checked, normalised string.
macro_rules! path {
    ($(#[$documentation:meta])* $name:ident, $check:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The normalised path.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAPath;

            fn try_from(text: String) -> Result<Self, NotAPath> {
                $check(&text)?;
                Ok(Self(normalised(&text)))
            }
        }

        impl FromStr for $name {
            type Err = NotAPath;

            fn from_str(text: &str) -> Result<Self, NotAPath> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(path: $name) -> Self {
                path.0
            }
        }

        impl AsRef<Path> for $name {
            fn as_ref(&self) -> &Path {
                self.0.as_ref()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

path! {
    /// A path from the root.
    ///
    /// ```
    /// use tidings_rpc::AbsolutePath;
    ///
    /// let path: AbsolutePath = "/srv//www/./site/../logs/".parse()?;
    /// assert_eq!(path.as_str(), "/srv/www/logs");
    /// assert!("srv/www".parse::<AbsolutePath>().is_err());
    /// # Ok::<(), tidings_rpc::NotAPath>(())
    /// ```
    AbsolutePath, absolute
}

path! {
    /// A path from somewhere else. It may lead upwards: `../a` is one.
    ///
    /// ```
    /// use tidings_rpc::RelativePath;
    ///
    /// let path: RelativePath = "logs/./today/..".parse()?;
    /// assert_eq!(path.as_str(), "logs");
    /// assert!("/logs".parse::<RelativePath>().is_err());
    /// # Ok::<(), tidings_rpc::NotAPath>(())
    /// ```
    RelativePath, relative
}

const EMPTY: NotAPath = NotAPath("Value may not be empty");

fn absolute(text: &str) -> Result<(), NotAPath> {
    if text.is_empty() {
        return Err(EMPTY);
    }
    if !text.starts_with('/') {
        return Err(NotAPath("Path is not absolute"));
    }
    if text.chars().count() > LONGEST {
        return Err(NotAPath(
            "Path is not absolute: path must be under 4096 characters",
        ));
    }
    if !elements_fit(text) {
        return Err(NotAPath(
            "Path is not absolute: path element must be under 255 characters",
        ));
    }
    Ok(())
}

fn relative(text: &str) -> Result<(), NotAPath> {
    if text.is_empty() {
        return Err(EMPTY);
    }
    if text.starts_with('/') {
        return Err(NotAPath("Path is not relative"));
    }
    if text.chars().count() > LONGEST {
        return Err(NotAPath(
            "Path is not relative: path must be under 4096 characters",
        ));
    }
    if !elements_fit(text) {
        return Err(NotAPath(
            "Path is not relative: path element must be under 255 characters",
        ));
    }
    Ok(())
}

fn elements_fit(text: &str) -> bool {
    let fits = |element: &str| element.chars().count() <= LONGEST_ELEMENT;
    text.split('/').all(fits)
}

/// The path without `.`, without `..` where there is something to go back from, and with single slashes.
fn normalised(text: &str) -> String {
    // Two slashes at the start, and no more, may mean something else than one: POSIX, 4.13 "Pathname Resolution".
    let root = match text.len() - text.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut elements = Vec::new();
    for element in text.split('/') {
        match element {
            "" | "." => {}
            ".." if elements.last().is_some_and(|last| *last != "..") => {
                elements.pop();
            }
            ".." if !root.is_empty() => {}
            element => elements.push(element),
        }
    }
    let path = format!("{root}{}", elements.join("/"));
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}
