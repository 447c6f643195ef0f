//! One question to the HTTP API.

use std::{pin::pin, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode,
    client::conn::http1,
    header::{AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tidings_core::{Error, ErrorKind, Result};
use tokio::time::timeout;
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::{Management, url::ManagementUrl};
use crate::{
    config::TlsConfig,
    connection::dial::{Stream, stream},
    error,
};

/// An answer that is longer than this is not one of ours.
const MOST_BYTES: usize = 256 << 20;

type Broken = Box<dyn std::error::Error + Send + Sync>;

impl Management {
    /// Gets what is at a path, which begins after `/api/`.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) if it cannot be reached, [`Denied`](ErrorKind::Denied) if it refuses the user,
    /// [`NotFound`](ErrorKind::NotFound) if the virtual host does not exist, [`Misuse`](ErrorKind::Misuse) if it is something else.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let asked = timeout(self.patience, self.ask(path)).await;
        let (status, body) = asked.map_err(|_| self.silent(self.patience))??;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|failed| self.stranger(status).with_source(failed)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(&body)),
            // The API says so in JSON; other servers have pages for that.
            StatusCode::NOT_FOUND if body.starts_with(b"{") => Err(self.no_vhost()),
            other if other.is_server_error() => {
                let context = format!(
                    "{} has a problem of its own and answers {other}: see the broker's log",
                    self.name()
                );
                Err(Error::new(ErrorKind::Unavailable, context))
            }
            other => Err(self.stranger(other)),
        }
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, Bytes)> {
        let ManagementUrl { place, is_tls, .. } = &self.url;
        let no_files = TlsConfig::default();
        let tls = is_tls.then(|| self.tls.as_ref().unwrap_or(&no_files));
        let stream = stream(&place.host, place.port, tls, "RabbitMQ's HTTP API").await?;
        self.exchange(stream, path).await.map_err(|failed| {
            let context = format!("{} does not answer as an HTTP server does: check its port (15672 unless changed; 15671 with `https:`)", self.name());
            Error::new(ErrorKind::Unavailable, context).with_source(failed)
        })
    }

    async fn exchange(&self, stream: Stream, path: &str) -> Result<(StatusCode, Bytes), Broken> {
        let (user, password) = &self.credentials;
        let credentials = STANDARD.encode(format!("{user}:{}", password.reveal()));
        let request = Request::get(format!("{}/api/{path}", self.url.prefix))
            .header(HOST, self.url.place.host.as_str())
            .header(AUTHORIZATION, format!("Basic {credentials}"))
            .body(Empty::<Bytes>::new())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream.compat())).await?;
        let exchange = pin!(async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_BYTES)
                .collect()
                .await?;
            Ok((status, body.to_bytes()))
        });
        match select(exchange, pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            // The peer has closed; what it said before may still have to be read.
            Either::Right((_, exchange)) => exchange.await,
        }
    }

    fn name(&self) -> String {
        format!("RabbitMQ's HTTP API at {}", self.url)
    }

    fn silent(&self, patience: Duration) -> Error {
        let context = format!(
            "{} does not answer within {patience:?}: check the option `management`",
            self.name()
        );
        Error::new(ErrorKind::Unavailable, context)
    }

    fn refused(&self, body: &[u8]) -> Error {
        let (user, _) = &self.credentials;
        let said = String::from_utf8_lossy(body);
        let reason = if said.contains("Not management user") {
            "give the user the tag `management` (`rabbitmqctl set_user_tags`)"
        } else {
            "correct user and password, give the user the tag `management`, or name another one in the option `management`"
        };
        error::for_good(
            ErrorKind::Denied,
            format!("{} refuses user `{user}`: {reason}", self.name()),
        )
    }

    fn no_vhost(&self) -> Error {
        let context = format!(
            "virtual host `{}` is not known to {}: correct the URL, or grant the user access to it",
            self.vhost,
            self.name()
        );
        Error::new(ErrorKind::NotFound, context)
    }

    fn stranger(&self, status: StatusCode) -> Error {
        let context = format!(
            "what answers at {} is not RabbitMQ's HTTP API ({status}): enable the plugin `rabbitmq_management`, or correct the option `management`",
            self.url
        );
        error::for_good(ErrorKind::Misuse, context)
    }
}
