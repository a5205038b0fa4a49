//! The bytes between this process and a server: over TCP, a Unix socket, or TLS.
//!
//! One task reads. Any thread may write, under a lock of its own: what the socket does not take at
//! once is left to the writer's caller.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, tcp};
use tokio::time::Duration;

use crate::redis::options::Address;
use crate::redis::tls::{Plaintext, Tls};

/// After this silence the operating system asks the peer whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// For how long sent data may go without an acknowledgement.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// The reading half. It belongs to one task.
pub(crate) struct Reader {
    half: ReadHalf,
    tls: Option<(Tls, Vec<u8>)>,
}

/// The writing half. Clones share it.
#[derive(Clone)]
pub(crate) struct Writer {
    half: Arc<WriteHalf>,
    tls: Option<Tls>,
}

enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(tokio::net::unix::OwnedReadHalf),
}

enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(tokio::net::unix::OwnedWriteHalf),
}

/// What became of bytes that were to be written.
pub(crate) struct Write {
    /// How many were taken.
    pub taken: usize,
    /// Whether the socket takes no more for now: call again once it is `writable`.
    pub is_blocked: bool,
}

/// Connects, and shakes hands where TLS is spoken.
pub(crate) async fn connect(address: &Address) -> io::Result<(Reader, Writer)> {
    let (read, write, tls) = match address {
        Address::Tcp { host, port, tls } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            set_options(&stream)?;
            let (read, write) = stream.into_split();
            let tls = tls.as_ref().map(|config| Tls::new(config, host)).transpose()?;
            (ReadHalf::Tcp(read), WriteHalf::Tcp(write), tls)
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let (read, write) = tokio::net::UnixStream::connect(path).await?.into_split();
            (ReadHalf::Unix(read), WriteHalf::Unix(write), None)
        }
        #[cfg(not(unix))]
        Address::Unix(_) => {
            return Err(io::Error::new(ErrorKind::Unsupported, "there are no Unix sockets here"));
        }
    };
    let writer = Writer { half: Arc::new(write), tls: tls.clone() };
    let mut reader = Reader { half: read, tls: tls.map(|tls| (tls, Vec::new())) };
    reader.shake_hands(&writer).await?;
    Ok((reader, writer))
}

/// Without these a request waits for Nagle's algorithm, and a peer that vanished without a word
/// is noticed after a quarter of an hour.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

impl Reader {
    /// Appends what has arrived to `into`, at least a byte; `false` at the end of the stream.
    /// Cancel-safe. `writer`: TLS may have to answer by itself.
    pub async fn read(&mut self, into: &mut Vec<u8>, writer: &Writer) -> io::Result<bool> {
        let Some((tls, received)) = &mut self.tls else { return self.half.read(into).await };
        let before = into.len();
        loop {
            let plaintext = tls.decrypt(received, into)?;
            if plaintext.must_write {
                writer.write(&[])?;
            }
            if into.len() > before || plaintext.is_closed {
                return Ok(into.len() > before);
            }
            received.reserve(32 << 10);
            if !self.half.read(received).await? {
                return Ok(false);
            }
        }
    }

    /// Until both sides of TLS know who they speak to.
    async fn shake_hands(&mut self, writer: &Writer) -> io::Result<()> {
        let Some((tls, received)) = &mut self.tls else { return Ok(()) };
        while tls.is_handshaking() {
            if writer.write(&[])?.is_blocked {
                writer.writable().await?;
                continue;
            }
            received.reserve(32 << 10);
            if !tls.is_handshaking() {
                break;
            }
            if !self.half.read(received).await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // No application data comes before the handshake has ended.
            let Plaintext { must_write, .. } = tls.decrypt(received, &mut Vec::new())?;
            if must_write && writer.write(&[])?.is_blocked {
                writer.writable().await?;
            }
        }
        Ok(())
    }
}

impl ReadHalf {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let count = match self {
            Self::Tcp(half) => half.read_buf(into).await,
            #[cfg(unix)]
            Self::Unix(half) => half.read_buf(into).await,
        };
        count.map(|count| count > 0)
    }
}

impl Writer {
    /// Writes as much as the socket takes at once. Calls of several threads have to be kept in
    /// their order by a lock.
    pub fn write(&self, bytes: &[u8]) -> io::Result<Write> {
        let Some(tls) = &self.tls else { return self.half.write(bytes) };
        let (taken, is_blocked) = tls.encrypt(bytes, &mut Socket(&self.half))?;
        Ok(Write { taken, is_blocked })
    }

    /// Resolves when the socket takes bytes again.
    pub async fn writable(&self) -> io::Result<()> {
        match &*self.half {
            WriteHalf::Tcp(half) => half.writable().await,
            #[cfg(unix)]
            WriteHalf::Unix(half) => half.writable().await,
        }
    }
}

impl WriteHalf {
    fn write(&self, bytes: &[u8]) -> io::Result<Write> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.try_write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Write { taken, is_blocked: true });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Write { taken, is_blocked: false })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(half) => half.try_write(bytes),
        }
    }
}

/// The socket, for TLS, which writes several records at once.
struct Socket<'a>(&'a WriteHalf);

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {
            WriteHalf::Tcp(half) => half.try_write_vectored(parts),
            #[cfg(unix)]
            WriteHalf::Unix(half) => half.try_write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error in words, without a number of the operating system's.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "connection reset".into(),
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::WriteZero => {
            "the connection was lost".into()
        }
        ErrorKind::TimedOut => "timed out".into(),
        ErrorKind::HostUnreachable => "the host cannot be reached".into(),
        ErrorKind::NetworkUnreachable => "the network cannot be reached".into(),
        ErrorKind::NotFound => "there is no such socket".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            // Without what is for debuggers.
            let text = error.to_string();
            let end = [" (os error", " {"].iter().filter_map(|mark| text.find(mark)).min();
            text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        for number in [32, 101, 104, 110, 111, 113, 5] {
            let text = describe(&io::Error::from_raw_os_error(number));
            assert!(!text.contains("os error") && !text.is_empty(), "{text}");
        }
    }
}
