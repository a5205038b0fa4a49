//! `NativeClient`: an engine, and with Redis the connections to it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, Error, Result};
use napi_derive::napi;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::completions::{Completion, Completions, Kind, Lane, Queue, Ticket, to_wire};
use super::engine::AnyEngine;
use super::runtime::IO;
use crate::engine::Engine as _;
use crate::engine::status::{Status, StatusSink};
use crate::error::Error as CoreError;
use crate::memory::engine::{MemoryEngine, MemoryOptions};
use crate::redis::caller::{Answers, Caller, ping};
use crate::redis::connection::Connection;
use crate::redis::engine::RedisEngine;
use crate::redis::options::{Address, Options, Place};
use crate::redis::settings::Settings;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::master::Group;
use crate::redis::topology::seeds::Seeds;
use crate::redis::topology::watcher::keep_watch;
use crate::redis::track::track;
use crate::redis::tracking::InvalidationSink;

/// How many changed keys may wait to be told before a connection that tells more is given up.
const UNHEARD: usize = 50_000;

/// An engine: a Redis server, connected to when first used, or a store in this process.
#[napi]
pub struct NativeClient {
    pub(crate) engine: AnyEngine,
    server: Server,
    /// Ends the feeds and subscriptions that were opened with this client.
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) status: StatusNews,
    lane: Rc<Lane>,
}

/// What a client has besides its engine.
enum Server {
    Redis(Box<RedisServer>),
    Memory(MemoryEngine),
}

struct RedisServer {
    options: Options,
    /// For managers and queues.
    connection: Connection,
    /// For the owner's own commands. In RESP2, whose replies are what clients have always shown
    /// their callers; and apart, so that a command that blocks holds up no session.
    commands: Caller,
}

/// The settings of a client.
#[derive(Deserialize)]
#[serde(untagged)]
enum ServerSettings {
    Memory { memory: MemorySettings },
    Redis(Box<Settings>),
}

/// The settings of a store in this process.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemorySettings {
    name: String,
    keep: bool,
    adjustable: bool,
}

#[napi]
impl NativeClient {
    /// `server`: JSON, as `ServerSettings` reads it. News for `slot`: the connection's number (0 is
    /// that for managers and queues, 1 with Redis that for commands), its status' name, and the reason
    /// where there is one; and the keys that have changed, once there was a `track`.
    #[napi(constructor)]
    pub fn new(completions: &Completions, slot: u32, server: String) -> Result<Self> {
        // Not the text itself: it may hold a password.
        let settings = serde_json::from_str(&server)
            .map_err(|_| Error::from_reason("the settings of the server cannot be read"))?;
        let queue = completions.lane.queue.clone();
        let status = StatusNews { queue: queue.clone(), slot, connections: AtomicU32::new(0) };
        let (closed, ending) = watch::channel(false);
        let (engine, server) = match settings {
            ServerSettings::Memory { memory: MemorySettings { name, keep, adjustable } } => {
                let options = MemoryOptions { name, keep, adjustable };
                let (engine, task) = MemoryEngine::open(options, status.of_another());
                IO.spawn(task)?;
                (AnyEngine::Memory(engine.clone()), Server::Memory(engine))
            }
            ServerSettings::Redis(settings) => {
                let options = options_of(*settings)?;
                if let Place::Named { master, .. } = &options.place {
                    IO.spawn(keep_watch(master.clone(), ending))?;
                }
                let invalidated: InvalidationSink = Arc::new(move |key| {
                    let (kind, text) = (Kind::Invalidated, key.map(Into::into));
                    queue.push(Completion {
                        slot,
                        kind,
                        number: 0.0,
                        text,
                        more: None,
                        waits: None,
                    });
                    queue.invalidations() < UNHEARD
                });
                let (connection, supervisor) =
                    Connection::new(options.clone(), status.of_another(), invalidated);
                IO.spawn(supervisor)?;
                let unheard: InvalidationSink = Arc::new(|_| true);
                let (commands, supervisor) =
                    Connection::new(options.clone().in_resp2(), status.of_another(), unheard);
                IO.spawn(supervisor)?;
                let (connection, commands) = (connection.collecting(), commands.collecting());
                let engine = RedisEngine::new(options.clone(), connection.clone());
                let commands = Caller::new(commands);
                let server = RedisServer { options, connection, commands };
                (AnyEngine::Redis(engine), Server::Redis(Box::new(server)))
            }
        };
        Ok(Self { engine, server, closed, status, lane: completions.lane.clone() })
    }

