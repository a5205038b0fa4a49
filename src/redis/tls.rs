//! TLS by rustls: bytes in, bytes out. Whoever writes encrypts, and the task that reads decrypts;
//! each under a short lock, which nobody holds while he waits for a socket.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// How many bytes are encrypted at a time, at most.
const PORTION: usize = 256 << 10;

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
        connection.set_buffer_limit(None); // Bounded by `PORTION`.
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub fn is_handshaking(&self) -> bool {
        self.lock().is_handshaking()
    }

    /// Decrypts what was received, and appends it to `into`.
    pub fn decrypt(&self, received: &mut Vec<u8>, into: &mut Vec<u8>) -> io::Result<Plaintext> {
        let mut connection = self.lock();
        let mut rest = received.as_slice();
        let mut is_closed = false;
        while !rest.is_empty() {
            connection.read_tls(&mut rest)?;
            let state = connection.process_new_packets().map_err(io::Error::other)?;
            is_closed |= state.peer_has_closed();
            let begin = into.len();
            into.resize(begin + state.plaintext_bytes_to_read(), 0);
            if let Some(room) = into.get_mut(begin..) {
                connection.reader().read_exact(room)?;
            }
            if is_closed {
                break;
            }
        }
        received.clear();
        Ok(Plaintext { is_closed, must_write: connection.wants_write() })
    }

    /// Encrypts `bytes`, and writes the result to a socket that does not block. How many of the
    /// bytes are encrypted, and whether the socket takes no more. What is encrypted goes out before
    /// anything else is.
    pub fn encrypt(&self, bytes: &[u8], socket: &mut dyn Write) -> io::Result<(usize, bool)> {
        let mut connection = self.lock();
        let mut taken = 0;
        loop {
            if flush(&mut connection, socket)? {
                return Ok((taken, true));
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() || connection.is_handshaking() {
                return Ok((taken, false));
            }
            let portion = rest.get(..PORTION).unwrap_or(rest);
            connection.writer().write_all(portion)?;
            taken += portion.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClientConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is encrypted. Whether the socket takes no more.
fn flush(connection: &mut ClientConnection, socket: &mut dyn Write) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
