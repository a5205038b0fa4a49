//! The certificates that a verifier trusts.

use rustls::pki_types::CertificateDer;
use rustls::{Error, RootCertStore};

use crate::tls::der::{BOOLEAN, Elements, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};

/// Authorities, and certificates of servers. To webpki each trusted certificate is an authority; to
/// OpenSSL, and here, one that says that it is none vouches for nobody but itself. Or else whoever has
/// the key of one server could pass for every other.
#[derive(Debug)]
pub(crate) struct Authorities {
    authorities: RootCertStore,
    servers: RootCertStore,
}

impl Authorities {
    pub fn empty() -> Self {
        Self { authorities: RootCertStore::empty(), servers: RootCertStore::empty() }
    }

    pub fn add(&mut self, certificate: CertificateDer<'_>) -> Result<(), Error> {
        let is_server = is_no_authority(&certificate);
        let store = if is_server { &mut self.servers } else { &mut self.authorities };
        store.add(certificate)
    }

    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.servers.is_empty()
    }

    /// Those that vouch for others.
    pub fn authorities(&self) -> &RootCertStore {
        &self.authorities
    }

    /// The subject of a certificate, in DER, if it is one of these: if it has the name and the key of
    /// one. To have the key is what the handshake proves.
    pub fn subject_if_among(&self, certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
        let mut own = RootCertStore::empty();
        own.add(certificate.clone().into_owned()).ok()?;
        let anchor = own.roots.pop()?;
        let mut all = self.authorities.roots.iter().chain(&self.servers.roots);
        all.any(|trusted| *trusted == anchor).then(|| anchor.subject.to_vec())
    }
}

/// The extensions of a certificate, and the one (2.5.29.19) that says whether it is an authority.
const EXTENSIONS: u8 = 0xa3;
const BASIC_CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 0x13];

/// Whether a certificate says that it is no authority. An old one says neither.
fn is_no_authority(certificate: &[u8]) -> bool {
    basic_constraints(certificate).is_some_and(|constraints| {
        (Elements { rest: constraints }).next() != Some((BOOLEAN, &[0xff]))
    })
}

fn basic_constraints(certificate: &[u8]) -> Option<&[u8]> {
    let content = first(first(certificate, SEQUENCE)?, SEQUENCE)?;
    let (_, extensions) = (Elements { rest: content }).find(|(tag, _)| *tag == EXTENSIONS)?;
    let mut extensions = Elements { rest: first(extensions, SEQUENCE)? };
    let value = extensions.find_map(|(_, extension)| {
        let mut parts = Elements { rest: extension };
        let is_it = parts.next()? == (OBJECT_IDENTIFIER, BASIC_CONSTRAINTS.as_slice());
        let (_, value) = parts.find(|(tag, _)| *tag == OCTET_STRING)?;
        is_it.then_some(value)
    });
    first(value?, SEQUENCE)
}

/// What is in the first element, if it has this tag.
fn first(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, content) = (Elements { rest: der }).next()?;
    (found == tag).then_some(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).expect("a certificate")
    }

    #[test]
    fn what_a_certificate_says_of_itself_is_read() {
        let server = certificate(include_bytes!("../../__test__/harness/tls/cert.pem"));
        let authority = certificate(include_bytes!("../../__test__/harness/tls/self-signed.pem"));
        assert!(is_no_authority(&server));
        assert!(!is_no_authority(&authority));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, cut: proptest::sample::Index) {
            is_no_authority(&bytes);
            let server = certificate(include_bytes!("../../__test__/harness/tls/cert.pem"));
            is_no_authority(&server[..cut.index(server.len())]);
        }
    }
}
