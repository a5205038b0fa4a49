//! TLS by rustls: bytes in, bytes out. The thread that writes encrypts, and the task that reads
//! decrypts; each under a short lock, which is never held for a system call.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error};

/// The state of TLS on one connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Mutex<ClientConnection>>);

/// What came of decrypting.
pub(crate) struct Plaintext {
    /// The peer says that nothing follows.
    pub is_closed: bool,
    /// TLS has something to send by itself.
    pub must_write: bool,
}

impl Tls {
    /// A connection to `host` that has not begun.
    pub fn new(config: &Arc<ClientConfig>, host: &str) -> io::Result<Self> {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let mut connection =
            ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        connection.set_buffer_limit(None); // The caller bounds what is encrypted.
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub fn is_handshaking(&self) -> bool {
        self.lock().is_handshaking()
    }

    /// Decrypts what was received, and appends it to `into`.
    pub fn decrypt(&self, received: &mut Vec<u8>, into: &mut Vec<u8>) -> io::Result<Plaintext> {
        let mut rest = received.as_slice();
        let mut plaintext = Plaintext { is_closed: false, must_write: false };
        while !rest.is_empty() && !plaintext.is_closed {
            let mut connection = self.lock(); // Not for longer: who encrypts may wait.
            connection.read_tls(&mut rest)?;
            let state = connection.process_new_packets().map_err(io::Error::other)?;
            let begin = into.len();
            into.resize(begin + state.plaintext_bytes_to_read(), 0);
            if let Some(room) = into.get_mut(begin..) {
                connection.reader().read_exact(room)?;
            }
            plaintext.is_closed = state.peer_has_closed();
            plaintext.must_write = connection.wants_write();
        }
        received.clear();
        Ok(plaintext)
    }

    /// Encrypts `bytes`. Appends the result to `out`, behind what TLS has to send by itself.
    pub fn encrypt(&self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut connection = self.lock();
        connection.writer().write_all(bytes)?;
        while connection.wants_write() {
            connection.write_tls(out)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, ClientConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about an error of TLS, where there is something to do.
pub(crate) fn advice(error: &io::Error) -> Option<&'static str> {
    use CertificateError as Certificate;
    match error.get_ref()?.downcast_ref()? {
        Error::InvalidCertificate(refused) => match refused {
            Certificate::UnknownIssuer => Some(
                "nobody trusted here vouches for it. Pass the certificate of its authority, or itself if it is \
                 self-signed, in settings as `tls: { ca }`, or in a file that NODE_EXTRA_CA_CERTS names. \
                 To do without verification, pass settings in place of a URL, with \
                 `tls: { rejectUnauthorized: false }`",
            ),
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                Some("renew it on the server, or set this machine's clock right")
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                Some("set the clocks of this machine and of the server right")
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Some(
                "connect by a name that it holds, or make one that holds this name (subjectAltName)",
            ),
            _ => None,
        },
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        ) => Some(
            "the server may want a certificate of this client: pass it in settings as `tls: { cert, key }`",
        ),
        Error::InvalidMessage(_) => Some(
            "the port may not speak TLS: use the server's TLS port, or redis:// in place of rediss://",
        ),
        _ => None,
    }
}
