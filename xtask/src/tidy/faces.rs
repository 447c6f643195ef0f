//! Rules about siblings: crates of one kind have the same files, so that knowing one is knowing all.

use crate::tidy::{Finding, Rule, Tree};

const TRANSPORT: &[&str] = &[
    "src/lib.rs",
    "src/docs.md",
    "src/config.rs",
    "src/transport.rs",
    "src/envelope.rs",
    "src/publisher.rs",
    "src/subscriber.rs",
    "src/acker.rs",
    "src/error.rs",
    "tests/it/main.rs",
];
const CONVENTION: &[&str] = &["src/lib.rs", "tests/it/main.rs"];
const LAYER: &[&str] = &["mod.rs", "layer.rs", "service.rs"];

static FACE: Rule = Rule {
    name: "face",
    why: "siblings have the same files: who knows one knows where to look in all of them",
    instead: "add the file, or move what belongs there into it",
};

/// Checks every transport, convention and layer.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let kinds = [
        ("transports", "a transport", TRANSPORT),
        ("conventions", "a convention", CONVENTION),
        ("crates/tidings-layers/src", "a layer", LAYER),
    ];
    let mut findings = Vec::new();
    for (parent, kind, face) in kinds {
        for folder in tree.folders(parent) {
            let missing = face
                .iter()
                .filter(|name| tree.file(&format!("{parent}/{folder}/{name}")).is_none());
            let folder = format!("{parent}/{folder}");
            findings.extend(missing.map(|name| {
                Finding::new(
                    &FACE,
                    &format!("{folder}/{name}"),
                    1,
                    format!("{kind} has this file, and it is missing"),
                )
            }));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::File;

    fn check_folder(parent: &str, names: &[&str], missing: &[&str]) {
        let tree: Tree = names
            .iter()
            .map(|name| File::new(format!("{parent}/one/{name}"), ""))
            .collect();
        let found: Vec<_> = check(&tree)
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        let expected: Vec<_> = missing
            .iter()
            .map(|name| format!("{parent}/one/{name}"))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn whole_faces_have_no_findings() {
        check_folder("transports", TRANSPORT, &[]);
        check_folder(
            "conventions",
            &["src/lib.rs", "src/names.rs", "tests/it/main.rs"],
            &[],
        );
        check_folder("crates/tidings-layers/src", LAYER, &[]);
    }

    #[test]
    fn missing_files_are_found() {
        check_folder("transports", &TRANSPORT[1..], &["src/lib.rs"]);
        check_folder("conventions", &["src/lib.rs"], &["tests/it/main.rs"]);
        check_folder(
            "crates/tidings-layers/src",
            &["mod.rs", "config.rs"],
            &["layer.rs", "service.rs"],
        );
    }
}
