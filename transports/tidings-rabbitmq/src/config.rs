//! What can be set, and where settings come from: a URL, the environment, or code.

use std::{fmt, path::PathBuf, time::Duration};

use lapin::uri::{
    AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism,
};
use tidings_core::Result;

use crate::{management::ManagementUrl, secret::Secret, url};

/// Seconds. After two of them a broker that hangs is noticed.
const LONGEST_HEARTBEAT: u16 = 120;

/// Where the broker is and how it is used.
///
/// ```
/// use std::time::Duration;
/// use tidings_rabbitmq::RabbitMqConfig;
///
/// let config = RabbitMqConfig::from_url("amqps://orders:s3cret@mq.example.com/shop?heartbeat=10&cacertfile=/etc/mq/ca.pem")?;
/// assert_eq!((config.host.as_str(), config.port, config.vhost.as_str()), ("mq.example.com", 5671, "shop"));
/// assert_eq!(config.heartbeat, Duration::from_secs(10));
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), tidings_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RabbitMqConfig {
    /// The broker's host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// Who we are.
    pub user: String,
    /// The proof of it; not needed with [`AuthMechanism::External`].
    pub password: Secret,
    /// How we prove who we are.
    pub auth_mechanism: AuthMechanism,
    /// Whether and how the connection is encrypted.
    pub tls: Option<TlsConfig>,
    /// How this process is called in the broker's own tools.
    pub name: String,
    /// How often each side shows that it is alive. A connection on which nothing comes for two of them is dead. Two minutes
    /// at most: what is longer counts as two minutes, because a broker that hangs would not be noticed for longer still.
    pub heartbeat: Duration,
    /// How many channels a connection may have, each subscription being one; `None` leaves that to the broker.
    pub channel_max: Option<u16>,
    /// How long one attempt to connect may take.
    pub connection_timeout: Duration,
    /// How long the first connect keeps trying while nobody answers. Zero means one attempt.
    pub wait: Duration,
    /// How long a publish may wait for its confirm, reconnects included.
    pub confirm_timeout: Duration,
    /// How many publishes are sent and unconfirmed at a time.
    pub window: usize,
    /// What durable, shared queues become that name no type.
    pub queue_type: QueueType,
    /// Where the broker's HTTP API is, for what AMQP does not tell: the list of all queues, bindings, unsettled
    /// messages, rates. Nothing else needs it.
    pub management: Option<ManagementUrl>,
}

/// How a connection is encrypted. The broker's certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// A PEM file with authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// What we show the broker, if it wants to know.
    pub certificate: Option<CertificateFiles>,
    /// The name that the broker's certificate must have, if that is not the host.
    pub server_name: Option<String>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// A PEM file with the certificate and those that lead from it to its authority.
    pub certificate: PathBuf,
    /// A PEM file with the key, not encrypted. It may be the same file.
    pub key: PathBuf,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMechanism {
    /// User and password.
    #[default]
    Plain,
    /// User and password, the way RabbitMQ wrote them before.
    AmqPlain,
    /// By the certificate of the TLS connection. The broker needs its plugin `rabbitmq_auth_mechanism_ssl`.
    External,
}

/// What durable, shared queues become that name no type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueType {
    /// What the broker makes of a queue without a type: classic, unless somebody configured it otherwise. Such queues
    /// are the same as those of petisco.
    #[default]
    Classic,
    /// Replicated to several nodes.
    Quorum,
}

impl Default for RabbitMqConfig {
    /// A broker on this machine, as it is after installation.
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5672,
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            password: "guest".into(),
            auth_mechanism: AuthMechanism::Plain,
            tls: None,
            name: "tidings".to_owned(),
            heartbeat: Duration::from_secs(20),
            channel_max: None,
            connection_timeout: Duration::from_secs(10),
            wait: Duration::ZERO,
            confirm_timeout: Duration::from_secs(30),
            window: 1_024,
            queue_type: QueueType::Classic,
            management: None,
        }
    }
}

