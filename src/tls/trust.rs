//! Whom TLS trusts: the authorities, the server's name, and this client's own certificate.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::tls::authorities::Authorities;
use crate::tls::verifier::{Trusted, Verifier};

/// The settings of TLS, with certificates and keys in PEM.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Trust {
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// Whether any name in a verified certificate will do.
    #[serde(default)]
    pub any_name: bool,
    /// The only authorities that are trusted.
    pub ca: Option<String>,
    /// Else these, and the system's.
    pub others: Option<String>,
    /// This client's certificate, and its key.
    pub cert: Option<String>,
    pub key: Option<String>,
}

impl Trust {
    /// What rustls needs for each connection.
    pub fn into_config(self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = || match &self.ca {
            Some(ca) => only(ca),
            None => Ok(with_system(self.others.as_deref().unwrap_or_default())),
        };
        let trusted = match (self.verify, self.any_name) {
            (true, false) => Trusted::Authorities(authorities()?),
            (true, true) => Trusted::AnyName(authorities()?),
            (false, _) => Trusted::Everybody,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .dangerous()
            .with_custom_certificate_verifier(Verifier::new(trusted, provider));
        let config = match (self.cert, self.key) {
            (Some(cert), Some(key)) => {
                let chain = CertificateDer::pem_slice_iter(cert.as_bytes())
                    .collect::<std::result::Result<Vec<_>, _>>()
                    .map_err(|_| unreadable("cert"))?;
                let key =
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unreadable("key"))?;
                builder.with_client_auth_cert(chain, key).map_err(invalid)?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

/// These authorities and no others.
fn only(ca: &str) -> Result<Authorities> {
    let mut roots = Authorities::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|_| unreadable("ca"))?;
        roots.add(certificate).map_err(|_| unreadable("ca"))?;
    }
    if roots.is_empty() { Err(unreadable("ca")) } else { Ok(roots) }
}

/// The system's authorities and these. One that cannot be read is left out, as it is in the
/// system's store by everybody who reads that.
fn with_system(others: &str) -> Authorities {
    let mut roots = Authorities::empty();
    let others = CertificateDer::pem_slice_iter(others.as_bytes()).flatten();
    for certificate in rustls_native_certs::load_native_certs().certs.into_iter().chain(others) {
        let _ = roots.add(certificate);
    }
    roots
}

/// The error never holds what was given: it may be a key.
fn unreadable(what: &str) -> Error {
    Error::invalid("tls", format!("{what} is not PEM that can be read"))
}

fn invalid(error: rustls::Error) -> Error {
    Error::invalid("tls", error.to_string())
}
