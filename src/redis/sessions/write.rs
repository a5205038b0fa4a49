//! The commands that change: create and update, delete, touch, broadcast.

use redis::Value;

use super::context::{Context, Names};
use super::message;
use super::reply::{unexpected, wrong_type};
use crate::document::Draft;
use crate::error::{Error, Result};
use crate::operation::record::{DELETED, Reason};
use crate::operation::replicas::Replicas;
use crate::operation::rule::{Over, Rule};
use crate::operation::session::{Broadcast, Delete, Deleted, Touch, Write, Written};
use crate::redis::command::{About, AsCommand};
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::Command;
use crate::redis::script::Script;

/// What the audit record of a change tells besides the change.
struct Note<'a> {
    record_id: &'a str,
    /// The kind of change, unless the reason names another.
    event_type: &'static str,
    reason: Option<&'a Reason>,
}

impl<'a> Note<'a> {
    /// The note of a change; `None` without an audit.
    fn of(
        names: &Names,
        record_id: Option<&'a str>,
        event_type: &'static str,
        reason: Option<&'a Reason>,
    ) -> Option<Self> {
        names.stream.as_ref()?;
        Some(Self { record_id: record_id.unwrap_or_default(), event_type, reason })
    }

    /// The record's id; and, of a change with a reason, its event type, and a field of the record.
    fn words(&self) -> impl ExactSizeIterator<Item = &'a str> {
        let metadata = self.reason.and_then(|reason| reason.metadata.as_deref());
        let event_type = self.reason.and_then(|reason| reason.event_type.as_deref());
        let count = match (self.reason, metadata) {
            (None, _) => 1,
            (Some(_), None) => 2,
            (Some(_), Some(_)) => 4,
        };
        let event_type = event_type.unwrap_or(self.event_type);
        let words = [self.record_id, event_type, "metadata", metadata.unwrap_or_default()];
        words.into_iter().take(count)
    }
}

/// Begins the command of a script about a session: its keys, so many arguments, and those of the note,
/// which [`end`] appends.
fn begin<'a>(
    out: &'a mut Vec<u8>,
    (names, script): (&Names, &Script),
    attempt: &Attempt,
    session_id: &str,
    (arguments, note): (usize, &Option<Note<'_>>),
) -> Command<'a> {
    let session = [names.keys.session_prefix.as_str(), session_id];
    let arguments = arguments + note.as_ref().map_or(0, |note| note.words().len());
    let (mut keys, mut count) = ([session; 3], 1);
    for key in [&names.stream, &names.expiries].into_iter().flatten() {
        keys[count] = [key, ""];
        count += 1;
    }
    script.noted(out, attempt, &keys[..count], arguments)
}

fn end(mut command: Command<'_>, note: &Option<Note<'_>>) {
    for word in note.iter().flat_map(Note::words) {
        command.word(word);
    }
}

impl AsCommand for Write {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let Self { session_id, draft, rule, record_id, reason, .. } = self;
        let head = rule.version().map(Draft::head);
        let version = match rule {
            Rule::Create | Rule::CreateIfAbsent => None,
            Rule::Locked { expected } => Some(*expected),
            Rule::Any => Some(draft.version.unwrap_or(0) + 1), // Where nothing is stored.
            Rule::Restore { least, .. } => Some(*least),
        };
        let over = match rule {
            Rule::Restore { over, .. } => Some(over),
            _ => None,
        };
        let arguments = 2 + usize::from(version.is_some()) + usize::from(over.is_some());
        let names = context.names(session_id);
        let event_type = rule.event_type();
        let note = Note::of(names, record_id.as_deref(), event_type, reason.as_deref());
        let script = (names, names.scripts.write(*rule));
        let mut command = begin(out, script, attempt, session_id, (arguments, &note));
        command.joined(head.iter().map(String::as_bytes).chain(draft.tail()));
        command.number(self.now_ms.unsigned_abs());
        if let Some(version) = version {
            command.number(version);
        }
        match over {
            Some(Over::Anything) => command.word("any"),
            Some(Over::Nothing) => command.word("none"),
            Some(Over::Version(version)) => command.number(*version),
            None => &mut command,
        };
        end(command, &note);
    }

    fn about(&self, context: &Context) -> About {
        About::Writes(context.hash(&self.session_id))
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(&self.session_id)
    }

    fn notes(&self) -> bool {
        true
    }

    fn replicas(&self, context: &Context) -> Option<Replicas> {
        context.namespace.replicas
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Written> {
        let Self { session_id, rule, .. } = self;
        let value = reply.map_err(|error| wrong_type(error, &session_id))?;
        read_answer(value, session_id, rule)
    }
}

