//! `cargo xtask tidy`: the part of the style guide that a program can check.
//!
//! A rule is here if a reviewer would otherwise have to say it twice. Each finding says where, which rule, why
//! the rule exists and what to do, so that nobody has to look anything up. Rules look at text and at
//! `cargo metadata`; they never build anything, and what clippy can check is left to clippy.

mod code;
mod faces;
mod files;
mod graph;
mod literals;
mod manifest;
mod source;
mod tree;

use std::fmt;

use anyhow::Result;

use self::tree::{File, Tree};
use crate::workspace::Workspace;

/// One rule: its name, why it exists, and how to comply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    name: &'static str,
    why: &'static str,
    instead: &'static str,
}

/// A place that breaks a rule.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    rule: &'static Rule,
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    /// A finding on a line, counted from one.
    fn new(rule: &'static Rule, path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            rule,
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}:{}: {} [{}]",
            self.path, self.line, self.what, self.rule.name
        )?;
        writeln!(f, "    why: {}", self.rule.why)?;
        writeln!(f, "    do:  {}", self.rule.instead)
    }
}

/// Checks the workspace and prints what is wrong; `false` if something is.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let tree = Tree::read(workspace.root())?;
    let findings = check(workspace, &tree);
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} files, {} findings", tree.files().len(), findings.len());
    Ok(findings.is_empty())
}

fn check(workspace: &Workspace, tree: &Tree) -> Vec<Finding> {
    let words = literals::Words::read(workspace, tree);
    let mut findings: Vec<_> = tree
        .files()
        .iter()
        .flat_map(|file| {
            [
                files::check(file),
                code::check(file),
                literals::check(file, &words),
            ]
        })
        .flatten()
        .collect();
    findings.extend(faces::check(tree));
    findings.extend(manifest::check(workspace, tree));
    findings.extend(graph::check(workspace));
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}

/// For the tests of the rules: the names of the rules that a file breaks, and the lines.
#[cfg(test)]
fn broken(findings: &[Finding]) -> Vec<(&'static str, usize)> {
    findings
        .iter()
        .map(|finding| (finding.rule.name, finding.line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let workspace = Workspace::find().unwrap();
        let tree = Tree::read(workspace.root()).unwrap();
        let findings = check(&workspace, &tree);
        let text: String = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{} findings:\n{text}", findings.len());
    }

    #[test]
    fn a_finding_says_where_what_why_and_what_to_do() {
        static RULE: Rule = Rule {
            name: "name",
            why: "because",
            instead: "this",
        };
        let finding = Finding::new(&RULE, "a/b.rs", 3, "it is wrong");
        assert_eq!(
            finding.to_string(),
            "a/b.rs:3: it is wrong [name]\n    why: because\n    do:  this\n"
        );
    }
}
