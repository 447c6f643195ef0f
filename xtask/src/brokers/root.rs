//! RabbitMQ 4 on a machine whose distribution has 3.10: from a Debian 13 in a folder of its own.
//!
//! The folder is made once, with the mirror that the machine installs from, and is kept. The only thing that a node
//! needs in it beside its files is `/proc`; that is mounted in a mount namespace of the node, which ends with it, so
//! that there is never anything to unmount. Making the folder takes root on Debian.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    brokers::{Broker, Site, rabbitmq},
    debian, environment,
    runner::Runner,
};

/// The newer broker as `cargo xtask` knows it.
pub(crate) const RABBITMQ_4: Broker = Broker {
    name: "rabbitmq-4",
    takes_the_place_of: Some("rabbitmq"),
    image: "rabbitmq:4-management",
    package: "RabbitMQ in a Debian 13 folder",
    program: |folder| rabbitmq::server_in(&root(folder)),
    can_install: || can_make(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
    install: make,
    data: |folder, name| root(folder).join(NODES).join(name),
    launch,
    ..rabbitmq::RABBITMQ
};

/// The release, and where its nodes keep their data.
const RELEASE: &str = "trixie";
const NODES: &str = "nodes";
const DEBOOTSTRAP: Duration = Duration::from_secs(300);
const INSTALL: Duration = Duration::from_secs(300);
/// Where programs are in the folder; the machine's own search path may say something else.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/// Mounts what is needed, for itself alone, and goes inside.
const ENTER: &str = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /usr/bin/env \"$@\"";

fn root(folder: &Path) -> PathBuf {
    folder.join("debian-13")
}

/// Only Debian has the keys with which the release is signed.
fn can_make(release: &str) -> bool {
    release.lines().any(|line| line == "ID=debian")
        && debian::can_install()
        && environment::program("unshare").is_some()
}

/// Makes the folder, or what is missing of it after an interruption.
fn make(runner: &Runner, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    // Two runs may want it at once. The lock ends with this function, or with its process.
    let lock = File::create(folder.join("debian-13.lock"))?;
    lock.lock().context("cannot lock the Debian folder")?;
    if rabbitmq::server_in(&root(folder)).is_some() {
        return Ok(());
    }
    let mirror = mirror()?;
    if environment::program("debootstrap").is_none() {
        debian::install(runner, &["debootstrap"])?;
    }
    let root = root(folder);
    // Under another name until it is whole.
    let draft = root.with_extension("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    let mut debootstrap = Command::new("unshare");
    debootstrap.args(["--mount", "debootstrap", "--variant=minbase", RELEASE]);
    debootstrap.arg(&draft).arg(&mirror);
    ensure!(
        runner.run(&mut debootstrap, DEBOOTSTRAP)?,
        "debootstrap failed, see above"
    );
    settle_in(&draft)?;
    install(runner, &draft)?;
    fs::rename(&draft, &root).with_context(|| format!("cannot rename {}", draft.display()))
}

fn install(runner: &Runner, root: &Path) -> Result<()> {
    for apt in [
        "apt-get update -q",
        "apt-get install -yq --no-install-recommends rabbitmq-server",
        "apt-get clean",
    ] {
        let mut command = inside(root);
        command.arg("DEBIAN_FRONTEND=noninteractive");
        command.args(apt.split(' '));
        ensure!(
            runner.run(&mut command, INSTALL)?,
            "`{apt}` failed in {}, see above",
            root.display()
        );
    }
    Ok(())
}

/// What the folder needs before anything is installed: no services, and the machine's way to the mirror.
fn settle_in(root: &Path) -> Result<()> {
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755))?;
    let dump = Command::new("apt-config").arg("dump").output()?;
    let settings = network_settings(&String::from_utf8_lossy(&dump.stdout));
    fs::write(root.join("etc/apt/apt.conf.d/90machine"), settings)?;
    Ok(())
}