/// The answer of a script that writes.
fn read_answer(value: Value, session_id: String, rule: Rule) -> Result<Written> {
    let parts = match value {
        Value::Int(answer) => {
            let version = rule.version().unwrap_or(answer.unsigned_abs());
            return Ok(Written { version, unaudited: answer < 0 });
        }
        Value::Array(parts) => parts,
        other => return Err(unexpected(&other)),
    };
    let mut parts = parts.into_iter();
    let found = parts.next().and_then(|found| redis::from_redis_value::<String>(found).ok());
    Err(match (found.as_deref(), rule, parts.next()) {
        (Some("missing"), ..) => Error::SessionNotFound { session_id },
        (Some("exists"), ..) => Error::SessionExists { session_id },
        (
            Some("conflict"),
            Rule::Locked { expected } | Rule::Restore { over: Over::Version(expected), .. },
            Some(Value::Int(actual)),
        ) => {
            let actual = u64::try_from(actual).unwrap_or_default();
            Error::ConcurrentModification { session_id, expected, actual }
        }
        (Some("corrupt"), _, Some(Value::BulkString(raw))) => {
            Error::Deserialization { session_id, raw: String::from_utf8_lossy(&raw).into_owned() }
        }
        _ => unexpected(&Value::Array(Vec::new())),
    })
}

impl AsCommand for Delete {
    type Context = Context;

    fn encode(&self, context: &Context, attempt: &Attempt, out: &mut Vec<u8>) {
        let names = context.names(&self.session_id);
        let script = (names, names.scripts.delete());
        let note = Note::of(names, self.record_id.as_deref(), DELETED, self.reason.as_deref());
        let mut command = begin(out, script, attempt, &self.session_id, (1, &note));
        command.number(self.now_ms.unsigned_abs());
        end(command, &note);
    }

    fn about(&self, context: &Context) -> About {
        About::Writes(context.hash(&self.session_id))
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(&self.session_id)
    }

    fn notes(&self) -> bool {
        true
    }

    fn replicas(&self, context: &Context) -> Option<Replicas> {
        context.namespace.replicas
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Deleted> {
        reply.map(|answer| Deleted {
            existed: answer != Value::Int(0),
            unaudited: answer == Value::Int(-1),
        })
    }
}

impl AsCommand for Touch {
    type Context = Context;

    fn encode(&self, context: &Context, _attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 3)
            .word("EXPIRE")
            .named(&context.names(&self.session_id).keys.session_prefix, &self.session_id)
            .number(context.namespace.ttl_seconds.into());
    }

    fn about(&self, context: &Context) -> About {
        About::Writes(context.hash(&self.session_id))
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(&self.session_id)
    }

    fn replicas(&self, context: &Context) -> Option<Replicas> {
        context.namespace.replicas
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<bool> {
        reply.map(|value| value == Value::Int(1))
    }
}

impl AsCommand for Broadcast {
    type Context = Context;

    fn encode(&self, context: &Context, _attempt: &Attempt, out: &mut Vec<u8>) {
        let names = context.names(&self.session_id);
        let channel = &names.keys.ws_channel_prefix;
        let mut command = Command::new(out, 3);
        if names.is_partition {
            command.word("SPUBLISH").word(channel);
        } else {
            command.word("PUBLISH").named(channel, &self.session_id);
        }
        command.word(message::broadcast(&self.session_id, &self.message, self.now_ms));
    }

    fn about(&self, context: &Context) -> About {
        About::Tells(context.hash(&self.session_id))
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(&self.session_id)
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<()> {
        reply.map(drop)
    }
}
