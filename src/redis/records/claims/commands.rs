//! The commands on the records of one server or one partition, as a worker sends them.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Value};

use super::super::entries::{int, read_entries, text};
use crate::engine::claims::{ABANDONED, Burial};
use crate::keys::{AUDIT_GROUP, AuditKeys};
use crate::operation::record::Record;
use crate::redis::script::Script;

/// How long a consumer without claims must be silent before it is removed from the group.
const FORGOTTEN: Duration = Duration::from_secs(3600);

static SETTLE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/settle.lua")));
static DELAY: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/delay.lua")));
static BURY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/bury.lua")));
static TIDY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/tidy.lua")));

/// Creates the consumer group. It starts at entry 0, so that it also reads records from before its
/// creation.
pub(super) fn create_group(keys: &AuditKeys) -> Cmd {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(&keys.stream).arg(AUDIT_GROUP).arg(0).arg("MKSTREAM");
    command
}

/// Reads records after an entry id: `>` claims new ones, others are those that the consumer has claimed.
pub(super) fn read_group(
    keys: &AuditKeys,
    consumer: &str,
    count: usize,
    wait: Option<Duration>,
    after: &str,
) -> Cmd {
    let mut command = redis::cmd("XREADGROUP");
    command.arg("GROUP").arg(AUDIT_GROUP).arg(consumer).arg("COUNT").arg(count);
    if let Some(wait) = wait {
        command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
    }
    command.arg("STREAMS").arg(&keys.stream).arg(after);
    command
}

/// Reads the entries of the one stream in a reply to `XREADGROUP`; none after a time-out. In RESP2
/// the reply is a list of pairs.
pub(super) fn read_streams(value: Value) -> Vec<(String, Record)> {
    let entries = match value {
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        Value::Array(streams) => match streams.into_iter().next() {
            Some(Value::Array(pair)) => pair.into_iter().nth(1),
            _ => None,
        },
        _ => None,
    };
    entries.map(read_entries).unwrap_or_default()
}

/// Claims a part of what silent consumers had claimed.
pub(super) fn claim_abandoned(keys: &AuditKeys, consumer: &str, cursor: &str, count: usize) -> Cmd {
    let mut command = redis::cmd("XAUTOCLAIM");
    command.arg(&keys.stream).arg(AUDIT_GROUP).arg(consumer);
    command.arg(ABANDONED.as_millis() as u64).arg(cursor).arg("COUNT").arg(count);
    command
}

/// What `XAUTOCLAIM` is answered with.
#[derive(Debug, Default)]
pub(super) struct Abandoned {
    pub entries: Vec<(String, Record)>,
    /// How many claimed entries were deleted from the stream.
    pub vanished: usize,
    /// Where to go on; `None` at the end.
    pub cursor: Option<String>,
}

pub(super) fn read_abandoned(reply: Value) -> Abandoned {
    let Value::Array(parts) = reply else { return Abandoned::default() };
    let mut parts = parts.into_iter();
    let cursor = parts.next().and_then(text);
    let entries = parts.next().map(read_entries).unwrap_or_default();
    let vanished = match parts.next() {
        Some(Value::Array(gone)) => gone.len(),
        _ => 0,
    };
    let cursor = cursor.filter(|cursor| !cursor.is_empty() && cursor != "0-0");
    Abandoned { entries, vanished, cursor }
}

/// Counts the entries of the stream.
pub(super) fn length(keys: &AuditKeys) -> Cmd {
    redis::cmd("XLEN").arg(&keys.stream).to_owned()
}

/// Asks for one claim that is so old, of this consumer or of anybody.
pub(super) fn oldest_claim(keys: &AuditKeys, consumer: Option<&str>, idle: Duration) -> Cmd {
    let mut command = redis::cmd("XPENDING");
    command.arg(&keys.stream).arg(AUDIT_GROUP);
    if !idle.is_zero() {
        command.arg("IDLE").arg(idle.as_millis() as u64);
    }
    command.arg("-").arg("+").arg(1).arg(consumer);
    command
}

/// Claims records again.
pub(super) fn claim<'a>(
    keys: &AuditKeys,
    consumer: &str,
    entry_ids: impl IntoIterator<Item = &'a str>,
    idle: Option<Duration>,
) -> Cmd {
    let mut command = redis::cmd("XCLAIM");
    command.arg(&keys.stream).arg(AUDIT_GROUP).arg(consumer).arg(0);
    for entry_id in entry_ids {
        command.arg(entry_id);
    }
    if let Some(idle) = idle {
        command.arg("IDLE").arg(idle.as_millis() as u64);
    }
    command.arg("JUSTID");
    command
}

