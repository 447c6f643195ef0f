//! Rules about literals that have one home: metric names, header names, and paths of somebody's machine.

use std::collections::BTreeSet;

use crate::{
    tidy::{File, Finding, Rule, Tree, source::Line},
    workspace::Workspace,
};

const METRICS: &str = "crates/tidings-core/src/metric.rs";
const HEADERS: &str = "crates/tidings-core/src/headers.rs";

static METRIC: Rule = Rule {
    name: "metric-literal",
    why: "a metric has one name, one unit and one meaning, which people find in one file",
    instead: "use the constant from `tidings_core::metric`, or add one there",
};
static HEADER: Rule = Rule {
    name: "header-literal",
    why: "a header is a promise to programs that we do not know; all of them are listed in one file",
    instead: "use the constant from `tidings_core::headers`, or add one there",
};
static PATH: Rule = Rule {
    name: "machine-path",
    why: "an absolute path is right on one machine only",
    instead: "derive it from the workspace root, a setting, or `std::env::temp_dir`",
};
static REGISTRY: Rule = Rule {
    name: "registry",
    why: "where packages are fetched from is a setting of a machine, not of this repository",
    instead: "remove it, and set it in the configuration of that machine",
};

/// What counts as a metric or header name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    headers: BTreeSet<String>,
    /// As they are written in code: `tidings_core`. They look like metric names and are none.
    crates: BTreeSet<String>,
}

impl Words {
    /// Reads them where they are defined.
    pub(crate) fn read(workspace: &Workspace, tree: &Tree) -> Self {
        let constants = tree
            .file(HEADERS)
            .map(|file| file.production_lines())
            .into_iter()
            .flatten();
        let constants = constants.filter(|(_, line)| line.code.starts_with("pub const"));
        Self {
            // A plain word, like `queue`, is a header name only where it is used as one.
            headers: constants
                .flat_map(|(_, line)| line.strings.iter().cloned())
                .filter(|name| name.contains(['-', '_']))
                .collect(),
            crates: workspace
                .packages()
                .iter()
                .map(|package| package.name.replace('-', "_"))
                .collect(),
        }
    }

    fn is_metric(&self, literal: &str) -> bool {
        let ours =
            literal.starts_with("tidings_") && is_name(literal) && !self.crates.contains(literal);
        ours || (literal.starts_with("messaging.") && is_name(literal))
    }

    fn is_header(&self, literal: &str, line: &Line) -> bool {
        let is_used_as_one = ["set(", "get(", "with(", "text(", "int(", "remove("]
            .iter()
            .any(|call| line.code.contains(&format!(".{call}")));
        self.headers.contains(literal)
            || (literal.starts_with("tidings-") && is_name(literal) && is_used_as_one)
    }
}

fn is_name(literal: &str) -> bool {
    literal
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Checks one file.
pub(crate) fn check(file: &File, words: &Words) -> Vec<Finding> {
    let mut findings = if is_product(file) {
        names(file, words)
    } else {
        Vec::new()
    };
    findings.extend(paths(file));
    findings.extend(registries(file));
    findings
}

/// Whether it is part of what users get; xtask and the tests may write names out.
fn is_product(file: &File) -> bool {
    ["crates/", "conventions/", "transports/"]
        .iter()
        .any(|folder| file.path.starts_with(folder))
        && file.has_folder("src")
}

fn names(file: &File, words: &Words) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.production_lines() {
        for literal in &line.strings {
            let what = format!("`{literal}` is written out");
            if file.path != METRICS && words.is_metric(literal) {
                findings.push(Finding::new(&METRIC, &file.path, number, what));
            } else if file.path != HEADERS && words.is_header(literal, line) {
                findings.push(Finding::new(&HEADER, &file.path, number, what));
            }
        }
    }
    findings
}

/// Paths that somebody's machine has. Temporary ones are fine in prose and in tests, not in code.
fn paths(file: &File) -> Vec<Finding> {
    // Written in two parts, so that this list is not itself a finding.
    let homes = ["home", "root", "Users", "work", "mnt"].map(|folder| format!("/{folder}/"));
    let temporary = [format!("/{}/", "tmp")];
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if homes.iter().any(|home| begins_a_path(line, home)) {
            findings.push(Finding::new(
                &PATH,
                &file.path,
                index + 1,
                "a path of one machine",
            ));
        }
    }
    for (number, line) in file.production_lines() {
        if line
            .strings
            .iter()
            .any(|literal| temporary.iter().any(|path| literal.starts_with(path)))
        {
            findings.push(Finding::new(
                &PATH,
                &file.path,
                number,
                "a path that not every machine has",
            ));
        }
    }
    findings
}

