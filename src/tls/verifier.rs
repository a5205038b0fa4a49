//! How the certificate of a server is verified.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::tls::authorities::Authorities;
use crate::tls::common_name::common_names;

/// Whom a verifier trusts.
#[derive(Debug)]
pub(crate) enum Trusted {
    /// Whoever has a certificate of one of these authorities, or one that *is* one of them.
    Authorities(Authorities),
    /// The same, whatever name the certificate has: what libpq calls `verify-ca`.
    AnyName(Authorities),
    /// Everybody: the owner has said so.
    Everybody,
}

/// Verifies the server's certificate: who vouches for it, its dates and its name.
///
/// Unlike rustls' own verifier it takes a certificate that is itself among the trusted ones, as
/// OpenSSL does. A self-signed one that `openssl req -x509` makes says of itself that it is an
/// authority, and often names its host only in the subject.
#[derive(Debug)]
pub(crate) struct Verifier {
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub fn new(trusted: Trusted, provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { trusted, provider })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (Trusted::Authorities(authorities) | Trusted::AnyName(authorities)) = &self.trusted
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let own_subject = authorities.subject_if_among(end_entity);
        let signed = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            authorities.authorities(),
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match signed.map_err(without_authority) {
            Err(error) if error == UNKNOWN && own_subject.is_some() => {}
            signed => signed?,
        }
        if matches!(self.trusted, Trusted::AnyName(_)) {
            return Ok(ServerCertVerified::assertion());
        }
        match (verify_server_name(&certificate, server_name), own_subject) {
            (Err(error), Some(subject)) if is_without_names(&error) => {
                if !is_named(&subject, server_name) {
                    return Err(error);
                }
            }
            (verified, _) => verified?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

const UNKNOWN: Error = Error::InvalidCertificate(CertificateError::UnknownIssuer);

/// One error for a certificate that nobody vouches for: whether it says of itself that it is an
/// authority, or names one that has another key. webpki looks at the dates before it finds that;
/// `tls-certificates.test.js` holds it to that.
fn without_authority(error: Error) -> Error {
    let Error::InvalidCertificate(refused) = &error else { return error };
    let is_unknown = match refused {
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => true,
        CertificateError::Other(OtherError(other)) => {
            matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    };
    if is_unknown { UNKNOWN } else { error }
}

/// Whether a certificate was refused since it has no names but the one in its subject.
fn is_without_names(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })
            if presented.is_empty()
    )
}

/// Whether the subject's common name is the server's. An address is never looked for there.
fn is_named(subject: &[u8], server_name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = server_name else { return false };
    let host = host.as_ref();
    common_names(subject).any(|name| match name.strip_prefix(b"*.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(_first, rest)| rest.as_bytes().eq_ignore_ascii_case(domain)),
        None => host.as_bytes().eq_ignore_ascii_case(name),
    })
}