/// How often entries were tried in vain.
pub(super) fn tries(keys: &AuditKeys, entries: &[(String, Record)]) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(&keys.tries);
    for (entry_id, _) in entries {
        command.arg(entry_id);
    }
    command
}

/// The number of the present attempt, by how many were counted.
pub(super) fn read_attempt(tries: Value) -> u32 {
    let tries = text(tries).and_then(|tries| tries.parse::<u32>().ok());
    tries.unwrap_or(0).saturating_add(1)
}

pub(super) fn settle<'a>(
    keys: &AuditKeys,
    entry_ids: impl IntoIterator<Item = &'a str>,
    with_source: bool,
) -> Cmd {
    let names = [&*keys.stream, &keys.delayed, &keys.tries, &keys.completed, &keys.stored];
    let mut command = SETTLE.command(with_source, &names);
    command.arg(AUDIT_GROUP);
    for entry_id in entry_ids {
        command.arg(entry_id);
    }
    command
}

pub(super) fn delay<'a>(
    keys: &AuditKeys,
    entry_ids: impl IntoIterator<Item = &'a str>,
    (delay, counted): (Duration, bool),
    with_source: bool,
) -> Cmd {
    let mut command = DELAY.command(with_source, &[&*keys.stream, &keys.delayed, &keys.tries]);
    command.arg(delay.as_millis() as u64).arg(if counted { "counted" } else { "" });
    for entry_id in entry_ids {
        command.arg(entry_id);
    }
    command
}

/// The counted attempts of each record that was delayed.
pub(super) fn read_delayed(reply: Value) -> Vec<u32> {
    match reply {
        Value::Array(tries) => {
            tries.iter().map(|tries| u32::try_from(int(tries)).unwrap_or(u32::MAX)).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn bury(keys: &AuditKeys, burial: &Burial<'_>, with_source: bool) -> Cmd {
    let Burial { entry_id, record_id, attempts, error, sqlstate } = *burial;
    let names = [&*keys.stream, &keys.delayed, &keys.tries, &keys.dead, &keys.index];
    let mut command = BURY.command(with_source, &names);
    command.arg(AUDIT_GROUP).arg(entry_id).arg(record_id).arg(error);
    command.arg(sqlstate.unwrap_or_default()).arg(attempts);
    command
}

pub(super) fn tidy(keys: &AuditKeys, with_source: bool) -> Cmd {
    let mut command = TIDY.command(with_source, &[&*keys.stream]);
    command.arg(AUDIT_GROUP).arg(FORGOTTEN.as_millis() as u64);
    command
}

pub(super) fn note_database(keys: &AuditKeys, name: &str) -> Cmd {
    redis::cmd("SET").arg(&keys.database).arg(name).arg("GET").to_owned()
}

/// Whether the note is refused for good: it is only a warning, and the worker goes on where the user may
/// not write it, or the memory is full.
pub(super) fn cannot_note(reason: &str) -> bool {
    ["NOPERM", "OOM", "WRONGTYPE"].iter().any(|code| reason.starts_with(code))
}

/// The settings that [`warnings`] judges.
pub(super) const SETTINGS: [&str; 3] = ["maxmemory-policy", "appendonly", "save"];

pub(super) fn setting(name: &str) -> Cmd {
    redis::cmd("CONFIG").arg("GET").arg(name).to_owned()
}

pub(super) fn read_setting(reply: Value) -> Option<String> {
    match reply {
        Value::Map(pairs) => pairs.into_iter().next().and_then(|(_, value)| text(value)),
        // In RESP2.
        Value::Array(words) => words.into_iter().nth(1).and_then(text),
        _ => None,
    }
}

/// What puts records at risk, by the values of the [`SETTINGS`].
pub(super) fn warnings([policy, log, snapshots]: [Option<String>; 3]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
        warnings.push(format!(
            "Redis may evict keys (maxmemory-policy {policy}): audit records that wait can be \
             lost; set it to noeviction"
        ));
    }
    if log.as_deref() == Some("no") && snapshots.as_deref() == Some("") {
        warnings.push(String::from(
            "Redis persists nothing (appendonly no, save \"\"): audit records that wait are \
             lost when it ends",
        ));
    }
    warnings
}
