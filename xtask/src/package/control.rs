//! What a package says of itself.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// The answers for the blanks of `packaging/debian/control`.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    package: String,
    version: String,
    architecture: String,
    maintainer: String,
    homepage: String,
    depends: String,
}

impl Control {
    /// Reads them from the workspace and from the machine that builds.
    pub(crate) fn of(workspace: &Workspace, name: &str) -> Result<Self> {
        let mut packages = workspace.packages().iter();
        let Some(package) = packages.find(|package| package.name == name) else {
            bail!("there is no package `{name}` in the workspace");
        };
        let libc = ask(
            "dpkg-query",
            &["--show", "--showformat=${Version}", "libc6"],
        )?;
        Ok(Self {
            package: name.to_owned(),
            version: package.version.to_string(),
            architecture: ask("dpkg", &["--print-architecture"])?,
            maintainer: format!("{} <tidings@localhost>", package.authors.join(", ")),
            homepage: package.repository.clone().unwrap_or_default(),
            // It runs where the C library is no older than the one it was linked with.
            depends: format!("libc6 (>= {}), adduser", upstream(&libc)),
        })
    }

    /// The name that Debian gives to such a file.
    pub(crate) fn file_name(&self) -> String {
        format!(
            "{}_{}_{}.deb",
            self.package, self.version, self.architecture
        )
    }

    /// The control file, of a package whose files take so many KiB.
    pub(crate) fn fill(&self, template: &str, kib: u64) -> String {
        let size = kib.to_string();
        let blanks = [
            ("{version}", &self.version),
            ("{architecture}", &self.architecture),
            ("{maintainer}", &self.maintainer),
            ("{homepage}", &self.homepage),
            ("{depends}", &self.depends),
            ("{size}", &size),
        ];
        let fill = |text: String, (blank, answer): (&str, &String)| text.replace(blank, answer);
        blanks.into_iter().fold(template.to_owned(), fill)
    }
}

/// A version without what Debian has added to it: `2.36` of `2.36-9+deb12u10`.
fn upstream(version: &str) -> &str {
    let version = version
        .split_once(':')
        .map_or(version, |(_, version)| version);
    version
        .split_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run `{program}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{program} {}` failed: {}",
            arguments.join(" "),
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_without_what_debian_added() {
        assert_eq!(upstream("2.36-9+deb12u10"), "2.36");
        assert_eq!(upstream("1:2.36-9"), "2.36");
        assert_eq!(upstream("2.36"), "2.36");
    }

    #[test]
    fn no_blank_is_left() {
        let control = Control {
            package: "p".to_owned(),
            version: "0.1.0".to_owned(),
            architecture: "amd64".to_owned(),
            maintainer: "a <a@b>".to_owned(),
            homepage: "https://example.com".to_owned(),
            depends: "libc6".to_owned(),
        };
        let filled = control.fill(include_str!("../../../packaging/debian/control"), 7);
        assert!(!filled.contains(['{', '}']), "{filled}");
        assert!(filled.contains("Installed-Size: 7\n") && filled.contains("Version: 0.1.0\n"));
        assert_eq!(control.file_name(), "p_0.1.0_amd64.deb");
    }
}