/// Whether a path that begins with `folder` stands in the line, and not just one that has it further down.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}$>/\\".contains(c))
    })
}

/// Package sources other than the public ones.
fn registries(file: &File) -> Vec<Finding> {
    let is_source = |line: &str| {
        let line = line.trim();
        if file.path.ends_with("Cargo.lock") {
            return line.starts_with("source = ")
                && line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        }
        let settings = [
            "[source.",
            "[registries",
            "replace-with",
            "index-url",
            "extra-index-url",
        ];
        !file.is_rust()
            && settings
                .iter()
                .any(|setting| line.trim_start_matches('-').starts_with(setting))
    };
    let found = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_source(line));
    found
        .map(|(index, _)| Finding::new(&REGISTRY, &file.path, index + 1, "a package source"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::broken;

    fn words() -> Words {
        Words {
            headers: ["x-death", "tidings-reason", "redelivery_count"]
                .map(String::from)
                .into(),
            crates: ["tidings_core".to_owned()].into(),
        }
    }

    fn check_text(path: &str, text: &str, expected: &[(&str, usize)]) {
        assert_eq!(
            broken(&check(&File::new(path, text), &words())),
            expected,
            "{path}: {text}"
        );
    }

    #[test]
    fn good_literals_have_no_findings() {
        check_text(METRICS, "const A: &str = \"tidings_retries\";", &[]);
        check_text(HEADERS, "const A: &str = \"x-death\";", &[]);
        check_text(
            "crates/a/src/a.rs",
            "// The header x-death, the metric \"tidings_retries\".",
            &[],
        );
        check_text("crates/a/src/a.rs", "target: \"tidings_core\"", &[]);
        check_text("crates/a/src/a.rs", "name(\"tidings-writer\")", &[]);
        check_text(
            "crates/a/src/a.rs",
            "error(\"tidings_retries must not be zero\")",
            &[],
        );
        check_text("crates/a/tests/it/a.rs", "headers.get(\"x-death\")", &[]);
        check_text(
            "crates/a/src/a.rs",
            "#[cfg(test)]\nmod tests { let a = \"x-death\"; }",
            &[],
        );
        check_text("xtask/src/a.rs", "let a = \"tidings_retries\";", &[]);
    }

    #[test]
    fn bad_literals_are_found() {
        check_text(
            "crates/a/src/a.rs",
            "let a = \"tidings_retries\";",
            &[("metric-literal", 1)],
        );
        check_text(
            "crates/a/src/a.rs",
            "f(\"messaging.system\")",
            &[("metric-literal", 1)],
        );
        check_text(
            "crates/a/src/a.rs",
            "\nf(\"x-death\")",
            &[("header-literal", 2)],
        );
        check_text(
            "crates/a/src/a.rs",
            "f(\"redelivery_count\")",
            &[("header-literal", 1)],
        );
        check_text(
            "crates/a/src/a.rs",
            "h.set(\"tidings-new\", 1)",
            &[("header-literal", 1)],
        );
    }

    #[test]
    fn machine_paths_are_found() {
        let home = format!("/{}/me/x", "home");
        let temporary = format!("let a = \"/{}/x\";", "tmp");
        check_text("docs/a.md", &format!("See {home}."), &[("machine-path", 1)]);
        check_text(
            "crates/a/src/a.rs",
            &format!("// {home}"),
            &[("machine-path", 1)],
        );
        check_text("crates/a/src/a.rs", &temporary, &[("machine-path", 1)]);
        check_text("crates/a/tests/it/a.rs", &temporary, &[]);
        check_text("docs/a.md", &format!("https://example.org{home}"), &[]);
    }

    #[test]
    fn package_sources_are_found() {
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        check_text("Cargo.lock", lock, &[]);
        check_text(
            "Cargo.lock",
            "source = \"git+https://example.org/a\"",
            &[("registry", 1)],
        );
        check_text(
            ".cargo/config.toml",
            "[source.crates-io]",
            &[("registry", 1)],
        );
        check_text(
            "interop/requirements.md",
            "--index-url https://example.org",
            &[("registry", 1)],
        );
    }
}
