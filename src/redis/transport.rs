//! The bytes between this process and a server: over TCP, a Unix socket, or TLS.
//!
//! One task reads. Any thread may write, one at a time: what the socket does not take at once is
//! left to the writer's caller.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, tcp};
use tokio::time::{Duration, timeout};

use crate::redis::options::Address;
use crate::redis::tls::{Plaintext, Tls, advice};
use crate::redis::topology::endpoint::Endpoint;

/// After this silence the operating system asks the peer whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// For how long sent data may go without an acknowledgement.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// A buffer that has grown beyond this is let go once it is written, bytes.
const KEPT: usize = 1 << 20;

/// The reading half. It belongs to one task.
pub(crate) struct Reader {
    half: ReadHalf,
    tls: Option<(Tls, Vec<u8>)>,
}

/// The writing half.
pub(crate) struct Writer {
    half: Arc<WriteHalf>,
    tls: Option<Tls>,
    /// What is encrypted, and how much of it the socket has taken.
    encrypted: Vec<u8>,
    gone: usize,
}

/// Tells when a socket takes bytes again.
#[derive(Clone)]
pub(crate) struct Writable(Arc<WriteHalf>);

/// What came of reading.
pub(crate) struct Received {
    /// Whether there may be more; `false` at the end of the stream.
    pub is_open: bool,
    /// Whether TLS has something to send by itself: write, even if it is nothing.
    pub must_write: bool,
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
pub(crate) struct Written {
    /// How many were taken.
    pub taken: usize,
    /// Whether the socket takes no more for now: call again once it is `writable`.
    pub is_blocked: bool,
}

/// Connects, and shakes hands where TLS is spoken. A host may have several addresses, which share
/// the time.
pub(crate) async fn connect(address: &Address, limit: Duration) -> io::Result<(Reader, Writer)> {
    let (read, write, tls) = match address {
        Address::Tcp { endpoint: Endpoint { host, port }, tls } => {
            let stream = connect_tcp(host, *port, limit).await?;
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
    let half = Arc::new(write);
    let mut writer = Writer { half, tls: tls.clone(), encrypted: Vec::new(), gone: 0 };
    let mut reader = Reader { half: read, tls: tls.map(|tls| (tls, Vec::new())) };
    reader.shake_hands(&mut writer).await?;
    Ok((reader, writer))
}

async fn connect_tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut refused = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refused = error,
            Err(_late) => refused = ErrorKind::TimedOut.into(),
        }
    }
    Err(refused)
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
    /// Appends what has arrived to `into`, at least a byte unless TLS has to write. Cancel-safe.
    pub async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<Received> {
        let Some((tls, received)) = &mut self.tls else {
            let is_open = self.half.read(into).await?;
            return Ok(Received { is_open, must_write: false });
        };
        let before = into.len();
        loop {
            received.reserve(32 << 10);
            if !self.half.read(received).await? {
                return Ok(Received { is_open: false, must_write: false });
            }
            let Plaintext { is_closed, must_write } = tls.decrypt(received, into)?;
            if into.len() > before || must_write || is_closed {
                return Ok(Received { is_open: into.len() > before || !is_closed, must_write });
            }
        }
    }

    /// Until both sides of TLS know who they speak to.
    async fn shake_hands(&mut self, writer: &mut Writer) -> io::Result<()> {
        let Some((tls, received)) = &mut self.tls else { return Ok(()) };
        loop {
            while writer.write(&[])?.is_blocked {
                writer.writable().changed().await?;
            }
            if !tls.is_handshaking() {
                return Ok(());
            }
            received.reserve(32 << 10);
            if !self.half.read(received).await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // No application data comes before the handshake has ended.
            tls.decrypt(received, &mut Vec::new())?;
        }
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
    /// Writes as much as the socket takes at once. With TLS, bytes count as taken once they are
    /// encrypted, and none are taken before all that was encrypted is gone.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let Some(tls) = &self.tls else { return self.half.write(bytes) };
        let mut taken = 0;
        loop {
            let unsent = self.encrypted.get(self.gone..).unwrap_or_default();
            let write = match self.half.write(unsent) {
                // What was taken counts; the next write fails, too.
                Err(_) if taken > 0 => return Ok(Written { taken, is_blocked: false }),
                write => write?,
            };
            self.gone += write.taken;
            if write.is_blocked {
                return Ok(Written { taken, is_blocked: true });
            }
            if self.gone < self.encrypted.len() {
                continue;
            }
            self.encrypted.clear();
            self.encrypted.shrink_to(KEPT);
            self.gone = 0;
            let portion = if tls.is_handshaking() { 0 } else { bytes.len() - taken };
            tls.encrypt(
                bytes.get(taken..taken + portion).unwrap_or_default(),
                &mut self.encrypted,
            )?;
            taken += portion;
            if self.encrypted.is_empty() {
                return Ok(Written { taken, is_blocked: false });
            }
        }
    }

    /// What tells when the socket takes bytes again.
    pub fn writable(&self) -> Writable {
        Writable(self.half.clone())
    }
}

impl Writable {
    /// Resolves when the socket takes bytes again.
    pub async fn changed(&self) -> io::Result<()> {
        match &*self.0 {
            WriteHalf::Tcp(half) => half.writable().await,
            #[cfg(unix)]
            WriteHalf::Unix(half) => half.writable().await,
        }
    }
}

impl WriteHalf {
    fn write(&self, bytes: &[u8]) -> io::Result<Written> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.try_write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Written { taken, is_blocked: true });
                }
                // What was taken counts; the next write fails, too.
                Err(_) if taken > 0 => return Ok(Written { taken, is_blocked: false }),
                Err(error) => return Err(error),
            }
        }
        Ok(Written { taken, is_blocked: false })
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(half) => half.try_write(bytes),
        }
    }
}

/// An error in words, without a number of the operating system's, and what to do about it.
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
        ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            // Without what is for debuggers.
            let text = error.to_string();
            let end = [" (os error", " {"].iter().filter_map(|mark| text.find(mark)).min();
            let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
            advice(error).map_or_else(|| text.to_owned(), |advice| format!("{text}; {advice}"))
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