    /// The server's name in errors.
    #[napi(getter)]
    pub fn server(&self) -> String {
        self.engine.to_string()
    }

    /// Where the server is and who speaks to it, as JSON: `host` and `port`, or `path`, or `nodes` and
    /// `natMap`, or what `lib/client/sentinels.js` reads; `tls`, a boolean; `username`, `password`, `db`. A store in this
    /// process has neither address nor user.
    #[napi(getter)]
    pub fn settings(&self) -> String {
        let Server::Redis(redis) = &self.server else {
            return serde_json::json!({ "username": null, "password": null, "db": 0 }).to_string();
        };
        let login = &redis.options.login;
        let mut settings = match &redis.options.place {
            Place::Fixed(Address::Tcp { endpoint: Endpoint { host, port }, tls }) => {
                serde_json::json!({ "host": host, "port": port, "tls": tls.is_some() })
            }
            Place::Fixed(Address::Unix(path)) => {
                serde_json::json!({ "path": path.to_string_lossy() })
            }
            Place::Cluster { seeds, tls } => {
                let Seeds { nodes, nat_map } = &**seeds;
                serde_json::json!({ "nodes": nodes, "natMap": nat_map, "tls": tls.is_some() })
            }
            Place::Named { master, tls } => {
                let Group { name, sentinels, login, tls: sentinel_tls, nat_map } = &*master.group;
                serde_json::json!({
                    "sentinels": sentinels,
                    "name": name,
                    "sentinelUsername": login.username,
                    "sentinelPassword": login.password,
                    "sentinelTLS": sentinel_tls.is_some(),
                    "natMap": nat_map,
                    "tls": tls.is_some(),
                })
            }
        };
        settings["username"] = login.username.as_deref().into();
        settings["password"] = login.password.as_deref().into();
        settings["db"] = login.db.into();
        settings.to_string()
    }

    /// How far the engine's clock is ahead of the system's, milliseconds; null where nobody can set it.
    #[napi(getter)]
    pub fn ahead_ms(&self) -> Option<f64> {
        let clock = self.engine.clock();
        clock.is_adjustable().then(|| clock.ahead().as_secs_f64() * 1000.0)
    }

    /// The caller's own commands, sent together; as a transaction, between `MULTI` and `EXEC`.
    /// `commands`: for each the number of its words (u32, little-endian), and for each word its
    /// length (the same) and its bytes. Done with the replies in RESP2, one for each command. Where
    /// some are missing, those that have come are a part, and the end says why.
    #[napi]
    pub fn call(&self, slot: u32, commands: Buffer, transaction: bool, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let Server::Redis(redis) = &self.server else {
            return ticket.failed(&no_commands());
        };
        let deadline = deadline_after(timeout_ms);
        redis.commands.call(&unpack(&commands), transaction, deadline, |answers| {
            told(ticket, answers);
        });
    }

    /// Whether managers and queues are answered. Done as `call` is.
    #[napi]
    pub fn ping(&self, slot: u32, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        match &self.server {
            Server::Redis(redis) => {
                ping(&redis.connection.direct(), deadline_after(timeout_ms), |answer| {
                    told(ticket, Answers::Together(answer));
                });
            }
            Server::Memory(memory) => {
                let deadline = memory.clock().now() + Duration::from_millis(timeout_ms.into());
                memory.ping(deadline, |outcome| {
                    let pong = outcome.is_ok().then(|| b"+PONG\r\n".to_vec());
                    told(ticket, Answers::Together((pong.unwrap_or_default(), outcome)));
                });
            }
        }
    }

