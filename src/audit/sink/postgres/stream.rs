//! The bytes between this process and PostgreSQL: over TCP or a Unix socket, plain or in TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::fault::Fault;
use super::database::Tls;
use super::message::{SSL_REQUEST, refusal, violation};

/// A connection to a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An address of a server.
#[derive(Clone)]
pub(super) enum Target {
    Tcp {
        address: SocketAddr,
        host: String,
    },
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

/// Connects, and encrypts if `tls` says so. As in libpq, there is no TLS on a Unix socket.
pub(super) async fn open(target: Target, tls: Option<&Tls>) -> Result<Box<dyn Stream>, Fault> {
    match target {
        Target::Tcp { address, host } => {
            let stream = TcpStream::connect(address).await.map_err(lost)?;
            stream.set_nodelay(true).map_err(lost)?;
            match tls {
                Some(tls) => encrypt(stream, &host, tls).await,
                None => Ok(Box::new(stream)),
            }
        }
        #[cfg(unix)]
        Target::Unix(path) => {
            Ok(Box::new(tokio::net::UnixStream::connect(path).await.map_err(lost)?))
        }
    }
}

async fn encrypt(mut stream: TcpStream, host: &str, tls: &Tls) -> Result<Box<dyn Stream>, Fault> {
    if !tls.is_direct {
        stream.write_all(&SSL_REQUEST).await.map_err(lost)?;
        match stream.read_u8().await.map_err(lost)? {
            b'S' => {}
            b'N' if !tls.is_required => return Ok(Box::new(stream)),
            b'N' => {
                return Err(Fault::unreachable(
                    "the server does not support TLS: turn it on there, or turn it off here \
                     (sslmode=disable)",
                ));
            }
            b'E' => return Err(refused(&mut stream).await),
            _ => return Err(violation()),
        }
    }
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name)
        .map_err(|_| Fault::unreachable("the server's name is not valid in a certificate"))?;
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream = connector.connect(name, stream).await.map_err(|error| {
        Fault::unreachable(match error.get_ref() {
            Some(reason) if reason.to_string().contains("certificate") => {
                format!("TLS: {reason}{TRUST}")
            }
            _ => format!("TLS: {error}"),
        })
    })?;
    Ok(Box::new(stream))
}

const TRUST: &str = ": pass the certificate of the server's authority (`ssl: { ca }`, or \
                     `sslrootcert` in the URL)";

/// A server may answer the request for TLS with an error, such as "too many connections".
async fn refused(stream: &mut TcpStream) -> Fault {
    let mut body = [0; 1024];
    match stream.read(&mut body).await {
        Ok(length) => refusal(body.get(4..length).unwrap_or_default()),
        Err(error) => lost(error),
    }
}

/// The connection is lost, or was not made.
pub(super) fn lost(error: io::Error) -> Fault {
    Fault::unreachable(match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        _ => error.to_string(),
    })
}
