//! Where the workspace is and what is in it, as Cargo sees it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::environment;

/// The workspace that this xtask works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    metadata: Metadata,
}

impl Workspace {
    /// Reads the manifests, not the registry: it works without a network.
    pub(crate) fn find() -> Result<Self> {
        // What cargo says now, not when this was built: clones may share a target folder.
        let folder = environment::variable("CARGO_MANIFEST_DIR");
        let folder = folder.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned());
        let manifest = Path::new(&folder).join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
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
