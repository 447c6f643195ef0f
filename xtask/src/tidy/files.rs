//! Rules about a file as a whole: its length, its first line, its name.

use crate::tidy::{File, Finding, Rule};

const LONGEST: usize = 600;
/// Names under which anything can be put, and so is.
const ATTICS: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "types",
];

static LENGTH: Rule = Rule {
    name: "file-length",
    why: "a file is read from top to bottom in one sitting; 400 lines are asked for, 600 are the end",
    instead: "split it by noun: find the second thing that the file is about and give it a file of its own",
};
static MODULE_DOCS: Rule = Rule {
    name: "module-docs",
    why: "a reader who opens a file must learn first what it is and why it exists",
    instead: "begin with `//!`: one sentence what it is, then why, then what it deliberately does not do",
};
static NAME: Rule = Rule {
    name: "file-name",
    why: "such a name says nothing, so everything ends up there and nobody finds it again",
    instead: "name the file after the noun that it holds",
};

/// Checks one file.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.is_rust() {
        return findings;
    }
    let length = file.text.lines().count();
    if length > LONGEST {
        findings.push(Finding::new(
            &LENGTH,
            &file.path,
            length,
            format!("the file has {length} lines"),
        ));
    }
    // The programs under tests/ui are meant not to compile; their line numbers are part of what is expected.
    if !file.text.starts_with("//!") && !file.has_folder("ui") {
        findings.push(Finding::new(
            &MODULE_DOCS,
            &file.path,
            1,
            "the first line is not `//!`",
        ));
    }
    let parts = file
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"));
    if let Some(attic) = parts.into_iter().find(|part| ATTICS.contains(part)) {
        findings.push(Finding::new(
            &NAME,
            &file.path,
            1,
            format!("something is called `{attic}`"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::broken;

    fn check_file(path: &str, text: &str, expected: &[(&str, usize)]) {
        assert_eq!(broken(&check(&File::new(path, text))), expected, "{path}");
    }

    #[test]
    fn a_good_file_has_no_findings() {
        check_file("src/worker.rs", "//! The worker.\n", &[]);
        check_file("src/worker.rs", &"//!\n".repeat(600), &[]);
        check_file("tests/ui/no_name.rs", "fn main() {}", &[]);
        check_file("docs/utils.md", "# A file that is not Rust", &[]);
    }

    #[test]
    fn bad_files_are_found() {
        check_file(
            "src/worker.rs",
            &"//!\n".repeat(601),
            &[("file-length", 601)],
        );
        check_file("src/worker.rs", "use std::fmt;\n", &[("module-docs", 1)]);
        check_file("src/worker.rs", "\n//! Late.\n", &[("module-docs", 1)]);
        check_file("src/utils.rs", "//! All sorts.\n", &[("file-name", 1)]);
        check_file("src/common/mod.rs", "//! All sorts.\n", &[("file-name", 1)]);
    }
}
