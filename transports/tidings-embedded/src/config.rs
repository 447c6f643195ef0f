//! What can be set, and the URL that sets it.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use tidings_core::{Error, ErrorKind, Result};

use crate::SCHEME;

/// Where the broker keeps its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmbeddedConfig {
    /// In memory: gone with the process.
    #[default]
    Memory,
    /// In one file.
    File(FileConfig),
}

/// A durable broker's file and how it is written.
///
/// ```
/// use tidings_embedded::{EmbeddedConfig, FileConfig, SyncMode};
///
/// let config = EmbeddedConfig::from_url("embedded:data/orders.tidings?sync=normal&batch=64")?;
/// let mut expected = FileConfig::new("data/orders.tidings");
/// expected.sync = SyncMode::Normal;
/// expected.batch = std::num::NonZeroUsize::new(64).expect("64 is not zero");
/// assert_eq!(config, EmbeddedConfig::File(expected));
/// # Ok::<(), tidings_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// The file; beside it there will be a lock and, while it is in use, SQLite's own files.
    pub path: PathBuf,
    /// How long a commit waits for further publishes after the first. Zero (the default) is right nearly always:
    /// while one commit is under way the next batch gathers by itself.
    pub window: Duration,
    /// How many changes one commit takes at most. 512 unless set.
    pub batch: NonZeroUsize,
    /// What a confirm promises.
    pub sync: SyncMode,
    /// How large the file may become; beyond it publishes fail with `Full`. Unlimited unless set.
    pub max_size_mb: Option<u32>,
}

/// What a confirmed publish and a completed settlement survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// A crash of the process, of the system, and a power cut: every commit waits for the disk.
    #[default]
    Full,
    /// A crash of the process. A power cut or a crash of the system may lose the last moments. Many times faster
    /// for few publishers.
    Normal,
}

impl FileConfig {
    /// This file with the defaults.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            window: Duration::ZERO,
            batch: const { NonZeroUsize::new(512).expect("512 is not zero") },
            sync: SyncMode::Full,
            max_size_mb: None,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "window_ms" => {
                let millis = value.parse().ok().filter(|millis| *millis <= 1_000);
                self.window = Duration::from_millis(millis.ok_or_else(|| refused(name, value))?);
            }
            "batch" => {
                let batch = value
                    .parse()
                    .ok()
                    .filter(|batch: &NonZeroUsize| batch.get() <= 65_536);
                self.batch = batch.ok_or_else(|| refused(name, value))?;
            }
            "sync" => {
                self.sync = match value {
                    "full" => SyncMode::Full,
                    "normal" => SyncMode::Normal,
                    _ => return Err(refused(name, value)),
                };
            }
            "max_size_mb" => {
                let size = value.parse().ok().filter(|size| *size > 0);
                self.max_size_mb = Some(size.ok_or_else(|| refused(name, value))?);
            }
            _ => return Err(refused(name, value)),
        }
        Ok(())
    }
}

impl EmbeddedConfig {
    /// Reads `embedded:` (memory) or `embedded:PATH?option=value&…`. In a path, `?` and `%` are written `%3F` and `%25`.
    ///
    /// # Errors
    /// [`Misuse`](ErrorKind::Misuse) that names what is wrong and what is allowed.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url
            .split_once(':')
            .filter(|(scheme, _)| *scheme == SCHEME)
            .map(|(_, rest)| rest);
        let Some(rest) = rest else {
            return Err(misuse(format!(
                "`{url}` is not an embedded URL: write `embedded:` or `embedded:PATH`"
            )));
        };
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        let options = options.split('&').filter(|option| !option.is_empty());
        let path = path_of(url, path)?;
        if path.is_empty() {
            return match options.into_iter().next() {
                None => Ok(Self::Memory),
                Some(option) => Err(misuse(format!(
                    "option `{option}` needs a file: the broker in memory has no options, write `{SCHEME}:PATH?{option}`"
                ))),
            };
        }
        let mut config = FileConfig::new(path);
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            config.set(name, value)?;
        }
        Ok(Self::File(config))
    }
}

impl From<FileConfig> for EmbeddedConfig {
    fn from(config: FileConfig) -> Self {
        Self::File(config)
    }
}

impl From<PathBuf> for EmbeddedConfig {
    fn from(path: PathBuf) -> Self {
        Self::File(FileConfig::new(path))
    }
}

fn path_of(url: &str, path: &str) -> Result<String> {
    // `embedded:///var/lib/x` is what people write who know other URLs.
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => {
            return Err(misuse(format!(
                "`{url}` names a host: the embedded broker lives on this machine, write `{SCHEME}:PATH`"
            )));
        }
        None => path,
    };
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let Some(code) = code else {
            return Err(misuse(format!(
                "`{url}` has a `%` without two hexadecimal digits: write `%25` for `%`"
            )));
        };
        bytes.push(code);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| misuse(format!("the path in `{url}` is not UTF-8")))
}

fn refused(name: &str, value: &str) -> Error {
    misuse(format!(
        "option `{name}={value}` is not known or has no such value: allowed are `window_ms` (0 to 1000), `batch` (1 to 65536), `sync` (`full` or `normal`) and `max_size_mb` (1 or more)"
    ))
}

fn misuse(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: FileConfig) {
        assert_eq!(
            EmbeddedConfig::from_url(url).unwrap(),
            EmbeddedConfig::File(expected),
            "{url}"
        );
    }

    fn check_refused(url: &str, mentions: &[&str]) {
        let error = EmbeddedConfig::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse, "{url}");
        for word in mentions {
            assert!(
                error.to_string().contains(word),
                "{url}: `{error}` does not say `{word}`"
            );
        }
    }

    #[test]
    fn without_a_path_it_is_memory() {
        assert_eq!(
            EmbeddedConfig::from_url("embedded:").unwrap(),
            EmbeddedConfig::Memory
        );
        check_refused("embedded:?sync=full", &["sync=full", "file"]);
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        check("embedded:a.tidings", FileConfig::new("a.tidings"));
        check("embedded:/var/a b", FileConfig::new("/var/a b"));
        check("embedded:///var/a", FileConfig::new("/var/a"));
        check("embedded:a%3Fb%25", FileConfig::new("a?b%"));
        check("embedded:a?", FileConfig::new("a"));
        check_refused("embedded://host/a", &["host"]);
        check_refused("embedded:100%", &["%25"]);
        check_refused("embedded:%ff", &["UTF-8"]);
    }

    #[test]
    fn options_are_read() {
        let mut all = FileConfig::new("a");
        all.window = Duration::from_millis(5);
        all.batch = NonZeroUsize::new(7).unwrap();
        all.sync = SyncMode::Normal;
        all.max_size_mb = Some(64);
        check(
            "embedded:a?window_ms=5&batch=7&sync=normal&max_size_mb=64",
            all,
        );
        check(
            "embedded:a?window_ms=0&sync=full&batch=512",
            FileConfig::new("a"),
        );
    }

    #[test]
    fn wrong_options_name_the_right_ones() {
        for option in [
            "colour=red",
            "sync",
            "sync=off",
            "batch=0",
            "batch=-1",
            "batch=70000",
            "window_ms=fast",
            "window_ms=60000",
            "max_size_mb=0",
        ] {
            check_refused(
                &format!("embedded:a?{option}"),
                &[
                    option,
                    "window_ms",
                    "batch",
                    "`full` or `normal`",
                    "max_size_mb",
                ],
            );
        }
        check_refused("amqp://localhost", &["embedded:"]);
    }
}
