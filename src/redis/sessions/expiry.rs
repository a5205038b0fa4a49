//! The commands that tell of sessions whose TTL has run out.
//!
//! Two commands for each partition, since a script must be given every key that it uses: the first one
//! finds the sessions to look at, the second one looks. While a slot moves key by key, Redis refuses a
//! script with a key that is not there, so a session that has moved is not taken for one that has expired.

use std::sync::LazyLock;

use redis::Value;

use super::context::Context;
use super::reply::{unexpected, unexpected_in_read};
use crate::error::Result;
use crate::operation::expiry::{Due, Expire, Expired};
use crate::redis::command::AsCommand;
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::append;
use crate::redis::script::Script;

static DUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/due.lua")));

impl AsCommand for Due {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let expiries = context.names_of(self.part).expiries.as_deref().unwrap_or_default();
        let mut command = DUE.command(attempt.with_source, &[expiries]);
        append(out, command.arg(self.limit));
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place_of(self.part)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Vec<String>> {
        match reply? {
            Value::Array(ids) => {
                Ok(ids.into_iter().filter_map(|id| redis::from_redis_value(id).ok()).collect())
            }
            other => Err(unexpected_in_read(&other)),
        }
    }
}

impl AsCommand for Expire {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let names = context.names_of(self.part);
        let sessions: Vec<String> =
            self.sessions.iter().map(|(id, _)| names.keys.session(id)).collect();
        let expiries = names.expiries.as_deref().unwrap_or_default();
        let mut keys = vec![expiries];
        keys.extend(sessions.iter().map(String::as_str));
        keys.extend(names.stream.as_deref());
        let mut command = names.scripts.expire().command(attempt.with_source, &keys);
        for (_, record_id) in &self.sessions {
            command.arg(record_id);
        }
        append(out, &command);
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place_of(self.part)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Expired> {
        match reply? {
            Value::Array(counts) => match counts[..] {
                [Value::Int(told), Value::Int(unaudited)] => {
                    Ok(Expired { told: told.unsigned_abs(), unaudited: unaudited.unsigned_abs() })
                }
                _ => Err(unexpected(&Value::Array(counts))),
            },
            other => Err(unexpected(&other)),
        }
    }
}
