//! Finds the address of a server that answers.
//!
//! A server may have several hosts, and a host several addresses, and any of them may be silent. The
//! next address is tried as soon as the one before has refused, or has been silent for a while; the
//! first that logs in wins.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use super::super::fault::Fault;
use super::database::{Host, Server};
use super::login::log_in;
use super::stream::{Stream, Target, open};

/// How long an address may be silent before the next one is tried as well.
const STAGGER: Duration = Duration::from_secs(1);

/// A connection that is logged in.
pub(super) struct Dialed {
    pub stream: Box<dyn Stream>,
    /// What the server said at the start.
    pub greeting: Vec<u8>,
}

/// Connects and logs in.
pub(super) async fn dial(server: &Server) -> Result<Dialed, Fault> {
    let found = join_all(server.hosts.iter().map(|host| targets(host, server.connect_timeout / 2)));
    let mut failure = Fault::unreachable("the server has no address");
    let mut targets = Vec::new();
    for found in found.await {
        match found {
            Ok(found) => targets.extend(found),
            Err(fault) => failure = fault,
        }
    }
    let mut remaining = targets.into_iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        let next = remaining.next();
        let has_next = next.is_some();
        attempts.extend(next.map(|target| attempt(target, server)));
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(dialed) => return Ok(dialed),
                // Another address of the server would refuse the same.
                Err(fault) if fault.is_login_refused() => return Err(fault),
                Err(fault) => failure = fault,
            },
            () = sleep(STAGGER), if has_next => {}
            else => return Err(failure),
        }
    }
}

async fn attempt(target: Target, server: &Server) -> Result<Dialed, Fault> {
    let mut stream = open(target, server.tls.as_ref()).await?;
    let greeting = log_in(&mut *stream, &server.login).await?;
    Ok(Dialed { stream, greeting })
}

/// The addresses of a host.
async fn targets(host: &Host, limit: Duration) -> Result<Vec<Target>, Fault> {
    let Host { host, port } = host;
    if host.starts_with('/') {
        #[cfg(unix)]
        return Ok(vec![Target::Unix(format!("{host}/.s.PGSQL.{port}").into())]);
        #[cfg(not(unix))]
        return Err(Fault::unreachable("there are no Unix sockets here"));
    }
    let found = timeout(limit, lookup_host((host.as_str(), *port))).await;
    let found = found.map_err(|_| Fault::unreachable("the name of the host is not resolved"))?;
    let found = found.map_err(|error| Fault::unreachable(error.to_string()))?;
    Ok(found.map(|address| Target::Tcp { address, host: host.clone() }).collect())
}
