//! The commands with which a worker claims records from the stream and settles them.
//!
//! Claims have a connection of their own and send one command at a time, because reads block.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Cmd, Value};

use super::entries::{int, read_entries, text};
use crate::engine::claims::{ABANDONED, Answer, Burial, Claims, Lost};
use crate::keys::{AUDIT_GROUP, AuditKeys};
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::operation::record::Record;
use crate::redis::greeting::Identity;
use crate::redis::link::{self, Link, within};
use crate::redis::options::Options;
use crate::redis::refusal::{Refusal, error_line, without_script};
use crate::redis::script::Script;

/// How long a consumer without claims must be silent before it is removed from the group.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// How long a read may wait for records where nobody can end it early.
const UNENDED: Duration = Duration::from_millis(500);

/// The time limit of a reply, in addition to the time for which the command blocks.
const ANSWER: Duration = Duration::from_secs(5);

static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/settle.lua")));
static DELAY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/delay.lua")));
static BURY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/bury.lua")));
static TIDY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/tidy.lua")));

/// A reply of Redis, or why the connection can no longer be used.
type Reply<T> = Result<T, link::Lost>;

/// The claims of a worker in Redis: as a consumer of the stream's group.
pub struct RedisClaims {
    options: Options,
    link: Link,
    stream: Arc<Stream>,
    consumer: String,
    /// Whether this connection created the consumer group.
    created_group: bool,
    /// What this connection is known by, if another connection may end its waiting by that.
    wakes_by: Option<Identity>,
}

impl RedisClaims {
    /// Connects, and creates the consumer group if it is missing. The group starts at entry 0, so
    /// that it also reads records from before its creation.
    pub(crate) async fn open(
        options: &Options,
        stream: Arc<Stream>,
        consumer: String,
    ) -> Answer<Self> {
        let mut link = Link::open(options).await?;
        let wakes_by = match link.identity.clone() {
            Some(identity) => {
                within(ANSWER, options, link.unblock(&identity)).await?.then_some(identity)
            }
            None => None,
        };
        let (options, created_group) = (options.clone(), false);
        let mut claims = Self { options, link, stream, consumer, created_group, wakes_by };
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(&claims.keys().stream).arg(AUDIT_GROUP).arg(0).arg("MKSTREAM");
        match claims.ask(&create, Duration::ZERO).await {
            // A Redis whose memory is full answers OOM even if the group exists. The worker goes on:
            // it frees memory.
            Err(lost) if !["BUSYGROUP", "OOM"].iter().any(|code| lost.reason.starts_with(code)) => {
                Err(lost.into())
            }
            answer => {
                claims.created_group = answer.is_ok();
                Ok(claims)
            }
        }
    }

    fn keys(&self) -> &AuditKeys {
        &self.stream.keys
    }

    fn read_group(&self, count: usize) -> Cmd {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(AUDIT_GROUP).arg(&self.consumer).arg("COUNT").arg(count);
        command
    }

