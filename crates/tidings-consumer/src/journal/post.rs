//! One record to the log server, over connections that are kept.

use std::{error::Error as _, fmt, io, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use tidings_core::{Error, ErrorKind, error::Result};
use tokio::time::timeout;

use super::{config::JournalConfig, record::Place};

/// Where deployed log servers look for their token.
const TOKEN: HeaderName = HeaderName::from_static("x-api-token");

/// How much of an answer is read so that its connection can be used again.
const MOST_OF_ANSWER: usize = 64 << 10;

/// How long a connection may be idle: proxies close them after a minute or more.
const IDLE: Duration = Duration::from_secs(45);

/// Sends records. Cloning shares the connections.
#[derive(Clone)]
pub(super) struct Post {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    requests: Uri,
    responses: Uri,
    token: HeaderValue,
    patience: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The log server has it.
    Taken,
    /// The log server does not want it, now or later.
    Refused(StatusCode),
    /// The log server had trouble, and not necessarily with other records.
    Unanswered(String),
    /// There is nobody.
    Away(String),
}

impl Post {
    pub(super) fn new(config: &JournalConfig) -> Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(config.patience));
        let is_encrypted = config.requests.scheme_str() == Some("https");
        let connector = connector(http, is_encrypted).map_err(|error| {
            let context = "the system's certificate authorities cannot be used for the log server: install the package `ca-certificates`, or name a file in SSL_CERT_FILE";
            Error::new(ErrorKind::Misuse, context).with_source(error)
        })?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.connections)
            .build(connector);
        Ok(Self {
            client,
            requests: config.requests.clone(),
            responses: config.responses.clone(),
            token: config.token.clone(),
            patience: config.patience,
        })
    }

    /// Sends one record and waits for what the log server says, as long as the patience lasts.
    ///
    /// # Cancel safety
    /// Dropping it leaves open whether the log server has the record.
    pub(super) async fn send(&self, place: Place, body: Bytes) -> Verdict {
        match timeout(self.patience, self.exchange(place, body)).await {
            Ok(Ok(status)) => judge(status),
            Ok(Err(error)) if error.is_connect() => Verdict::Away(chain(&error)),
            Ok(Err(error)) => Verdict::Unanswered(chain(&error)),
            Err(_) => Verdict::Unanswered(format!("no answer within {:?}", self.patience)),
        }
    }

    async fn exchange(&self, place: Place, body: Bytes) -> Result<StatusCode, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match place {
            Place::Requests => self.requests.clone(),
            Place::Responses => self.responses.clone(),
        };
        let headers = request.headers_mut();
        headers.insert(TOKEN, self.token.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.client.request(request).await?;
        let status = response.status();
        // What it says beside the status may quote the record, and is of no use here.
        drop(
            Limited::new(response.into_body(), MOST_OF_ANSWER)
                .collect()
                .await,
        );
        Ok(status)
    }
}

fn connector(
    http: HttpConnector,
    is_encrypted: bool,
) -> Result<HttpsConnector<HttpConnector>, io::Error> {
    let builder = HttpsConnectorBuilder::new();
    let builder = if is_encrypted {
        builder.with_provider_and_native_roots(default_provider())?
    } else {
        let config = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(RootCertStore::empty());
        builder.with_tls_config(config.with_no_client_auth())
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}

/// A log server answers 500 to a record that it has already, so that is no reason to send it again.
fn judge(status: StatusCode) -> Verdict {
    match status {
        status if status.is_success() => Verdict::Taken,
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Verdict::Unanswered(format!("it answers {status}")),
        status => Verdict::Refused(status),
    }
}

fn chain(error: &ClientError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// Whom it asks, for logs.
impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.requests
                .authority()
                .map_or("", |authority| authority.as_str()),
        )
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post")
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}
