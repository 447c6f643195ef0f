//! The `deny` step: which licences and sources dependencies may have, as `deny.toml` says.
//!
//! cargo-deny does it where it is installed. It takes minutes to build, so elsewhere we check the part that must
//! never be skipped: licences, sources, banned crates and wildcard versions, read from the same file. The
//! reduced check knows no clarifications, and leaves duplicate versions (a warning) to cargo-deny.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::{environment, runner::Runner, workspace::Workspace};

const LIMIT: Duration = Duration::from_secs(300);

/// The parts of `deny.toml` that the reduced check reads.
#[derive(Debug, Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// Licences that one crate alone may have.
#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

impl Licences {
    /// What the crate with this name may have.
    fn of(&self, name: &str) -> BTreeSet<String> {
        let own = self.exceptions.iter().filter(|one| one.name == name);
        let own = own.flat_map(|one| &one.allow);
        self.allow.iter().chain(own).cloned().collect()
    }
}

/// Checks the dependencies; `false` if one breaks a rule.
pub(crate) fn run(runner: &Runner, workspace: &Workspace) -> Result<bool> {
    if environment::program("cargo-deny").is_some() {
        println!("by cargo-deny");
        let mut cargo = runner.cargo(&["deny", "check", "licenses", "bans", "sources"]);
        return runner.run(&mut cargo, LIMIT);
    }
    println!("by the reduced check of xtask, because cargo-deny is not installed");
    let rules = read_rules(&workspace.root().join("deny.toml"))?;
    let metadata = resolve(workspace.root(), &rules.graph.targets)?;
    let findings = check(&metadata.packages, &rules);
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "{} packages, {} against deny.toml",
        metadata.packages.len(),
        findings.len()
    );
    Ok(findings.is_empty())
}

fn read_rules(file: &Path) -> Result<Rules> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
}

/// Every package that is built on one of the targets.
fn resolve(root: &Path, targets: &[String]) -> Result<Metadata> {
    let filters = targets
        .iter()
        .map(|target| format!("--filter-platform={target}"))
        .collect::<Vec<_>>();
    MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(filters)
        .exec()
        .context("cannot read the dependencies with `cargo metadata`")
}

fn check(packages: &[Package], rules: &Rules) -> Vec<String> {
    packages
        .iter()
        .flat_map(|package| check_package(package, rules))
        .collect()
}

fn check_package(package: &Package, rules: &Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    let allow = rules.licenses.of(&package.name);
    if let Err(why) = check_licence(package.license.as_deref(), &allow) {
        wrong.push(why);
    }
    if let Some(source) = package.source.as_ref().map(ToString::to_string) {
        wrong.extend(check_source(&source, &rules.sources.allow_registry).err());
    }
    if let Some(ban) = rules.bans.deny.iter().find(|ban| package.name == ban.name) {
        wrong.push(format!("it is banned: {}", ban.reason));
    }
    if package.source.is_none() {
        wrong.extend(wildcards(package));
    }
    wrong
        .iter()
        .map(|why| format!("{} {}: {why}", package.name, package.version))
        .collect()
}

/// Whether some choice among the licences that the expression offers is allowed.
fn check_licence(expression: Option<&str>, allow: &BTreeSet<String>) -> Result<(), String> {
    let Some(text) = expression else {
        return Err(
            "it names no licence: find out, then clarify it in deny.toml or replace it".into(),
        );
    };
    let expression = Expression::parse_mode(text, ParseMode::LAX)
        .map_err(|_| format!("its licence `{text}` is no SPDX expression"))?;
    if expression.evaluate(|requirement| allow.contains(&requirement.to_string())) {
        return Ok(());
    }
    Err(format!(
        "its licence `{text}` is not allowed: replace it, or allow the licence with a reason"
    ))
}

/// Whether a package comes from a registry that is allowed.
fn check_source(source: &str, allow: &[String]) -> Result<(), String> {
    let registry = source
        .strip_prefix("registry+")
        .or_else(|| source.strip_prefix("sparse+"));
    if registry.is_some_and(|url| allow.iter().any(|allowed| allowed == url)) {
        return Ok(());
    }
    Err(format!(
        "it comes from `{source}`: only released crates of an allowed registry may be used"
    ))
}

/// Dependencies on any version at all.
fn wildcards(package: &Package) -> impl Iterator<Item = String> {
    let any = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_none() && dependency.req.comparators.is_empty());
    any.map(|dependency| format!("it accepts any version of `{}`: name one", dependency.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow() -> BTreeSet<String> {
        ["MIT", "Apache-2.0", "Unicode-3.0"]
            .map(String::from)
            .into()
    }

    fn check(expression: &str, allowed: bool) {
        assert_eq!(
            check_licence(Some(expression), &allow()).is_ok(),
            allowed,
            "{expression}"
        );
    }

    #[test]
    fn a_licence_is_allowed_if_one_choice_is() {
        check("MIT", true);
        check("MIT/Apache-2.0", true);
        check("GPL-3.0-only OR MIT", true);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
        check("MIT AND GPL-3.0-only", false);
        check("GPL-3.0-only", false);
        check("Apache-2.0 WITH LLVM-exception", false);
        check("our own terms", false);
    }

    #[test]
    fn an_exception_is_for_one_package() {
        let licences = Licences {
            allow: allow(),
            exceptions: vec![Exception {
                name: "fernet".to_owned(),
                allow: ["MPL-2.0".to_owned()].into(),
            }],
        };
        for (name, allowed) in [("fernet", true), ("other", false)] {
            let found = check_licence(Some("MPL-2.0"), &licences.of(name));
            assert_eq!(found.is_ok(), allowed, "{name}");
        }
        assert!(check_licence(Some("MIT"), &licences.of("fernet")).is_ok());
    }

    #[test]
    fn a_package_without_a_licence_is_refused() {
        assert!(check_licence(None, &allow()).is_err());
    }

    #[test]
    fn only_allowed_registries_are_sources() {
        let allow = ["https://github.com/rust-lang/crates.io-index".to_owned()];
        for (source, allowed) in [
            (
                "registry+https://github.com/rust-lang/crates.io-index",
                true,
            ),
            ("registry+https://example.org/index", false),
            ("git+https://github.com/someone/something#1234", false),
        ] {
            assert_eq!(check_source(source, &allow).is_ok(), allowed, "{source}");
        }
    }

    #[test]
    fn the_rules_of_this_repository_can_be_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml");
        let rules = read_rules(&file).unwrap();
        assert!(rules.licenses.allow.contains("MIT"));
        assert!(!rules.sources.allow_registry.is_empty());
    }
}
