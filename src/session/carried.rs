//! Locked updates that their caller himself sends to Redis, by a connection of his own. They may be
//! repeated at any time, so whatever has no plain answer is left to the store's connection.

use std::time::Duration;

use redis::{Cmd, Value};

use super::store::{Rule, Store, Written};
use super::write::{Audit, Prepared, WRITE, Write, end_with_settings};
use crate::error::{Error, Result};
use crate::redis::flight::{Refusal, error_line};
use crate::redis::ledger::Noted;
use crate::redis::link::Identity;
use crate::redis::request::Request;

/// What a caller puts between `head` and `tail`, besides the stream's key: two keys, the ledger's
/// four arguments, and six of `scripts/write.lua`.
const OWN_WORDS: usize = 2 + 4 + 6;

/// The command of a locked update as it is sent, without what differs from one to the next
/// (`lib/UpdateForm.js`).
#[derive(Debug)]
pub struct Form {
    /// What comes before the keys.
    pub head: String,
    /// The key of the audit's stream; empty where there is no audit.
    pub stream: String,
    /// The arguments that are the same for all.
    pub tail: String,
}

impl Form {
    /// That of a store.
    pub fn of(store: &Store) -> Self {
        let stream = store.audit.as_ref();
        let mut end = Cmd::new();
        let locked = Rule::Locked { expected: 0 };
        end_with_settings(&mut end, &store.settings, locked, stream);
        let mut begin = redis::cmd("EVALSHA");
        begin.arg(WRITE.digest()).arg(if stream.is_some() { 3 } else { 2 });
        let mut key = Cmd::new();
        key.arg(stream.map(|stream| &stream.keys.stream));
        let all = [&begin, &key, &end].map(|part| part.args_iter().len()).iter().sum::<usize>();
        Self {
            head: format!("*{}\r\n{}", all + OWN_WORDS, words(&begin)),
            stream: words(&key),
            tail: words(&end),
        }
    }
}

/// A part of a command as it is sent.
fn words(part: &Cmd) -> String {
    let packed = String::from_utf8(part.get_packed_command()).unwrap_or_default();
    packed.split_once("\r\n").map_or_else(String::new, |(_count, words)| words.to_owned())
}

/// An update as its caller has called it.
#[derive(Debug)]
pub struct Update {
    /// Of which session.
    pub session_id: String,
    /// What is stored if it is applied, with its version first.
    pub document: String,
    /// The version that is written.
    pub version: u64,
    /// When it was called, milliseconds since the epoch.
    pub now_ms: i64,
    /// The id of the audit's record, where there is an audit.
    pub record_id: String,
    /// How much of its time has been used already.
    pub waited: Duration,
}

impl Update {
    /// Ends it by Redis' reply, whatever that is. `false` where it says that this server cannot
    /// take it now; then, and where it does not know the script, the store's connection sees to it.
    pub fn replied(
        self,
        store: &Store,
        reply: &[u8],
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) -> bool {
        let write = self.into_write(store, done);
        let outcome = match redis::parse_redis_value(reply) {
            Ok(Value::ServerError(error)) => match Refusal::of(&error) {
                Refusal::Final => Err(Error::Reply { message: error_line(&error) }),
                refusal => {
                    store.connection.submit(Box::new(write)); // Nothing was applied.
                    return matches!(refusal, Refusal::UnknownScript);
                }
            },
            Ok(value) => Ok(value),
            Err(error) => Err(Error::unknown(error.to_string())),
        };
        Box::new(write).settle(outcome);
        true
    }

    /// Leaves it to the store's connection. `sent`: by which connection it was, if it was and may have
    /// been applied, and where it has noted that then.
    pub fn hand_over(
        self,
        store: &Store,
        sent: Option<(Noted, Option<Identity>)>,
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) {
        let write = Box::new(self.into_write(store, done));
        match sent {
            Some((noted, by)) => store.connection.repeat(write, noted, by),
            None => store.connection.submit(write),
        }
    }

    fn into_write<D>(self, store: &Store, done: D) -> Write<D> {
        let Self { session_id, document, version, now_ms, record_id, waited } = self;
        let expected = version.saturating_sub(1);
        Write {
            settings: store.settings.clone(),
            audit: store.audit.clone().map(|stream| Audit { stream, record_id }),
            session_id,
            text: String::new(),
            rule: Rule::Locked { expected },
            now_ms,
            deadline: store.deadline_after(waited),
            done,
            prepared: Some(Prepared { version, document }),
        }
    }
}
