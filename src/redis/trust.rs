//! Which certificate authorities are trusted where nobody has said: the system's, and others besides.
//!
//! redis-rs reads the system's for each connection, also where it is told others, and makes none where
//! a single one of them cannot be read. So it is always told, and built with roots of its own that it
//! never uses (`tls-rustls-webpki-roots`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The system's and these, in PEM. What cannot be used is left out, as it is in the system's store by
/// all who read that.
pub(super) fn with_system(others: &str) -> Vec<u8> {
    let system = rustls_native_certs::load_native_certs().certs;
    let others = CertificateDer::pem_slice_iter(others.as_bytes()).flatten();
    let mut pem = Vec::new();
    for certificate in system.into_iter().chain(others) {
        if RootCertStore::empty().add(certificate.clone()).is_ok() {
            pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
            pem.extend_from_slice(STANDARD.encode(&certificate).as_bytes());
            pem.extend_from_slice(b"\n-----END CERTIFICATE-----\n");
        }
    }
    pem
}
