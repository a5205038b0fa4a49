//! Locked updates that their caller himself carries to Redis, by a connection of his own. They may
//! be repeated at any time, so whatever has no plain answer is left to the store's connection.

use redis::Value;

use super::store::{Rule, Store, Written};
use super::write::Write;
use crate::error::{Error, Result};
use crate::redis::flight::{Refusal, error_line};
use crate::redis::ledger::{Entry, Noted};
use crate::redis::request::{Attempt, Request};

type Done = fn(Result<Written>);

/// An update on its way.
pub struct Carried {
    write: Write<Done>,
    noted: Noted,
}

impl Carried {
    /// Puts the update's command, as it is sent, at the end of `out`. `document`: what is stored if
    /// it is applied, with this version first. `entry`: where it notes that it was. `None` where the
    /// store would refuse it.
    pub fn new(
        store: &Store,
        session_id: String,
        document: String,
        version: u64,
        now_ms: i64,
        entry: Entry,
        out: &mut Vec<u8>,
    ) -> Option<Self> {
        let done: Done = |_| {};
        let rule = Rule::Locked { expected: version.checked_sub(1)? };
        let mut write = store.new_write(session_id, String::new(), rule, now_ms, done);
        write.take_document(version, document).ok()?;
        let noted = entry.noted.clone();
        let attempt = Attempt { repeated: false, with_source: false, entry };
        write.command(&attempt).write_packed_command(out);
        Some(Self { write, noted })
    }

    /// Ends it by Redis' reply, whatever that is. `false` where it says that this server cannot
    /// take it now; then, and where it does not know the script, the store's connection sees to it.
    pub fn replied(
        self,
        store: &Store,
        reply: &[u8],
        done: impl FnOnce(Result<Written>) + Send + 'static,
    ) -> bool {
        let write = self.write.with_done(done);
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

    /// Leaves it to the store's connection: it may have been applied.
    pub fn lost(self, store: &Store, done: impl FnOnce(Result<Written>) + Send + 'static) {
        store.connection.repeat(Box::new(self.write.with_done(done)), self.noted);
    }
}
