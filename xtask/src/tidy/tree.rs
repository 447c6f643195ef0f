//! The text files of the repository, read once.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::tidy::source::{self, Line};

/// Folders that hold nothing that we wrote.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    ".tidings",
    "node_modules",
    "__pycache__",
    ".venv",
];
/// What counts as text.
const TEXT: &[&str] = &[
    "rs", "toml", "md", "sh", "py", "yml", "yaml", "lock", "json", "sql",
];

/// A file, by its path from the root.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Empty unless it is Rust.
    pub(crate) lines: Vec<Line>,
}

impl File {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let lines = if path.ends_with(".rs") {
            source::read(&text)
        } else {
            Vec::new()
        };
        Self { path, text, lines }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The file name without folder and extension.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split('.').next().unwrap_or(name)
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.stem() == "tests" || self.has_folder("tests")
    }

    /// Whether one of its folders has this name.
    pub(crate) fn has_folder(&self, name: &str) -> bool {
        self.path
            .rsplit_once('/')
            .is_some_and(|(folders, _)| folders.split('/').any(|folder| folder == name))
    }

    /// Numbered lines, of code that is not for tests only.
    pub(crate) fn production_lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered()
            .filter(|(_, line)| !self.is_test() && !line.is_test)
    }

    /// Numbered lines, of code that is for tests only.
    pub(crate) fn test_lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered()
            .filter(|(_, line)| self.is_test() || line.is_test)
    }

    /// All lines with their numbers, counted from one.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines
            .iter()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// All files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

impl Tree {
    /// Reads every text file under a folder.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The folders directly in a folder that hold files, by name.
    pub(crate) fn folders(&self, parent: &str) -> Vec<&str> {
        let below = |file: &'_ File| -> Option<usize> {
            let rest = file.path.strip_prefix(parent)?.strip_prefix('/')?;
            rest.find('/')
        };
        let start = parent.len() + 1;
        let mut names: Vec<_> = self
            .files
            .iter()
            .filter_map(|file| Some(&file.path[start..start + below(file)?]))
            .collect();
        names.dedup();
        names
    }

    fn read_folder(&mut self, folder: &Path, path: &str) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    self.read_folder(&entry.path(), &path)?;
                }
            } else if is_text(&path) {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("cannot read {path} as text"))?;
                self.files.push(File::new(path, text));
            }
        }
        Ok(())
    }
}

impl FromIterator<File> for Tree {
    fn from_iter<I: IntoIterator<Item = File>>(files: I) -> Self {
        Self {
            files: files.into_iter().collect(),
        }
    }
}

fn is_text(path: &str) -> bool {
    path.starts_with(".ci/")
        || path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| TEXT.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_the_folders_of_a_folder() {
        let paths = [
            "a/one/x.rs",
            "a/one/y/z.rs",
            "a/two/x.rs",
            "a/file.rs",
            "ab/three/x.rs",
        ];
        let tree: Tree = paths.iter().map(|path| File::new(*path, "")).collect();
        assert_eq!(tree.folders("a"), ["one", "two"]);
    }

    #[test]
    fn tests_are_known_by_their_folder_or_name() {
        for (path, is_test) in [
            ("crates/a/tests/it/main.rs", true),
            ("crates/a/src/worker/tests.rs", true),
            ("crates/a/src/testing.rs", false),
            ("crates/a/examples/tests_of_taste.rs", false),
        ] {
            assert_eq!(File::new(path, "").is_test(), is_test, "{path}");
        }
    }
}
