//! A front that speaks TLS and passes what it decrypts on to the broker, with certificates that can be wrong.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tidings_core::tasks::Tasks;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs::default_provider,
        pki_types::{PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

/// What is special about the front's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Valid,
    /// It has expired.
    Expired,
    /// It is valid, and clients must have one of the same authority.
    Mutual,
}

/// An authority and what it has signed, as PEM files in a folder that goes with the value.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A front. It ends with the value.
pub(crate) struct Front {
    pub(crate) port: u16,
    tasks: Tasks,
}

impl Authority {
    /// Makes an authority, with `ca.pem`.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tidings-tls-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self {
            folder,
            issuer: Issuer::new(params, key),
        };
        authority.write("ca.pem", &certificate.pem());
        authority
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key` for a name, and returns both as text.
    pub(crate) fn issue(&self, name: &str, is_expired: bool) -> [String; 2] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let texts = [certificate.pem(), key.serialize_pem()];
        self.write(&format!("{name}.pem"), &texts[0]);
        self.write(&format!("{name}.key"), &texts[1]);
        texts
    }

    fn server(&self, kind: Kind) -> ServerConfig {
        let [certificate, key] = self.issue("localhost", kind == Kind::Expired);
        let (certificate, key) = (
            PemObject::from_pem_slice(certificate.as_bytes()).unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if kind == Kind::Mutual {
            let mut roots = RootCertStore::empty();
            roots
                .add(PemObject::from_pem_file(self.file("ca.pem")).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        builder.with_single_cert(vec![certificate], key).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Front {
    /// Listens, as `localhost`, before the broker at an address.
    pub(crate) async fn start(authority: &Authority, kind: Kind, broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(kind)));
        let tasks = Tasks::new();
        let connections = tasks.clone();
        tasks.spawn("front", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn("front connection", async move {
                    // Clients that refuse, or are refused, are what the tests are about.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Ok(mut broker) = TcpStream::connect(broker).await else {
                        return;
                    };
                    let _ended = copy_bidirectional(&mut stream, &mut broker).await.is_ok();
                });
            }
        });
        Self { port, tasks }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}
