//! PostgreSQL: as a container, or from the Debian package without a service manager.
//!
//! It is no broker. The stores keep locks and replies in it, and tests get it in the same way.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    brokers::{Broker, Site},
    debian,
};

pub(crate) const POSTGRES: Broker = Broker {
    name: "postgres",
    takes_the_place_of: None,
    needed_by: "tidings-stores",
    image: "postgres:15",
    image_ports: &[5432],
    image_settings: &[("POSTGRES_HOST_AUTH_METHOD", "trust")],
    package: "the package `postgresql`",
    program: |_| newest_in(Path::new("/usr/lib/postgresql")),
    can_install: debian::can_install,
    install: |runner, _| debian::install(runner, &["postgresql"]),
    data: |folder, name| data(folder, name, debian::is_root()),
    ports: 1,
    launch: |site| launch(site, debian::is_root()),
    url: |ports| {
        let port = ports.first().copied().unwrap_or_default();
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    },
    greetings: &[ASKS_FOR_TLS],
};

/// What clients say first; the answer is one letter.
const ASKS_FOR_TLS: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// Makes a cluster unless there is one, and then becomes the server. Nothing must survive a power failure.
const SCRIPT: &str = r#"set -e
cd "$2"
[ -f data/PG_VERSION ] || "$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync
exec "$1/postgres" -D data -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c full_page_writes=off
"#;

/// The server refuses to run as root: it gets the user that its package has made, and that user a folder.
fn launch(site: &Site, is_root: bool) -> Result<Command> {
    let folder = site
        .program
        .parent()
        .context("a program is in some folder")?;
    let port = site.ports.first().context("a server has a port")?;
    let mut command = if is_root {
        let owned = Command::new("chown")
            .arg("postgres:")
            .arg(&site.data)
            .status();
        let is_owned = owned.is_ok_and(|status| status.success());
        anyhow::ensure!(
            is_owned,
            "cannot give {} to the user postgres",
            site.data.display()
        );
        // Not `su` or `runuser`: those stay between us and the server.
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "sh",
        ]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", SCRIPT, "postgres"]);
    command.arg(folder).arg(&site.data).arg(port.to_string());
    command.env("LC_ALL", "C.UTF-8");
    Ok(command)
}

/// Its own folder. That of the workspace may be closed to the user of the server, so for root it is elsewhere, under a
/// name that no other workspace uses.
fn data(folder: &Path, name: &str, is_root: bool) -> PathBuf {
    if !is_root {
        return folder.join(name);
    }
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    let name = format!("tidings-{name}-{:016x}", hasher.finish());
    std::env::temp_dir().join(name)
}

/// The server of the newest version that is installed.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let servers = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let server = version.path().join("bin/postgres");
        server.is_file().then_some((number, server))
    });
    servers.max().map(|(_, server)| server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tidings-xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_newest_version_is_used_and_what_is_none_is_passed_over() {
        let folder = scratch("versions");
        assert_eq!(newest_in(&folder), None);
        for version in ["9", "15", "16", "common"] {
            fs::create_dir_all(folder.join(version).join("bin")).unwrap();
        }
        for version in ["9", "15", "common"] {
            fs::write(folder.join(version).join("bin/postgres"), "").unwrap();
        }
        assert_eq!(newest_in(&folder), Some(folder.join("15/bin/postgres")));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_data_of_root_is_where_the_server_can_go_and_apart_from_other_workspaces() {
        let [one, other] = ["one", "other"].map(Path::new);
        assert_eq!(data(one, "postgres", false), one.join("postgres"));
        let of_root = |folder| data(folder, "postgres", true);
        assert!(of_root(one).starts_with(std::env::temp_dir()));
        assert_eq!(of_root(one), of_root(one));
        assert_ne!(of_root(one), of_root(other));
    }

    #[test]
    fn it_runs_as_whoever_starts_it() {
        let site = Site {
            program: "/opt/bin/postgres".into(),
            data: "/data".into(),
            ports: vec![5],
        };
        let command = launch(&site, false).unwrap();
        let words: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
        assert_eq!(command.get_program(), "sh");
        assert_eq!(words[2..], ["postgres", "/opt/bin", "/data", "5"]);
    }
}