    async fn tried_before(&mut self, entries: Vec<(String, Record)>) -> Reply<Batch> {
        let mut batch = Batch::default();
        if entries.is_empty() {
            return Ok(batch);
        }
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys().tries);
        for (place, _) in &entries {
            command.arg(place);
        }
        let Value::Array(tries) = self.ask(&command, Duration::ZERO).await? else {
            return Err(self.lost("HMGET was answered with no list"));
        };
        for ((place, record), tries) in entries.into_iter().zip(tries) {
            let tries = text(tries).and_then(|tries| tries.parse::<u32>().ok()).unwrap_or(0);
            batch.push(place, record, tries.saturating_add(1));
        }
        Ok(batch)
    }

    /// Claims records again, all with one command.
    async fn claim(&mut self, entry_ids: &[&str], idle: Option<Duration>) -> Reply<()> {
        if entry_ids.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("XCLAIM");
        command.arg(&self.keys().stream).arg(AUDIT_GROUP).arg(&self.consumer).arg(0).arg(entry_ids);
        if let Some(idle) = idle {
            command.arg("IDLE").arg(idle.as_millis() as u64);
        }
        command.arg("JUSTID");
        self.ask(&command, Duration::ZERO).await.map(drop)
    }

    async fn setting(&mut self, name: &str) -> Option<String> {
        let command = redis::cmd("CONFIG").arg("GET").arg(name).to_owned();
        match self.ask(&command, Duration::ZERO).await {
            Ok(Value::Map(pairs)) => pairs.into_iter().next().and_then(|(_, value)| text(value)),
            // In RESP2.
            Ok(Value::Array(words)) => words.into_iter().nth(1).and_then(text),
            _ => None,
        }
    }

    async fn run(
        &mut self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Reply<Value> {
        let mut with_source = false;
        loop {
            let mut command = script.command(with_source, keys);
            arguments(&mut command);
            match self.ask(&command, Duration::ZERO).await {
                Err(lost)
                    if Refusal::of(&lost.reason) == Refusal::UnknownScript && !with_source =>
                {
                    with_source = true;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a command. An error reply ends the connection, too: the worker reconnects and resumes.
    async fn ask(&mut self, command: &Cmd, blocks: Duration) -> Reply<Value> {
        let server = self.link.server.clone();
        let answer = tokio::select! {
            biased;
            reason = self.options.moved(&server) => return Err(self.lost(reason)),
            answer = within(blocks + ANSWER, &self.options, self.link.ask(command)) => answer?,
        };
        match answer {
            Value::ServerError(error) => Err(self.lost(without_script(error_line(&error)))),
            value => Ok(value),
        }
    }

    fn lost(&self, reason: impl Into<String>) -> link::Lost {
        link::Lost::new(self.link.server.clone(), reason)
    }
}

impl Claims for RedisClaims {
    fn is_first(&self) -> bool {
        self.created_group
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        let mut command = self.read_group(count);
        // A worker that closes must not wait for long.
        let wait = wait.map(|wait| if self.wakes_by.is_some() { wait } else { wait.min(UNENDED) });
        if let Some(wait) = wait {
            command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        command.arg("STREAMS").arg(&self.keys().stream).arg(">");
        let entries = read_streams(self.ask(&command, wait.unwrap_or_default()).await?);
        let mut batch = Batch::default();
        for (place, record) in entries {
            batch.push(place, record, 1);
        }
        Ok(batch)
    }

    fn waking(&self) -> impl Future<Output = ()> + Send + use<> {
        let (options, waiting) = (self.options.clone(), self.wakes_by.clone());
        async move {
            let Some(waiting) = waiting else { return };
            if let Ok(mut link) = Link::open(&options).await {
                let _ = link.unblock(&waiting).await;
            }
        }
    }

    async fn own(&mut self, count: usize, after: &str) -> Answer<Batch> {
        let mut command = self.read_group(count);
        command.arg("STREAMS").arg(&self.keys().stream).arg(after);
        let entries = read_streams(self.ask(&command, Duration::ZERO).await?);
        Ok(self.tried_before(entries).await?)
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        let (mut entries, mut vanished) = (Vec::new(), 0);
        let mut cursor = String::from("0-0");
        loop {
            let mut command = redis::cmd("XAUTOCLAIM");
            command.arg(&self.keys().stream).arg(AUDIT_GROUP).arg(&self.consumer);
            command.arg(ABANDONED.as_millis() as u64).arg(&cursor);
            command.arg("COUNT").arg(count - entries.len());
            let Value::Array(parts) = self.ask(&command, Duration::ZERO).await? else { break };
            let mut parts = parts.into_iter();
            cursor = parts.next().and_then(text).unwrap_or_default();
            entries.extend(parts.next().map(read_entries).unwrap_or_default());
            if let Some(Value::Array(gone)) = parts.next() {
                vanished += gone.len();
            }
            if cursor == "0-0" || cursor.is_empty() || entries.len() >= count {
                break;
            }
        }
        Ok((self.tried_before(entries).await?, vanished))
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        let keys = self.keys().clone();
        let keys = [&*keys.stream, &keys.delayed, &keys.tries, &keys.completed];
        let left = self.run(&SETTLE, &keys, |command| {
            command.arg(AUDIT_GROUP).arg(entry_ids);
        });
        Ok(int(&left.await?))
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        let keys = self.keys().clone();
        let keys = [&*keys.stream, &keys.delayed, &keys.tries];
        let tries = self.run(&DELAY, &keys, |command| {
            command.arg(delay.as_millis() as u64);
            command.arg(if counted { "counted" } else { "" }).arg(entry_ids);
        });
        Ok(match tries.await? {
            Value::Array(tries) => {
                tries.iter().map(|tries| u32::try_from(int(tries)).unwrap_or(u32::MAX)).collect()
            }
            _ => Vec::new(),
        })
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        let Burial { entry_id, record_id, attempts, error, sqlstate } = burial;
        let keys = self.keys().clone();
        let keys = [&*keys.stream, &keys.delayed, &keys.tries, &keys.dead, &keys.index];
        let buried = self.run(&BURY, &keys, |command| {
            command.arg(AUDIT_GROUP).arg(entry_id).arg(record_id).arg(error);
            command.arg(sqlstate.unwrap_or_default()).arg(attempts);
        });
        Ok(int(&buried.await?) == 1)
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        Ok(self.claim(entry_ids, None).await?)
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        Ok(self.claim(entry_ids, Some(ABANDONED)).await?)
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        let command = redis::cmd("SET").arg(&self.keys().database).arg(name).arg("GET").to_owned();
        match self.ask(&command, Duration::ZERO).await {
            Ok(noted) => Ok(text(noted)),
            // The note is only a warning: the worker goes on where the user may not write it, or
            // the memory is full.
            Err(link::Lost { reason, .. })
                if ["NOPERM", "OOM", "WRONGTYPE"].iter().any(|code| reason.starts_with(code)) =>
            {
                Ok(None)
            }
            Err(lost) => Err(lost.into()),
        }
    }

    async fn tidy(&mut self) -> Answer<()> {
        let stream = self.keys().stream.clone();
        let keys = [&*stream];
        let tidied = self.run(&TIDY, &keys, |command| {
            command.arg(AUDIT_GROUP).arg(FORGOTTEN.as_millis() as u64);
        });
        tidied.await?;
        Ok(())
    }

    async fn warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        let policy = self.setting("maxmemory-policy").await;
        if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
            warnings.push(format!(
                "Redis may evict keys (maxmemory-policy {policy}): audit records that wait can be \
                 lost; set it to noeviction"
            ));
        }
        let log = self.setting("appendonly").await;
        let snapshots = self.setting("save").await;
        if log.as_deref() == Some("no") && snapshots.as_deref() == Some("") {
            warnings.push(String::from(
                "Redis persists nothing (appendonly no, save \"\"): audit records that wait are \
                 lost when it ends",
            ));
        }
        warnings
    }
}

/// Reads the entries of the one stream in a reply to `XREADGROUP`; none after a time-out. In RESP2
/// the reply is a list of pairs.
fn read_streams(value: Value) -> Vec<(String, Record)> {
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

impl From<link::Lost> for Lost {
    fn from(lost: link::Lost) -> Self {
        // UNBLOCKED: the stream was deleted while a read of it waited.
        let vanished = ["NOGROUP", "UNBLOCKED"].iter().any(|code| lost.reason.starts_with(code));
        Self { reason: lost.to_string(), vanished }
    }
}
