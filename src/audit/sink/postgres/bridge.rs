//! Connects sqlx to a stream that is logged in.
//!
//! sqlx can only connect to an address. So it connects to a port of this machine that listens for
//! this one connection, is given what the server said at the start, and from then on a task moves the
//! bytes between both. Another process that connects to the port does not know the token that sqlx
//! was given, and is sent away.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use super::super::fault::Fault;
use super::dial::Dialed;
use super::message::body_length;
use super::stream::{Stream, lost};

/// The size limit for the start-up message of sqlx.
const MAX_STARTUP: usize = 4096;
/// How long a process that connects to the port may take to say who it is.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(1);
/// How much is moved at a time, bytes.
const CHUNK: usize = 32 << 10;

/// The task that moves the bytes. Dropping it ends the task, and the connection to the server.
pub(super) struct Bridge {
    task: JoinHandle<()>,
    /// Why the connection to the server ended.
    reason: Arc<Mutex<Option<Fault>>>,
}

impl Bridge {
    /// Connects sqlx.
    pub async fn open(Dialed { stream, greeting }: Dialed) -> Result<(PgConnection, Self), Fault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(local)?;
        let port = listener.local_addr().map_err(local)?.port();
        let token = token()?;
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(&token)
            .ssl_mode(PgSslMode::Disable)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let accepted = async {
            let mut socket = accept(&listener, &token).await?;
            socket.write_all(&greeting).await.map_err(local)?;
            Ok(socket)
        };
        let connected = async { options.connect().await.map_err(Fault::from) };
        let (connection, socket) = tokio::try_join!(connected, accepted)?;
        let reason = Arc::default();
        let task = tokio::spawn(pump(socket, stream, Arc::clone(&reason)));
        Ok((connection, Self { task, reason }))
    }

    /// Why the connection to the server ended, if it has.
    pub fn reason(&self) -> Option<Fault> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what sqlx has sent is with the server. sqlx has closed its end.
    pub async fn close(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn token() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::unreachable("the system has no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Accepts the connection of sqlx.
async fn accept(listener: &TcpListener, token: &str) -> Result<TcpStream, Fault> {
    loop {
        let (mut socket, _) = listener.accept().await.map_err(local)?;
        socket.set_nodelay(true).map_err(local)?;
        let startup = timeout(STARTUP_TIMEOUT, read_startup(&mut socket)).await;
        if let Ok(Ok(startup)) = startup
            && startup.windows(token.len()).any(|text| text == token.as_bytes())
        {
            return Ok(socket);
        }
    }
}

async fn read_startup(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = socket.read_u32().await? as usize;
    let mut body = vec![0; length.saturating_sub(4).min(MAX_STARTUP)];
    socket.read_exact(&mut body).await?;
    Ok(body)
}

/// Moves the bytes until one end closes.
async fn pump(socket: TcpStream, stream: Box<dyn Stream>, reason: Arc<Mutex<Option<Fault>>>) {
    let (from_sqlx, mut to_sqlx) = socket.into_split();
    let (from_server, to_server) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = send(from_sqlx, to_server) => ended,
        ended = receive(from_server, &mut to_sqlx) => ended,
    };
    if let Err(fault) = ended {
        *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
    drop(to_sqlx); // sqlx learns of the end after the reason is known.
}

/// Moves what sqlx sends, until it closes its end.
async fn send(mut from: OwnedReadHalf, mut to: WriteHalf<Box<dyn Stream>>) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = match from.read(&mut chunk).await.map_err(local)? {
            0 => return to.shutdown().await.map_err(lost),
            length => chunk.get(..length).unwrap_or_default(),
        };
        to.write_all(bytes).await.map_err(lost)?;
        to.flush().await.map_err(lost)?;
    }
}

/// Moves what the server sends, until it closes the connection or breaks the protocol.
async fn receive(
    mut from: ReadHalf<Box<dyn Stream>>,
    to: &mut OwnedWriteHalf,
) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    let mut messages = Messages::default();
    loop {
        let bytes = match from.read(&mut chunk).await.map_err(lost)? {
            0 => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
            length => chunk.get(..length).unwrap_or_default(),
        };
        messages.check(bytes)?;
        to.write_all(bytes).await.map_err(local)?;
    }
}

/// Follows the messages in a stream of bytes.
#[derive(Default)]
struct Messages {
    /// The header of a message, as far as it has come.
    header: Vec<u8>,
    /// How many bytes of the message's body are still to come.
    body: usize,
}

impl Messages {
    /// Checks the header of each message in `bytes`.
    fn check(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            let (body, rest) = bytes.split_at(self.body.min(bytes.len()));
            self.body -= body.len();
            let missing = HEADER - self.header.len();
            let Some((part, rest)) = rest.split_at_checked(missing) else {
                self.header.extend_from_slice(rest);
                return Ok(());
            };
            self.header.extend_from_slice(part);
            if let Ok(header) = <[u8; HEADER]>::try_from(self.header.as_slice()) {
                self.body = body_length(header)?;
            }
            self.header.clear();
            bytes = rest;
        }
    }
}

/// The length of a message's header: its type, and its length.
const HEADER: usize = 5;

/// The connection between sqlx and this task failed.
fn local(error: io::Error) -> Fault {
    Fault::unreachable(format!("a connection within this process failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let bytes = b"T\0\0\0\x06ab1\0\0\0\x04Z\0\0\0\x05I";
        for size in 1..bytes.len() {
            let mut messages = Messages::default();
            for chunk in bytes.chunks(size) {
                messages.check(chunk).unwrap();
            }
            assert_eq!((messages.header.len(), messages.body), (0, 0), "{size}");
        }
    }

    #[test]
    fn a_message_that_sqlx_would_not_survive_is_a_violation() {
        for bytes in [&b"1\0\0\0\x04Z\0\0\0\x04"[..], b"C\0\0\0\0", b"HTTP/1.1"] {
            assert!(Messages::default().check(bytes).is_err(), "{bytes:?}");
        }
    }
}