/// Those of apt's settings that say how to reach a mirror, and when to believe it.
fn network_settings(dump: &str) -> String {
    let is_wanted = |line: &&str| {
        ["Acquire::http", "Acquire::Check-"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines: Vec<_> = dump.lines().filter(is_wanted).collect();
    lines.join("\n") + "\n"
}

/// The mirror that this machine installs from.
fn mirror() -> Result<String> {
    let folder = Path::new("/etc/apt");
    let mut files = vec![folder.join("sources.list")];
    let parts = fs::read_dir(folder.join("sources.list.d"));
    files.extend(
        parts
            .into_iter()
            .flatten()
            .filter_map(|file| Some(file.ok()?.path())),
    );
    let texts = files
        .iter()
        .filter(|file| {
            file.extension()
                .is_some_and(|it| it == "list" || it == "sources")
        })
        .filter_map(|file| fs::read_to_string(file).ok());
    let mut mirrors = texts.flat_map(|text| mirrors(&text));
    mirrors
        .find(|mirror| mirror.trim_end_matches('/').ends_with("/debian"))
        .context("the sources of apt name no mirror of Debian")
}

/// The addresses in a file of sources, in either of its two forms.
fn mirrors(sources: &str) -> Vec<String> {
    let is_address = |word: &&str| word.contains("://") || word.starts_with("mirror+");
    sources
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(|line| line.split_whitespace().filter(is_address))
        .map(str::to_owned)
        .collect()
}

/// A command inside; what is added to it are variables and words, as for `env`.
fn inside(root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", ENTER]);
    command.arg(root).arg(PATH);
    command
}

fn launch(site: &Site) -> Result<Command> {
    let (root, program) = (root_of(site)?, within(site, &site.program)?);
    let mut command = inside(root);
    command.args(["sh", "-c", rabbitmq::SCRIPT]).arg(program);
    command.envs(rabbitmq::prepare(site, &within(site, &site.data)?)?);
    Ok(command)
}

/// RabbitMQ's own tool for the node that runs here.
pub(crate) fn control(site: &Site) -> Result<Command> {
    let (root, program) = (root_of(site)?, within(site, &site.program)?);
    let mut command = inside(root);
    command.arg(rabbitmq::tool(&program));
    command.envs(rabbitmq::prepare(site, &within(site, &site.data)?)?);
    Ok(command)
}

fn root_of(site: &Site) -> Result<&Path> {
    let root = site.data.ancestors().nth(2);
    root.with_context(|| format!("{} is not inside a Debian folder", site.data.display()))
}

/// A path as it is seen inside.
fn within(site: &Site, path: &Path) -> Result<PathBuf> {
    let path = path
        .strip_prefix(root_of(site)?)
        .with_context(|| format!("{} is not inside the Debian folder", path.display()))?;
    Ok(Path::new("/").join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mirrors_of_both_forms() {
        let one = "Types: deb\nURIs: http://one.test/debian http://two.test/debian/\nSuites: x\n";
        assert_eq!(
            mirrors(one),
            ["http://one.test/debian", "http://two.test/debian/"]
        );
        let other = "# deb http://no.test/debian x main\n\
                     deb [signed-by=/a/key] https://one.test/debian x main\n\
                     deb-src http://src.test/debian x main\n";
        assert_eq!(mirrors(other), ["https://one.test/debian"]);
        assert_eq!(mirrors(""), Vec::<String>::new());
    }

    #[test]
    fn takes_over_how_to_reach_a_mirror_and_nothing_else() {
        let dump = "APT::Architecture \"amd64\";\n\
                    Acquire::http::Proxy \"http://proxy.test\";\n\
                    Acquire::Check-Date \"false\";\n\
                    DPkg::Post-Invoke:: \"something\";\n";
        assert_eq!(
            network_settings(dump),
            "Acquire::http::Proxy \"http://proxy.test\";\nAcquire::Check-Date \"false\";\n"
        );
    }

    #[test]
    fn a_node_sees_its_own_folder_under_another_path() {
        let folder =
            std::env::temp_dir().join(format!("tidings-xtask-{}-root", std::process::id()));
        let site = Site {
            program: root(&folder).join("usr/lib/server"),
            data: (RABBITMQ_4.data)(&folder, "a"),
            ports: vec![1, 2, 3, 4],
        };
        fs::create_dir_all(&site.data).unwrap();
        let command = launch(&site).unwrap();
        let words: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
        assert!(
            words.contains(&root(&folder).to_string_lossy()),
            "{words:?}"
        );
        assert_eq!(words.last().unwrap(), "/usr/lib/server");
        assert!(site.data.join("rabbitmq.conf").exists(), "written outside");
        let home = command.get_envs().find(|(name, _)| *name == "HOME");
        assert_eq!(home.unwrap().1.unwrap(), "/nodes/a", "read inside");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn other_distributions_cannot_make_one() {
        assert!(!can_make("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!can_make(""));
    }
}
