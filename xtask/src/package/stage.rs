//! The tree of a package before it is packed: every file where it will be installed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::control::Control;

const PROGRAM: u32 = 0o755;
const FILE: u32 = 0o644;

/// From `packaging/`, to the installed system, with these permissions.
const FILES: &[(&str, &str, u32)] = &[
    (
        "systemd/tidings-consume@.service",
        "usr/lib/systemd/system/tidings-consume@.service",
        FILE,
    ),
    (
        "systemd/tidings-consume.target",
        "usr/lib/systemd/system/tidings-consume.target",
        FILE,
    ),
    (
        "etc/rpc.yml.example",
        "usr/share/doc/tidings-example-consumer/rpc.yml.example",
        FILE,
    ),
    ("debian/triggers", "DEBIAN/triggers", FILE),
    ("debian/postinst", "DEBIAN/postinst", PROGRAM),
    ("debian/prerm", "DEBIAN/prerm", PROGRAM),
    ("debian/postrm", "DEBIAN/postrm", PROGRAM),
];

/// From the root of the workspace.
const LICENCES: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];

/// A folder that looks as the installed system will.
#[derive(Debug)]
pub(crate) struct Stage {
    root: PathBuf,
    packaging: PathBuf,
}

impl Stage {
    /// Makes it anew: what an earlier build has left is not packed.
    pub(crate) fn fill(root: &Path, workspace: &Path, binary: &Path) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root).with_context(|| format!("cannot empty {}", root.display()))?;
        }
        let stage = Self {
            root: root.to_owned(),
            packaging: workspace.join("packaging"),
        };
        for (from, to, mode) in FILES {
            stage.install(&stage.packaging.join(from), to, *mode)?;
        }
        stage.install(binary, "usr/bin/tidings-example-consumer", PROGRAM)?;
        for licence in LICENCES {
            let to = format!("usr/share/doc/tidings-example-consumer/{licence}");
            stage.install(&workspace.join(licence), &to, FILE)?;
        }
        Ok(stage)
    }

    /// Writes the control file.
    pub(crate) fn describe(&self, control: &Control) -> Result<()> {
        let template = self.packaging.join("debian/control");
        let template = fs::read_to_string(&template)
            .with_context(|| format!("cannot read {}", template.display()))?;
        let text = control.fill(&template, size(&self.root)?.div_ceil(1_024));
        fs::write(self.root.join("DEBIAN/control"), text).context("cannot write the control file")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn install(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let to = self.root.join(to);
        let copy = || {
            fs::create_dir_all(to.parent().unwrap_or(&self.root))?;
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(mode))
        };
        copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
    }
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
