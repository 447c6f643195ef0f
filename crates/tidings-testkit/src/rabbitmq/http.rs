//! As much of HTTP as the management API needs on loopback: one request, one connection.

use tidings_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Where the API is, and who asks.
#[derive(Clone, Debug)]
pub(super) struct Api {
    host: String,
    /// `user:password` in base 64.
    authorization: String,
}

impl Api {
    pub(super) fn new(management: &str, user: &str, password: &str) -> Self {
        let host = management.trim_start_matches("http://");
        Self {
            host: host.trim_end_matches('/').to_owned(),
            authorization: base64(format!("{user}:{password}").as_bytes()),
        }
    }

    /// The status and the body of the answer.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let failed = |error: std::io::Error| {
            let context = format!("{method} {path}: the management API does not answer");
            Error::new(ErrorKind::Unavailable, context).with_source(error)
        };
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            self.authorization,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.host).await.map_err(failed)?;
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let Some(status) = status else {
            let context = format!("{method} {path}: `{head}` is no answer of the management API");
            return Err(Error::new(ErrorKind::Unavailable, context));
        };
        Ok((status, body.to_owned()))
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let letter = (bits >> (18 - 6 * place)) & 63;
            text.push(match place <= chunk.len() {
                true => char::from(ALPHABET[letter as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base_64_is_padded() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("guest:guest", "Z3Vlc3Q6Z3Vlc3Q="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }
}
