//! `NativeClient`: where a Redis is, and the connections to it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, Error, Result};
use napi_derive::napi;
use tokio::sync::watch;
use tokio::time::Instant;

use super::completions::{Completion, Completions, Kind, Lane, Queue, Ticket};
use super::runtime::IO;
use crate::engine::status::{Status, StatusSink};
use crate::error::Error as CoreError;
use crate::redis::call::call;
use crate::redis::connection::Connection;
use crate::redis::engine::RedisEngine;
use crate::redis::options::{Address, Options};
use crate::redis::settings::Settings;
use crate::redis::tracking::{InvalidationSink, Track};

/// How many changed keys may wait to be told before a connection that tells more is given up.
const UNHEARD: usize = 50_000;

/// A Redis server, connected to when first used.
#[napi]
pub struct NativeClient {
    pub(crate) options: Options,
    /// For managers and queues.
    pub(crate) engine: RedisEngine,
    connection: Connection,
    /// For the owner's own commands. In RESP2, whose replies are what clients have always shown their
    /// callers; and apart, so that a command that blocks holds up no session.
    commands: Connection,
    /// Ends the feeds and subscriptions that were opened with this client.
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) status: StatusNews,
    lane: Rc<Lane>,
}

#[napi]
impl NativeClient {
    /// `server`: JSON, as `Settings` reads it. News for `slot`: the connection's number (0 is that for
    /// managers and queues), its status' name, and the reason where there is one; and the keys that
    /// have changed, once there was a `track`.
    #[napi(constructor)]
    pub fn new(completions: &Completions, slot: u32, server: String) -> Result<Self> {
        let options = options_of(&server)?;
        let queue = completions.lane.queue.clone();
        let status = StatusNews { queue: queue.clone(), slot, connections: AtomicU32::new(0) };
        let invalidated: InvalidationSink = Arc::new(move |key| {
            let (kind, text) = (Kind::Invalidated, key.map(Into::into));
            queue.push(Completion { slot, kind, number: 0.0, text, more: None });
            queue.invalidations() < UNHEARD
        });
        let (connection, supervisor) =
            Connection::new(options.clone(), status.of_another(), invalidated);
        IO.spawn(supervisor)?;
        let (commands, supervisor) =
            Connection::new(options.clone().in_resp2(), status.of_another(), Arc::new(|_| true));
        IO.spawn(supervisor)?;
        let (connection, commands) = (connection.collecting(), commands.collecting());
        let engine = RedisEngine::new(options.clone(), connection.clone());
        let (closed, _) = watch::channel(false);
        let lane = completions.lane.clone();
        Ok(Self { options, engine, connection, commands, closed, status, lane })
    }

    /// The server's name in errors.
    #[napi(getter)]
    pub fn server(&self) -> String {
        self.options.to_string()
    }

    /// Where the server is and who speaks to it, as JSON: `host` and `port`, or `path`; `tls`, a
    /// boolean; `username`, `password`, `db`.
    #[napi(getter)]
    pub fn settings(&self) -> String {
        let login = &self.options.login;
        let mut settings = match &self.options.address {
            Address::Tcp { host, port, tls } => {
                serde_json::json!({ "host": host, "port": port, "tls": tls.is_some() })
            }
            Address::Unix(path) => serde_json::json!({ "path": path.to_string_lossy() }),
        };
        settings["username"] = login.username.as_deref().into();
        settings["password"] = login.password.as_deref().into();
        settings["db"] = login.db.into();
        settings.to_string()
    }

    /// The caller's own commands, sent together; as a transaction, between `MULTI` and `EXEC`.
    /// `commands`: for each the number of its words (u32, little-endian), and for each word its
    /// length (the same) and its bytes. Done with the replies in RESP2, one for each command. Where
    /// some are missing, those that have come are a part, and the end says why.
    #[napi]
    pub fn call(&self, slot: u32, commands: Buffer, transaction: bool, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        call(&self.commands, &unpack(&commands), transaction, deadline, |replies, outcome| {
            told(ticket, replies, outcome);
        });
    }

