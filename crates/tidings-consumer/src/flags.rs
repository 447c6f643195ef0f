//! The command line: the options of the deployed consumer, and ours beside them.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgGroup, Parser, ValueEnum, builder::ArgPredicate, error::ErrorKind};
use tidings_core::{Error, error::Result};

/// How long a drain waits for handlers unless said otherwise: less than the 90 seconds that systemd waits.
const GRACE: &str = "80";

/// What the command line says.
#[derive(Clone, Debug, Parser)]
#[command(
    about = "Serves the RPC handlers that are linked into this program, as a configuration file says.",
    group = ArgGroup::new("asked").args(["virtual_host", "all_virtual_hosts", "schema"]).required(true)
)]
#[non_exhaustive]
pub struct Flags {
    /// The virtual host to serve
    #[arg(long = "virtual-host-name", value_name = "NAME")]
    pub virtual_host: Option<String>,

    /// Serve every virtual host of the file in this one process
    #[arg(long)]
    pub all_virtual_hosts: bool,

    /// The configuration file
    #[arg(
        long = "config-file-path",
        value_name = "PATH",
        required = false,
        required_unless_present = "schema",
        default_value_if("schema", ArgPredicate::IsPresent, "-")
    )]
    pub config: PathBuf,

    /// Print the JSON Schema of the requests that this exchange takes, and end; no file is read
    #[arg(long, value_name = "EXCHANGE")]
    pub schema: Option<String>,

    /// Do not start if a configured exchange has no handler
    #[arg(long)]
    pub strict: bool,

    /// Say what would be served, and end
    #[arg(long)]
    pub check: bool,

    /// Do not wait for the broker: end if it cannot be reached at the start
    #[arg(long)]
    pub no_wait: bool,

    /// Serve over this instead of the broker of the file, for example `embedded:`
    #[arg(long, value_name = "URL")]
    pub transport: Option<String>,

    /// Answer health checks over HTTP here, for example `127.0.0.1:8080`: /live and /ready
    #[arg(long, value_name = "ADDRESS")]
    pub health: Option<String>,

    /// How many seconds requests under way may take after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = GRACE)]
    pub grace: u64,

    /// What the log looks like
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// A line for people, as deployed consumers write it.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// A command line that asks for help, or that cannot be understood.
#[derive(Debug)]
pub(crate) struct Unusable(clap::Error);

impl Flags {
    /// Reads a command line, program name first, for programs that start one another.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](tidings_core::ErrorKind::Misuse) with the usage.
    pub fn from_line<I>(line: I) -> Result<Self>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        Self::parse_from_line(line)
            .map_err(|unusable| Error::new(tidings_core::ErrorKind::Misuse, unusable.0.to_string()))
    }

    /// As [`from_line`](Self::from_line), for whoever can print what is wrong.
    pub(crate) fn parse_from_line<I>(line: I) -> std::result::Result<Self, Unusable>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        Self::try_parse_from(line).map_err(Unusable)
    }

    /// The virtual host to serve; `None` for all of them.
    #[must_use]
    pub fn wanted(&self) -> Option<&str> {
        self.virtual_host.as_deref()
    }

    /// How long requests under way may take.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }
}

impl Unusable {
    /// Whether only help was asked for.
    pub(crate) fn is_help(&self) -> bool {
        self.0.kind() == ErrorKind::DisplayHelp
    }

    /// What to print, where it belongs.
    pub(crate) fn print(&self) {
        // A closed terminal is no reason to fail in another way.
        drop(self.0.print());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> std::result::Result<Flags, Unusable> {
        Flags::parse_from_line([&["consumer"], line].concat())
    }

    #[test]
    fn options_take_their_value_with_and_without_an_equals_sign() {
        for line in [
            &["--virtual-host-name=v", "--config-file-path=c.yml"][..],
            &["--virtual-host-name", "v", "--config-file-path", "c.yml"],
            &["--config-file-path=c.yml", "--virtual-host-name", "v"],
        ] {
            let flags = parse(line).unwrap();
            assert_eq!(flags.wanted(), Some("v"), "{line:?}");
            assert_eq!(flags.config, PathBuf::from("c.yml"), "{line:?}");
            assert!(!flags.strict && !flags.check && !flags.no_wait);
        }
        let all = parse(&[
            "--all-virtual-hosts",
            "--config-file-path=c",
            "--log-format=json",
        ]);
        let all = all.unwrap();
        assert_eq!((all.wanted(), all.log_format), (None, LogFormat::Json));
    }

    fn check_refused(line: &[&str], mentions: &str) {
        let unusable = parse(line).unwrap_err();
        assert!(!unusable.is_help(), "{line:?}");
        let text = unusable.0.to_string();
        assert!(
            text.contains("Usage: ") && text.contains(mentions),
            "{text}"
        );
    }

    #[test]
    fn a_missing_option_shows_the_usage() {
        check_refused(&[], "--config-file-path <PATH>");
        check_refused(&["--virtual-host-name=v"], "--config-file-path <PATH>");
        check_refused(&["--config-file-path=c"], "--virtual-host-name <NAME>");
        check_refused(
            &[
                "--config-file-path=c",
                "--virtual-host-name=v",
                "--all-virtual-hosts",
            ],
            "cannot be used with",
        );
        check_refused(
            &["--config-file-path=c", "--virtual-host=v"],
            "--virtual-host-name",
        );
    }

    #[test]
    fn help_is_no_mistake() {
        assert!(parse(&["--help"]).unwrap_err().is_help());
        assert!(parse(&["-h"]).unwrap_err().is_help());
    }
}
