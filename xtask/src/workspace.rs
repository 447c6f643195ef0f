//! Where the workspace is and what is in it, as Cargo sees it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::environment;

/// Where a test run says which workspace it is of.
pub(crate) const ROOT: &str = "TIDINGS_WORKSPACE";

/// The workspace that this xtask works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: Metadata,
}

impl Workspace {
    /// Reads the manifests, not the registry: it works without a network.
    pub(crate) fn find() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .manifest_path(manifest()?)
            .no_deps()
            .exec()
            .context("cannot read the workspace with `cargo metadata`")?;
        Ok(Self {
            root: metadata.workspace_root.clone().into(),
            metadata,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where Cargo puts what it builds.
    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    pub(crate) fn packages(&self) -> &[Package] {
        &self.metadata.packages
    }

    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.packages().iter().any(|package| package.name == name)
    }

    /// A path as it is shown to people: from the root, with forward slashes.
    pub(crate) fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.to_string_lossy().replace('\\', "/")
    }
}

/// The manifest of xtask itself, in the checkout that is meant.
///
/// Tests call xtask from other folders, with the variables of their own packages: the test run tells us its root.
/// Otherwise it is what cargo says now, rather than when this was built: clones may share a target folder.
fn manifest() -> Result<PathBuf> {
    let root = environment::variable(ROOT).map(|root| Path::new(&root).join("xtask"));
    let cargo = environment::variable("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let candidates = root.into_iter().chain(cargo).chain([built]);
    let mut manifests = candidates.map(|folder| folder.join("Cargo.toml"));
    manifests
        .find(|manifest| is_ours(manifest))
        .with_context(|| format!("cannot find the workspace: set {ROOT} to its folder"))
}

fn is_ours(manifest: &Path) -> bool {
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    text.lines().any(|line| line == "name = \"xtask\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_package_is_not_taken_for_ours() {
        let workspace = Workspace::find().unwrap();
        for (manifest, expected) in [
            ("xtask/Cargo.toml", true),
            ("crates/tidings-core/Cargo.toml", false),
            ("no-such/Cargo.toml", false),
        ] {
            assert_eq!(
                is_ours(&workspace.root().join(manifest)),
                expected,
                "{manifest}"
            );
        }
    }
}