    /// Whether the connection for managers and queues is answered. Done as `call` is.
    #[napi]
    pub fn ping(&self, slot: u32, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        let ping = [vec![&b"PING"[..]]];
        call(&self.connection.direct(), &ping, false, deadline, |replies, outcome| {
            told(ticket, replies, outcome);
        });
    }

    /// Done once there will be news of the keys that are read after this, and again whenever the
    /// connection is to be proven. Until it is lost.
    #[napi]
    pub fn track(&self, slot: u32, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        self.connection.submit(Box::new(Track::new(deadline, move |outcome| {
            ticket.outcome(outcome.map(|()| 0.0));
        })));
    }

    /// Sends what managers and queues have called since the last time: calls that come together go
    /// together.
    #[napi]
    pub fn flush(&self) {
        self.connection.flush();
    }

    /// The same for the owner's own commands.
    #[napi]
    pub fn flush_commands(&self) {
        self.commands.flush();
    }

    /// Lets what is in flight end, then disconnects.
    #[napi]
    pub fn quit(&self) {
        self.closed.send_replace(true);
        self.connection.close();
        self.commands.close();
    }

    /// Disconnects at once.
    #[napi]
    pub fn disconnect(&self) {
        self.closed.send_replace(true);
        self.connection.abort();
        self.commands.abort();
    }
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Ends a call of the caller's own commands.
fn told(ticket: Ticket, replies: Vec<u8>, outcome: crate::error::Result<()>) {
    match outcome {
        Ok(()) => ticket.bytes(replies),
        Err(error) => {
            ticket.part(Some(replies), 0.0);
            ticket.failed(&error);
        }
    }
}

/// Tells JavaScript of the status of each connection of a client.
pub(crate) struct StatusNews {
    queue: Arc<Queue>,
    slot: u32,
    /// How many there were.
    connections: AtomicU32,
}

impl StatusNews {
    /// For one more connection, which gets the next number.
    pub fn of_another(&self) -> StatusSink {
        let number = f64::from(self.connections.fetch_add(1, Ordering::Relaxed));
        let (queue, slot) = (self.queue.clone(), self.slot);
        Arc::new(move |status| {
            let (name, reason) = match status {
                Status::Idle => ("wait", None),
                Status::Connecting => ("connecting", None),
                Status::Ready => ("ready", None),
                Status::Reconnecting { reason } => ("reconnecting", Some(reason)),
                Status::Closed => ("end", None),
            };
            let (kind, text) = (Kind::Status, Some(name.to_owned().into()));
            queue.push(Completion { slot, kind, number, text, more: reason });
        })
    }
}

fn options_of(server: &str) -> Result<Options> {
    // Not the text itself: it may hold a password.
    let settings: Settings = serde_json::from_str(server)
        .map_err(|_| Error::from_reason("the settings of the server cannot be read"))?;
    settings.into_options().map_err(|error| match error {
        CoreError::InvalidState { reason, .. } => Error::from_reason(reason),
        other => Error::from_reason(other.to_string()),
    })
}

/// The commands that `lib/client/requests.js` has packed. A number past the end takes what is there.
fn unpack(mut packed: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut commands = Vec::new();
    while let Some(words) = number(&mut packed) {
        let mut command = Vec::new();
        for _ in 0..words {
            let Some(length) = number(&mut packed) else { break };
            let (word, rest) = packed.split_at(length.min(packed.len()));
            command.push(word);
            packed = rest;
        }
        commands.push(command);
    }
    commands
}

fn number(packed: &mut &[u8]) -> Option<usize> {
    let (number, rest) = packed.split_first_chunk::<4>()?;
    *packed = rest;
    Some(usize::try_from(u32::from_le_bytes(*number)).unwrap_or(usize::MAX))
}