    /// Done once there will be news of the keys that are read after this, and again whenever the
    /// connection is to be proven. Until it is lost.
    #[napi]
    pub fn track(&self, slot: u32, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let Server::Redis(redis) = &self.server else {
            return ticket.failed(&no_commands());
        };
        track(&redis.connection, deadline_after(timeout_ms), move |outcome| {
            ticket.outcome(outcome.map(|()| 0.0));
        });
    }

    /// Sends what managers and queues have called since the last time: calls that come together go
    /// together.
    #[napi]
    pub fn flush(&self) {
        if let Server::Redis(redis) = &self.server {
            redis.connection.flush();
        }
    }

    /// The same for the owner's own commands.
    #[napi]
    pub fn flush_commands(&self) {
        if let Server::Redis(redis) = &self.server {
            redis.commands.connection().flush();
        }
    }

    /// Lets what is in flight end, then disconnects. How many audit records are lost, as the store in
    /// this process ends with its last client.
    #[napi]
    pub fn quit(&self) -> u32 {
        self.closed.send_replace(true);
        match &self.server {
            Server::Redis(redis) => {
                redis.connection.close();
                redis.commands.connection().close();
                0
            }
            Server::Memory(memory) => u32::try_from(memory.close()).unwrap_or(u32::MAX),
        }
    }

    /// The same, and disconnects at once.
    #[napi]
    pub fn disconnect(&self) -> u32 {
        self.closed.send_replace(true);
        match &self.server {
            Server::Redis(redis) => {
                redis.connection.abort();
                redis.commands.connection().abort();
                0
            }
            Server::Memory(memory) => u32::try_from(memory.close()).unwrap_or(u32::MAX),
        }
    }
}

impl NativeClient {
    /// The server of what only Redis has, and the connection of managers and queues.
    pub(crate) fn redis(&self) -> Result<(&Options, &Connection)> {
        match &self.server {
            Server::Redis(redis) => Ok((&redis.options, &redis.connection)),
            Server::Memory(_) => Err(Error::from_reason(NO_COMMANDS)),
        }
    }

    /// The store of what only a store in this process has.
    pub(crate) fn memory(&self) -> Result<&MemoryEngine> {
        match &self.server {
            Server::Redis(_) => Err(Error::from_reason("it is no store in this process")),
            Server::Memory(memory) => Ok(memory),
        }
    }
}

const NO_COMMANDS: &str = "a store in this process has no commands: it keeps sessions and records";

fn no_commands() -> CoreError {
    CoreError::Reply { message: NO_COMMANDS.into() }
}

fn deadline_after(ms: u32) -> Instant {
    Instant::now() + Duration::from_millis(ms.into())
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Ends a call of the caller's own commands.
fn told(ticket: Ticket, answers: Answers) {
    match answers {
        Answers::Together((replies, Ok(()))) => ticket.bytes(replies),
        Answers::Together((replies, Err(error))) => {
            ticket.part(Some(replies), 0.0);
            ticket.failed(&error);
        }
        Answers::Each(answers) => {
            let mut replies = Vec::new();
            for (reply, outcome) in answers {
                match outcome {
                    Ok(()) => replies.extend(reply),
                    // As `lib/client/replies.js` reads it, among replies in RESP2.
                    Err(error) => replies.extend(format!("!{}\r\n", to_wire(&error)).bytes()),
                }
            }
            ticket.bytes(replies);
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
                Status::Limited { limits } => ("ready", Some(limits)),
                Status::Replacing => ("reconnecting", None),
                Status::Reconnecting { reason } => ("reconnecting", Some(reason)),
                Status::Closed => ("end", None),
            };
            let (kind, text) = (Kind::Status, Some(name.to_owned().into()));
            queue.push(Completion { slot, kind, number, text, more: reason, waits: None });
        })
    }
}

fn options_of(settings: Settings) -> Result<Options> {
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
