//! Rules about imports: who may depend on whom. The same graph is drawn in `ARCHITECTURE.md`.
//!
//! macros → core → {router, layers, client, catalog, stores, conventions, transports} → server → consumer → facade →
//! {console, cli}.
//! Only normal and build dependencies are checked, because those are what users get: tests may use whatever they
//! need. That there is no cycle is Cargo's business.

use cargo_metadata::{DependencyKind, Package};

use crate::{
    tidy::{Finding, Rule},
    workspace::Workspace,
};

static EDGE: Rule = Rule {
    name: "dependency-graph",
    why: "the graph is what keeps a transport from knowing a convention, and the server from knowing either",
    instead: "speak through the words of tidings-core; a new edge needs a record in docs/decisions/ and a line in \
              xtask/src/tidy/graph.rs",
};

/// A room of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Macros,
    Core,
    Router,
    Layers,
    Client,
    Catalog,
    Convention,
    Transport,
    Testkit,
    Stores,
    Server,
    Consumer,
    Facade,
    Console,
    Cli,
    Interop,
    Example,
    Xtask,
}

impl Room {
    /// The room of a package, by its name and the folder that it is in.
    fn of(name: &str, folder: &str) -> Option<Self> {
        Some(match (name, folder.split('/').next()?) {
            (_, "transports") => Self::Transport,
            (_, "conventions") => Self::Convention,
            (_, "examples") => Self::Example,
            ("tidings-macros", _) => Self::Macros,
            ("tidings-core", _) => Self::Core,
            ("tidings-router", _) => Self::Router,
            ("tidings-layers", _) => Self::Layers,
            ("tidings-client", _) => Self::Client,
            ("tidings-catalog", _) => Self::Catalog,
            ("tidings-testkit", _) => Self::Testkit,
            ("tidings-stores", _) => Self::Stores,
            ("tidings-server", _) => Self::Server,
            ("tidings-consumer", _) => Self::Consumer,
            ("tidings", _) => Self::Facade,
            ("tidings-console", _) => Self::Console,
            ("tidings-cli", _) => Self::Cli,
            ("tidings-interop", _) => Self::Interop,
            ("xtask", _) => Self::Xtask,
            _ => return None,
        })
    }

    /// Whether it may import another one.
    fn may_import(self, other: Self) -> bool {
        match self {
            Self::Macros | Self::Xtask => false,
            Self::Core => other == Self::Macros,
            Self::Router
            | Self::Layers
            | Self::Client
            | Self::Catalog
            | Self::Convention
            | Self::Transport
            | Self::Stores
            | Self::Testkit => other == Self::Core,
            Self::Server => {
                matches!(
                    other,
                    Self::Core | Self::Router | Self::Layers | Self::Client | Self::Catalog
                )
            }
            // The program of one convention: it knows that convention, and transports only as values.
            Self::Consumer => matches!(
                other,
                Self::Core | Self::Router | Self::Layers | Self::Server | Self::Convention
            ),
            Self::Facade => other.is_below_the_facade(),
            Self::Console | Self::Example => other == Self::Facade,
            Self::Cli => matches!(other, Self::Facade | Self::Console),
            // It is a test in the shape of a package.
            Self::Interop => {
                other.is_below_the_facade()
                    || matches!(other, Self::Facade | Self::Testkit | Self::Example)
            }
        }
    }

    fn is_below_the_facade(self) -> bool {
        !matches!(
            self,
            Self::Facade
                | Self::Console
                | Self::Cli
                | Self::Testkit
                | Self::Interop
                | Self::Example
                | Self::Xtask
        )
    }
}

/// Checks every package of the workspace.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in workspace.packages() {
        let manifest = workspace.relative(package.manifest_path.as_std_path());
        for what in check_package(package, &manifest, workspace) {
            findings.push(Finding::new(&EDGE, &manifest, 1, what));
        }
    }
    findings
}

fn check_package(package: &Package, manifest: &str, workspace: &Workspace) -> Vec<String> {
    let Some(room) = Room::of(&package.name, manifest) else {
        return vec![format!("{} has no place in the graph", package.name)];
    };
    let imports = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    imports
        .filter_map(|dependency| {
            let path = workspace.relative(dependency.path.as_ref()?.as_std_path());
            let other = Room::of(&dependency.name, &path)?;
            let what = format!("{} must not import {}", package.name, dependency.name);
            (!room.may_import(other)).then_some(what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(path: &str) -> Room {
        let name = path.rsplit('/').next().unwrap();
        Room::of(name, path).unwrap_or_else(|| panic!("{path} has no room"))
    }

    fn check_edge(from: &str, to: &str, allowed: bool) {
        assert_eq!(room(from).may_import(room(to)), allowed, "{from} → {to}");
    }

    #[test]
    fn the_graph_of_the_design_is_allowed() {
        check_edge("crates/tidings-core", "crates/tidings-macros", true);
        check_edge("crates/tidings-router", "crates/tidings-core", true);
        check_edge("transports/tidings-embedded", "crates/tidings-core", true);
        check_edge("conventions/tidings-domain", "crates/tidings-core", true);
        check_edge("crates/tidings-testkit", "crates/tidings-core", true);
        check_edge("crates/tidings-server", "crates/tidings-layers", true);
        check_edge("crates/tidings-consumer", "conventions/tidings-rpc", true);
        check_edge("crates/tidings-stores", "crates/tidings-core", true);
        check_edge("crates/tidings", "crates/tidings-server", true);
        check_edge("crates/tidings", "transports/tidings-embedded", true);
        check_edge("crates/tidings-cli", "crates/tidings", true);
        check_edge("interop/tidings-interop", "crates/tidings", true);
    }

    #[test]
    fn every_other_edge_is_found() {
        check_edge("crates/tidings-macros", "crates/tidings-core", false);
        check_edge("crates/tidings-router", "crates/tidings-layers", false);
        check_edge(
            "transports/tidings-embedded",
            "conventions/tidings-domain",
            false,
        );
        check_edge(
            "conventions/tidings-domain",
            "transports/tidings-embedded",
            false,
        );
        check_edge("conventions/tidings-domain", "crates/tidings-client", false);
        check_edge(
            "crates/tidings-server",
            "transports/tidings-embedded",
            false,
        );
        check_edge("crates/tidings-server", "conventions/tidings-domain", false);
        check_edge("crates/tidings", "crates/tidings-testkit", false);
        check_edge("crates/tidings-server", "crates/tidings", false);
        check_edge("crates/tidings-console", "crates/tidings-server", false);
        check_edge(
            "crates/tidings-consumer",
            "transports/tidings-rabbitmq",
            false,
        );
        check_edge("crates/tidings-server", "crates/tidings-consumer", false);
        check_edge("crates/tidings-core", "xtask", false);
        check_edge("xtask", "crates/tidings-core", false);
    }

    #[test]
    fn a_crate_nobody_planned_has_no_place() {
        assert_eq!(
            Room::of("tidings-attic", "crates/tidings-attic/Cargo.toml"),
            None
        );
    }
}
