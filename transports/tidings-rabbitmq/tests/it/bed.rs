//! What the tests of this crate share: a virtual host of their own on a real broker.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use lapin::{Channel, Connection, ConnectionProperties};

/// Where the tests find their broker, and its HTTP API in the option `management`.
const URL: &str = "TIDINGS_TEST_RABBITMQ_URL";

/// A virtual host that is created with it and deleted with it.
pub(crate) struct Bed {
    /// `user:password`.
    credentials: String,
    /// `host:port`.
    place: String,
    /// `host:port` of the HTTP API.
    management: String,
    pub(crate) vhost: String,
}

/// An empty virtual host; without a broker it says so and returns `None`, which on CI is a failure.
#[expect(
    clippy::disallowed_methods,
    reason = "the variables that say where the broker is and whether a skip is a failure are read here"
)]
pub(crate) fn bed() -> Option<Bed> {
    let Ok(url) = std::env::var(URL) else {
        let is_ci = std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"));
        assert!(!is_ci, "{URL} is not set: no broker to test with");
        println!("SKIPPED: {URL} is not set: `cargo xtask test` starts a broker");
        return None;
    };
    Some(Bed::at(&url))
}

impl Bed {
    /// On the broker with this URL.
    pub(crate) fn at(url: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let rest = url
            .strip_prefix("amqp://")
            .expect("the URL begins with amqp://");
        let (rest, options) = rest.split_once('?').expect("the URL has options");
        let (credentials, place) = rest.split_once('@').unwrap_or(("guest:guest", rest));
        let management = options
            .split('&')
            .find_map(|option| option.strip_prefix("management=http://"))
            .expect("the URL says where the HTTP API is");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let bed = Self {
            credentials: credentials.to_owned(),
            place: place.split('/').next().unwrap().to_owned(),
            management: management.trim_end_matches('/').to_owned(),
            vhost: format!("test-{}-{number}", std::process::id()),
        };
        bed.expect("PUT", &format!("/api/vhosts/{}", bed.vhost), "");
        bed
    }

    /// The URL of the virtual host, with the HTTP API.
    pub(crate) fn url(&self) -> String {
        format!("{}?management=http://{}", self.plain_url(), self.management)
    }

    /// The same without options.
    pub(crate) fn plain_url(&self) -> String {
        self.url_as(&self.credentials)
    }

    /// The same for another `user:password`.
    pub(crate) fn url_as(&self, credentials: &str) -> String {
        format!("amqp://{credentials}@{}/{}", self.place, self.vhost)
    }

    /// Host and port of the broker.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Host and port of its HTTP API.
    pub(crate) fn management(&self) -> &str {
        &self.management
    }

    /// A channel of the plain client, to look and to interfere with.
    pub(crate) async fn channel(&self) -> Channel {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&self.plain_url(), properties).await;
        // A channel keeps its connection open.
        connection.unwrap().create_channel().await.unwrap()
    }

    /// A request to the HTTP API; `path` begins with `/api`.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.management).expect("the HTTP API is there");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut request = format!("{method} {path} HTTP/1.0\r\n");
        let authorization = STANDARD.encode(&self.credentials);
        write!(request, "authorization: Basic {authorization}\r\n").unwrap();
        write!(request, "content-type: application/json\r\n").unwrap();
        write!(request, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response
            .split_once("\r\n\r\n")
            .expect("a response with a head");
        let code = head.split(' ').nth(1).expect("a response with a code");
        (code.parse().unwrap(), body.to_owned())
    }

    /// A request that must succeed.
    pub(crate) fn expect(&self, method: &str, path: &str, body: &str) -> String {
        let (code, answer) = self.http(method, path, body);
        assert!(
            (200..300).contains(&code),
            "{method} {path}: {code} {answer}"
        );
        answer
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // The broker may be gone, if that is what the test is about.
        if TcpStream::connect(&self.management).is_ok() {
            self.http("DELETE", &format!("/api/vhosts/{}", self.vhost), "");
        }
    }
}
