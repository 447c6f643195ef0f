//! TLS: whom we trust, what we show, and what can go wrong with it.

use std::{fs, io, path::Path};

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::{
    CertificateError, InvalidMessage,
    pki_types::pem::PemObject,
    pki_types::{CertificateDer, PrivateKeyDer, pem},
};
use tidings_core::{Error, ErrorKind, Result};

use crate::{config::TlsConfig, error};

/// What makes encrypted streams out of plain ones. Reads the files, so that a certificate that was renewed is used by the next connection.
///
/// # Errors
/// [`Misuse`](ErrorKind::Misuse) that names the file and what is wrong with it.
pub(super) fn connector(tls: &TlsConfig) -> Result<RustlsConnector> {
    let mut config = RustlsConnectorConfig::new_with_platform_verifier();
    if let Some(file) = &tls.ca_file {
        config.add_parsable_certificates(certificates(file, "cacertfile")?);
    }
    let Some(files) = &tls.certificate else {
        return config
            .connector_with_no_client_auth()
            .map_err(|failed| unusable(tls, &failed));
    };
    let chain = certificates(&files.certificate, "certfile")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key, "keyfile")?)
        .map_err(|failed| wrong_key(&files.key, &failed))?;
    config
        .connector_with_single_cert(chain, key)
        .map_err(|failed| unusable(tls, &failed))
}

fn read(file: &Path, option: &str) -> Result<Vec<u8>> {
    fs::read(file).map_err(|failed| {
        broken(format!(
            "cannot read `{}` ({option}): {failed}",
            file.display()
        ))
    })
}

fn certificates(file: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(file, option)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(broken(format!(
            "`{}` ({option}) has no certificate in it: name a PEM file with `BEGIN CERTIFICATE`",
            file.display()
        ))),
        Ok(found) => Ok(found),
        Err(failed) => Err(broken(format!(
            "`{}` ({option}) is no PEM file: {failed}",
            file.display()
        ))),
    }
}

fn wrong_key(file: &Path, failed: &pem::Error) -> Error {
    let file = file.display();
    broken(match failed {
        pem::Error::NoItemsFound => format!(
            "`{file}` (keyfile) has no private key in it that is not encrypted: decrypt it with `openssl pkey`, or name the file that has one"
        ),
        _ => format!("`{file}` (keyfile) is no PEM file: {failed}"),
    })
}

/// For files that can be read, and whose contents do not fit.
fn unusable(tls: &TlsConfig, failed: &io::Error) -> Error {
    let cause: Option<&rustls::Error> = failed.get_ref().and_then(|cause| cause.downcast_ref());
    let context = match (&tls.certificate, &tls.ca_file, cause) {
        (Some(files), _, Some(rustls::Error::InconsistentKeys(_))) => format!(
            "the key in `{}` (keyfile) does not belong to the certificate in `{}` (certfile): name the two that belong together",
            files.key.display(),
            files.certificate.display()
        ),
        (None, None, _) => format!(
            "the system's certificate authorities cannot be used, name one with `cacertfile`: {failed}"
        ),
        (None, Some(file), _) => format!(
            "the certificates in `{}` (cacertfile) cannot be used: {failed}",
            file.display()
        ),
        (Some(files), _, _) => format!(
            "the certificate in `{}` (certfile), its key or the authorities cannot be used: {failed}",
            files.certificate.display()
        ),
    };
    broken(context)
}

fn broken(context: String) -> Error {
    Error::new(ErrorKind::Misuse, context)
}

/// Whether TLS was what failed.
pub(super) fn is_about_tls(failed: &io::Error) -> bool {
    failed
        .get_ref()
        .is_some_and(|cause| cause.is::<rustls::Error>())
}

/// A handshake that failed. `name` is who the peer should have been.
pub(super) fn failure(failed: &io::Error, name: &str, at: &str) -> Error {
    let cause = failed.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(why)) => distrusted(why, name, at),
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => error::for_good(
            ErrorKind::Misuse,
            format!(
                "{at} does not speak TLS on this port: use its TLS port (5671 unless changed), or `amqp:` for a connection that is not encrypted"
            ),
        ),
        Some(rustls::Error::AlertReceived(alert)) => error::for_good(
            ErrorKind::Unauthenticated,
            format!(
                "{at} refuses the TLS connection with the alert {alert:?}: check the client certificate (`certfile`, `keyfile`) and whom the broker trusts"
            ),
        ),
        _ => {
            let context = format!(
                "the TLS handshake with {at} failed: {failed}, check that it is a TLS port"
            );
            Error::new(ErrorKind::Unavailable, context)
        }
    }
}

fn distrusted(why: &CertificateError, name: &str, at: &str) -> Error {
    let advice = match why {
        CertificateError::UnknownIssuer => {
            "its authority is not known: name the authority's PEM file with `cacertfile`".to_owned()
        }
        CertificateError::BadSignature => "it was signed by another authority than the trusted one of that name: name the right one's PEM file with `cacertfile`".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "it is not for `{name}`: use a host name that is in it, or name one with `server_name_indication` ({why})"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "it has expired: renew it on the broker, or correct this machine's clock ({why})"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("it is not valid yet: correct the clocks ({why})")
        }
        _ => format!("{why}"),
    };
    error::for_good(
        ErrorKind::Denied,
        format!("the certificate of {at} is not trusted, {advice}"),
    )
}
