//! `NativeClient`: where a Redis is, and a connection for commands to it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, Error, Result};
use napi_derive::napi;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::completions::{Completion, Completions, Kind, Lane};
use super::runtime::IO;
use crate::error::Error as CoreError;
use crate::redis::call::call;
use crate::redis::connection::Connection;
use crate::redis::options::Options;
use crate::redis::settings::Settings;
use crate::redis::status::{Status, StatusSink};
use crate::redis::tracking::{InvalidationSink, Track};

/// How many changed keys may wait to be told before a connection that tells more is given up.
const UNHEARD: usize = 50_000;

/// A Redis server, connected to when first used.
#[napi]
pub struct NativeClient {
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    /// Ends the feeds that were opened with this client.
    pub(crate) closed: watch::Sender<bool>,
    /// Tells of feeds, too, where a client has no other connection.
    pub(crate) status: StatusSink,
    /// Whether it has been used for commands.
    pub(crate) commanded: Arc<AtomicBool>,
    lane: Rc<Lane>,
}

#[napi]
impl NativeClient {
    /// `server`: JSON, a URL or the parts of one. News for `slot`: the status' name, and the reason
    /// where there is one; and the keys that have changed, once there was a `track`.
    #[napi(constructor)]
    pub fn new(completions: &Completions, slot: u32, server: String) -> Result<Self> {
        let options = options_of(&server)?;
        let queue = completions.lane.queue.clone();
        let status: StatusSink = Arc::new(move |status| {
            let (name, reason) = match status {
                Status::Idle => ("wait", None),
                Status::Connecting => ("connecting", None),
                Status::Ready => ("ready", None),
                Status::Reconnecting { reason } => ("reconnecting", Some(reason)),
                Status::Closed => ("end", None),
            };
            queue.push(Completion {
                slot,
                kind: Kind::Status,
                number: 0.0,
                text: Some(name.to_owned()),
                more: reason,
            });
        });
        let commanded = Arc::new(AtomicBool::new(false));
        let (tell, used) = (status.clone(), commanded.clone());
        let of_commands: StatusSink = Arc::new(move |status| {
            used.store(true, Ordering::Relaxed);
            tell(status);
        });
        let queue = completions.lane.queue.clone();
        let invalidated: InvalidationSink = Arc::new(move |key| {
            let kind = Kind::Invalidated;
            queue.push(Completion { slot, kind, number: 0.0, text: key, more: None });
            queue.invalidations() < UNHEARD
        });
        let (connection, supervisor) = Connection::new(options.clone(), of_commands, invalidated);
        IO.spawn(supervisor)?;
        let connection = connection.collecting();
        let (closed, _) = watch::channel(false);
        let lane = completions.lane.clone();
        Ok(Self { options, connection, closed, status, commanded, lane })
    }

    /// The server's name in errors.
    #[napi(getter)]
    pub fn server(&self) -> String {
        self.options.to_string()
    }

    /// Any command. `arguments`: for each, its length (u32, little-endian), then its bytes.
    /// Done with the reply as JSON text.
    #[napi]
    pub fn call(&self, slot: u32, arguments: Buffer, timeout_ms: u32) {
        let ticket = self.lane.ticket(slot);
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        call(&self.connection, unpack(&arguments), deadline, move |outcome| match outcome {
            Ok(reply) => ticket.text(reply.to_string(), 0.0),
            Err(error) => ticket.failed(&error),
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

    /// Sends what was called since the last time: calls that come together go together.
    #[napi]
    pub fn flush(&self) {
        self.connection.flush();
    }

    /// Lets what is in flight end, then disconnects.
    #[napi]
    pub fn quit(&self) {
        self.closed.send_replace(true);
        self.connection.close();
    }

    /// Disconnects at once.
    #[napi]
    pub fn disconnect(&self) {
        self.closed.send_replace(true);
        self.connection.abort();
    }
}

impl Drop for NativeClient {
    fn drop(&mut self) {
        self.disconnect();
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Server {
    Url(String),
    Parts(Box<Settings>),
}

fn options_of(server: &str) -> Result<Options> {
    // Not the text itself: it may hold a password.
    let server = serde_json::from_str(server)
        .map_err(|_| Error::from_reason("the settings of the server cannot be read"))?;
    let options = match server {
        Server::Url(url) => Options::from_url(&url),
        Server::Parts(settings) => settings.into_options(),
    };
    options.map_err(|error| match error {
        CoreError::InvalidState { reason, .. } => Error::from_reason(reason),
        other => Error::from_reason(other.to_string()),
    })
}

/// The arguments that `lib/RedisClient.js` has packed. A length past the end takes what is there.
fn unpack(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut arguments = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (argument, rest) = rest.split_at(length.min(rest.len()));
        arguments.push(argument.to_vec());
        packed = rest;
    }
    arguments
}