impl RabbitMqConfig {
    /// Reads `amqp[s]://user:password@host:port/vhost?option=value&…`.
    ///
    /// Everything may be left out but the scheme: the user is `guest`, the host `localhost`, the port 5672 (5671 with TLS),
    /// the virtual host `/`. Of the options, `heartbeat`, `connection_timeout`, `channel_max`, `auth_mechanism`, `cacertfile`,
    /// `certfile`, `keyfile`, `verify` and `server_name_indication` are RabbitMQ's own.
    ///
    /// # Errors
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) that names what is wrong and what is allowed, and never the password.
    pub fn from_url(url: &str) -> Result<Self> {
        url::read(url)
    }

    /// Sets how this process is called in the broker's own tools.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets where the broker is.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>, port: u16) -> Self {
        (self.host, self.port) = (host.into(), port);
        self
    }

    /// Sets the virtual host.
    #[must_use]
    pub fn with_vhost(mut self, vhost: impl Into<String>) -> Self {
        self.vhost = vhost.into();
        self
    }

    /// Sets who we are, and the password.
    #[must_use]
    pub fn with_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        (self.user, self.password) = (user.into(), password.into());
        self
    }

    /// Encrypts the connection. The port stays as it is; brokers listen for TLS on 5671.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how long the first connect keeps trying while nobody answers.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets what durable, shared queues become that name no type.
    #[must_use]
    pub fn with_queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// Sets where the broker's HTTP API is.
    #[must_use]
    pub fn with_management(mut self, management: ManagementUrl) -> Self {
        self.management = Some(management);
        self
    }

    /// Where the broker is, for messages.
    pub(crate) fn at(&self) -> String {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }

    pub(crate) fn to_uri(&self) -> AMQPUri {
        AMQPUri {
            scheme: match self.tls {
                Some(_) => AMQPScheme::AMQPS,
                None => AMQPScheme::AMQP,
            },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.clone(),
                    password: self.password.reveal().to_owned(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                frame_max: None,
                channel_max: self.channel_max,
                heartbeat: Some(
                    u16::try_from(self.heartbeat.as_secs())
                        .unwrap_or(u16::MAX)
                        .clamp(1, LONGEST_HEARTBEAT),
                ),
                connection_timeout: None,
                auth_mechanism: Some(match self.auth_mechanism {
                    AuthMechanism::Plain => SASLMechanism::Plain,
                    AuthMechanism::AmqPlain => SASLMechanism::AMQPlain,
                    AuthMechanism::External => SASLMechanism::External,
                }),
            },
        }
    }
}

impl TlsConfig {
    /// Trusts the authorities in this PEM file besides the system's.
    #[must_use]
    pub fn with_ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Shows the broker this certificate; see [`CertificateFiles`].
    #[must_use]
    pub fn with_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.certificate = Some(CertificateFiles {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Expects this name in the broker's certificate instead of the host.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}

/// Where the broker is and which virtual host is used there: what errors and logs show.
impl fmt::Display for RabbitMqConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (virtual host `{}`)", self.at(), self.vhost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let config = RabbitMqConfig::from_url("amqp://u:s3cret@mq/v?management=http://a:s3cret@mq");
        let config = config.unwrap();
        let shown = format!("{config:?} {config:#?} {config}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(config.to_string(), "mq:5672 (virtual host `v`)");
        assert_eq!(config.with_host("::1", 7).at(), "[::1]:7");
    }

    #[test]
    fn a_heartbeat_is_one_second_to_two_minutes() {
        for (set, sent) in [
            (0, 1),
            (1, 1),
            (60, 60),
            (120, 120),
            (600, 120),
            (1 << 20, 120),
        ] {
            let config = RabbitMqConfig {
                heartbeat: Duration::from_secs(set),
                ..RabbitMqConfig::default()
            };
            assert_eq!(config.to_uri().query.heartbeat, Some(sent), "{set}");
        }
    }

    #[test]
    fn lapin_gets_what_is_set() {
        let config = RabbitMqConfig::from_url(
            "amqps://u:p@mq/v?heartbeat=5&channel_max=9&auth_mechanism=external",
        );
        let uri = config.unwrap().to_uri();
        assert_eq!(uri.scheme, AMQPScheme::AMQPS);
        assert_eq!(
            (uri.authority.host.as_str(), uri.authority.port),
            ("mq", 5671)
        );
        assert_eq!(uri.authority.userinfo.password, "p");
        assert_eq!(
            (
                uri.vhost.as_str(),
                uri.query.heartbeat,
                uri.query.channel_max
            ),
            ("v", Some(5), Some(9))
        );
        assert_eq!(uri.query.auth_mechanism, Some(SASLMechanism::External));
    }
}
