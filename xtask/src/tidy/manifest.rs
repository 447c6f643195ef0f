//! Rules about manifests: the same lints everywhere, and one integration-test binary per crate.

use cargo_metadata::{Package, TargetKind};

use crate::{
    tidy::{Finding, Rule, Tree},
    workspace::Workspace,
};

static LINTS: Rule = Rule {
    name: "workspace-lints",
    why: "a crate with lints of its own, or none, drifts away from the others",
    instead: "add `[lints]` with `workspace = true` to the manifest",
};
static ONE_TEST_BINARY: Rule = Rule {
    name: "one-test-binary",
    why: "every file directly in tests/ is a binary that is linked on its own, which takes longer than its tests",
    instead: "make it a module of tests/it/main.rs",
};

/// Checks every package of the workspace.
pub(crate) fn check(workspace: &Workspace, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in workspace.packages() {
        let manifest = workspace.relative(package.manifest_path.as_std_path());
        let text = tree.file(&manifest).map_or("", |file| file.text.as_str());
        if !has_workspace_lints(text) {
            findings.push(Finding::new(
                &LINTS,
                &manifest,
                1,
                "the lints of the workspace are not used",
            ));
        }
        findings.extend(test_binaries(package).into_iter().map(|path| {
            let path = workspace.relative(path.as_ref());
            Finding::new(&ONE_TEST_BINARY, &path, 1, "a second test binary")
        }));
    }
    findings
}

fn has_workspace_lints(manifest: &str) -> bool {
    let Ok(manifest) = manifest.parse::<toml::Table>() else {
        return false;
    };
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    lints.and_then(toml::Value::as_bool) == Some(true)
}

/// Test binaries other than the one that a crate should have.
fn test_binaries(package: &Package) -> Vec<String> {
    let tests = package
        .targets
        .iter()
        .filter(|target| target.kind.contains(&TargetKind::Test));
    tests
        .map(|target| target.src_path.to_string())
        .filter(|path| !path.ends_with("tests/it/main.rs"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_lints_must_be_used() {
        assert!(has_workspace_lints(
            "[package]\n[lints]\nworkspace = true\n"
        ));
        assert!(!has_workspace_lints("[package]\n"));
        assert!(!has_workspace_lints("[lints]\nworkspace = false\n"));
        assert!(!has_workspace_lints(
            "[lints.rust]\nunsafe_code = \"forbid\"\n"
        ));
        assert!(!has_workspace_lints("# [lints]\n# workspace = true\n"));
    }
}
