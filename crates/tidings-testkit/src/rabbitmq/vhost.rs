//! A virtual host for one test.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::Api;

/// How many transactions follow a declaration until it is taken to be on disk.
const SETTLING: usize = 16;

/// A virtual host with everything that its test has made in it. Dropping it deletes it.
#[derive(Debug)]
pub struct VirtualHost {
    api: Api,
    management: String,
    address: String,
    user: String,
    name: String,
}

impl VirtualHost {
    /// A new one on the node that this URL names, with the address of its HTTP API in `management=`.
    pub(super) async fn create(url: &str) -> Self {
        Self::called(url, format!("test-{:016x}", fastrand::u64(..))).await
    }

    /// One of this name, made if it does not exist.
    pub(super) async fn called(url: &str, name: String) -> Self {
        let rest = url.trim_start_matches("amqp://");
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let management = options
            .split('&')
            .find_map(|option| option.strip_prefix("management="))
            .unwrap_or_default();
        let (login, password) = user.split_once(':').unwrap_or((user, ""));
        let host = Self {
            api: Api::new(management, login, password),
            management: management.to_owned(),
            address: place.split('/').next().unwrap_or_default().to_owned(),
            user: user.to_owned(),
            name,
        };
        host.put(&host.path("/api/vhosts"), "{}").await;
        host.permit().await;
        host
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host and port of the node.
    ///
    /// # Panics
    /// If the URL of the node names no address but a host.
    #[must_use]
    #[expect(clippy::expect_used, reason = "this is how a test fails")]
    pub fn address(&self) -> SocketAddr {
        let address = self.address.replace("localhost", "127.0.0.1");
        address.parse().expect("the node is named by its address")
    }

    /// Its URL, with the HTTP API.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(&self.address)
    }

    /// Its URL by way of another address, for example that of a proxy.
    #[must_use]
    pub fn url_through(&self, address: impl std::fmt::Display) -> String {
        let Self {
            user,
            management,
            name,
            ..
        } = self;
        let name = name.replace('/', "%2F");
        format!("amqp://{user}@{address}/{name}?management={management}")
    }

    /// What the HTTP API answers to a GET; `{}` in the path stands for this virtual host.
    ///
    /// # Panics
    /// If it does not answer, or not with JSON.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "").await;
        assert!(status < 300, "GET {path}: {status} {body}");
        serde_json::from_str(&body).unwrap_or(Value::Null)
    }

    /// Puts this under a path.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn put(&self, path: &str, body: &str) {
        let (status, answer) = self.ask("PUT", path, body).await;
        assert!(status < 300, "PUT {path}: {status} {answer}");
    }

    /// Posts this to a path.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn post(&self, path: &str, body: &str) -> Value {
        let (status, answer) = self.ask("POST", path, body).await;
        assert!(status < 300, "POST {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Deletes what is under a path; what is not there is fine.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn delete(&self, path: &str) {
        let (status, answer) = self.ask("DELETE", path, "").await;
        assert!(
            status < 300 || status == 404,
            "DELETE {path}: {status} {answer}"
        );
    }

    /// Returns when what was declared on the node so far survives that it is killed.
    ///
    /// The declaration of a durable thing is one transaction over a table in memory and one on disk. Mnesia commits such a
    /// transaction in two records. RabbitMQ answers when the first is on disk; the second, the decision, goes through
    /// another process (`mnesia_recover:log_decision/1` is a cast), and one that is late stays in the buffer of the log
    /// for two seconds, or until the next transaction is synchronized. Without the decision the transaction is taken for
    /// aborted when the node starts: a queue whose declaration was answered is gone, with its messages. So other
    /// transactions are made here, which change nothing; many, so that the other process has had its turn.
    ///
    /// # Panics
    /// If the API refuses.
    pub async fn settle_declarations(&self) {
        for _ in 0..SETTLING {
            self.permit().await;
        }
    }

    /// Gives all permissions to the user of the URL.
    async fn permit(&self) {
        let login = self.user.split(':').next().unwrap_or_default();
        let permissions = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;
        let path = format!("{}/{login}", self.path("/api/permissions"));
        self.put(&path, permissions).await;
    }

    /// Closes all connections to this virtual host, as an operator would, and returns how many there were.
    ///
    /// The API sees a connection some moments after it was opened.
    pub async fn close_connections(&self) -> usize {
        let connections = self.get("/api/vhosts/{}/connections").await;
        let names = connections.as_array().into_iter().flatten();
        let names: Vec<_> = names
            .filter_map(|connection| connection["name"].as_str())
            .map(|name| name.replace(' ', "%20").replace('>', "%3E"))
            .collect();
        for name in &names {
            self.delete(&format!("/api/connections/{name}")).await;
        }
        names.len()
    }

    #[expect(clippy::expect_used, reason = "this is how a test fails")]
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let path = path.replace("{}", &self.encoded());
        let answer = self.api.ask(method, &path, body).await;
        answer.expect("the management API answers")
    }

    fn path(&self, below: &str) -> String {
        format!("{below}/{}", self.encoded())
    }

    fn encoded(&self) -> String {
        self.name.replace('/', "%2F")
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        // `/` is everybody's; the others are ours.
        if self.name == "/" {
            return;
        }
        let (api, path) = (self.api.clone(), self.path("/api/vhosts"));
        // The test's runtime may be ending, and is perhaps the only thread: a thread of its own has neither problem.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                // A virtual host that stays behind costs nothing: the node goes with the test run.
                let _removed = runtime.block_on(api.ask("DELETE", &path, "")).is_ok();
            }
        });
        let _joined = removing.join().is_ok();
    }
}
