//! The program as a process of its own, with a service manager that listens.

use std::{
    fs,
    io::Read,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long anything may take before a test fails.
const SOON: Duration = Duration::from_secs(30);

/// A configuration file for one test.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(hosts: &str) -> Self {
        let server = "server: {host: localhost, port: 1, username: u, password: p, ssl: false}";
        let path = unique("yml");
        fs::write(&path, format!("{server}\nvirtual_hosts: {hosts}\n")).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// A program that serves, and what it tells.
pub(crate) struct Consumer {
    child: Child,
    manager: UnixDatagram,
    socket: PathBuf,
}

impl Consumer {
    /// Serves the virtual host `v` over a broker in the process.
    pub(crate) fn start(file: &File, more: &[&str]) -> Self {
        let socket = unique("sock");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(SOON)).unwrap();
        let child = program()
            .args(["--virtual-host-name=v", "--transport=embedded:"])
            .args(["--config-file-path", file.path()])
            .args(more)
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            manager,
            socket,
        }
    }

    /// The next thing that it tells its service manager.
    pub(crate) fn told(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    pub(crate) fn terminate(&mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Its status and its log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut out = self.child.stdout.take().unwrap();
        out.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.child.kill().ok();
        fs::remove_file(&self.socket).ok();
    }
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program to its end.
pub(crate) fn run(line: &[&str]) -> Ended {
    let output = program().args(line).output().unwrap();
    Ended {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-example-consumer"));
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command
}

/// A path that no other test has.
fn unique(extension: &str) -> PathBuf {
    let random = fastrand::u64(..);
    std::env::temp_dir().join(format!("tidings-consumer-{random:016x}.{extension}"))
}
