//! The claims of a worker on the records of one server.
//!
//! They have a connection of their own and send one command at a time, because reads block.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::super::entries::{int, text};
use super::commands::{self, Abandoned};
use crate::engine::claims::{ABANDONED, Answer, Burial, Claims};
use crate::keys::AuditKeys;
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::operation::record::Record;
use crate::redis::greeting::Identity;
use crate::redis::link::{self, Link, within};
use crate::redis::options::Options;
use crate::redis::refusal::{Refusal, error_line, without_script};

/// How long a read may wait for records where nobody can end it early.
const UNENDED: Duration = Duration::from_millis(500);

/// The time limit of a reply, in addition to the time for which the command blocks.
const ANSWER: Duration = Duration::from_secs(5);

/// A reply of Redis, or why the connection can no longer be used.
type Reply<T> = Result<T, link::Lost>;

/// The claims of a worker: as a consumer of the stream's group.
pub struct OneClaims {
    options: Options,
    link: Link,
    stream: Arc<Stream>,
    consumer: String,
    /// Whether this connection created the consumer group.
    created_group: bool,
    /// What this connection is known by, if another connection may end its waiting by that.
    wakes_by: Option<Identity>,
}

impl OneClaims {
    /// Connects, and creates the consumer group if it is missing.
    pub(super) async fn open(
        options: &Options,
        stream: Arc<Stream>,
        consumer: String,
    ) -> Reply<Self> {
        let mut link = Link::open(options).await?;
        let wakes_by = match link.identity.clone() {
            Some(identity) => {
                within(ANSWER, options, link.unblock(&identity)).await?.then_some(identity)
            }
            None => None,
        };
        let (options, created_group) = (options.clone(), false);
        let mut claims = Self { options, link, stream, consumer, created_group, wakes_by };
        let create = commands::create_group(claims.keys());
        match claims.ask(&create, Duration::ZERO).await {
            // A Redis whose memory is full answers OOM even if the group exists. The worker goes on:
            // it frees memory.
            Err(lost) if !["BUSYGROUP", "OOM"].iter().any(|code| lost.reason.starts_with(code)) => {
                Err(lost)
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

    async fn tried_before(&mut self, entries: Vec<(String, Record)>) -> Reply<Batch> {
        let mut batch = Batch::default();
        if entries.is_empty() {
            return Ok(batch);
        }
        let command = commands::tries(self.keys(), &entries);
        let Value::Array(tries) = self.ask(&command, Duration::ZERO).await? else {
            return Err(self.lost("HMGET was answered with no list"));
        };
        for ((place, record), tries) in entries.into_iter().zip(tries) {
            batch.push(place, record, commands::read_attempt(tries));
        }
        Ok(batch)
    }

    /// Claims records again, all with one command.
    async fn claim(&mut self, entry_ids: &[&str], idle: Option<Duration>) -> Reply<()> {
        if entry_ids.is_empty() {
            return Ok(());
        }
        let ids = entry_ids.iter().copied();
        let command = commands::claim(self.keys(), &self.consumer, ids, idle);
        self.ask(&command, Duration::ZERO).await.map(drop)
    }

    async fn setting(&mut self, name: &str) -> Option<String> {
        let reply = self.ask(&commands::setting(name), Duration::ZERO).await;
        reply.ok().and_then(commands::read_setting)
    }

    /// Runs a script, with its source where the server does not know it.
    async fn run(&mut self, command: impl Fn(&AuditKeys, bool) -> Cmd) -> Reply<Value> {
        let stream = self.stream.clone();
        let short = self.ask(&command(&stream.keys, false), Duration::ZERO).await;
        match short {
            Err(lost) if Refusal::of(&lost.reason) == Refusal::UnknownScript => {
                self.ask(&command(&stream.keys, true), Duration::ZERO).await
            }
            answer => answer,
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

impl Claims for OneClaims {
    fn is_first(&self) -> bool {
        self.created_group
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        // A worker that closes must not wait for long.
        let wait = wait.map(|wait| if self.wakes_by.is_some() { wait } else { wait.min(UNENDED) });
        let command = commands::read_group(self.keys(), &self.consumer, count, wait, ">");
        let reply = self.ask(&command, wait.unwrap_or_default()).await?;
        let mut batch = Batch::default();
        for (place, record) in commands::read_streams(reply) {
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
        let command = commands::read_group(self.keys(), &self.consumer, count, None, after);
        let entries = commands::read_streams(self.ask(&command, Duration::ZERO).await?);
        Ok(self.tried_before(entries).await?)
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        let (mut all, mut gone) = (Vec::new(), 0);
        let mut next = Some(String::from("0-0"));
        while let Some(from) = next.take_if(|_| all.len() < count) {
            let left = count - all.len();
            let command = commands::claim_abandoned(self.keys(), &self.consumer, &from, left);
            let reply = self.ask(&command, Duration::ZERO).await?;
            let Abandoned { entries, vanished, cursor } = commands::read_abandoned(reply);
            all.extend(entries);
            gone += vanished;
            next = cursor;
        }
        Ok((self.tried_before(all).await?, gone))
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        let left = self.run(|keys, with_source| {
            commands::settle(keys, entry_ids.iter().map(String::as_str), with_source)
        });
        Ok(int(&left.await?))
    }

    async fn is_drained(&mut self) -> Answer<bool> {
        let length = self.ask(&commands::length(self.keys()), Duration::ZERO).await?;
        Ok(int(&length) == 0)
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        let tries = self.run(|keys, with_source| {
            let ids = entry_ids.iter().map(String::as_str);
            commands::delay(keys, ids, (delay, counted), with_source)
        });
        Ok(commands::read_delayed(tries.await?))
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        let buried = self.run(|keys, with_source| commands::bury(keys, &burial, with_source));
        Ok(int(&buried.await?) == 1)
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        Ok(self.claim(entry_ids, None).await?)
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        Ok(self.claim(entry_ids, Some(ABANDONED)).await?)
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        let command = commands::note_database(self.keys(), name);
        match self.ask(&command, Duration::ZERO).await {
            Ok(noted) => Ok(text(noted)),
            Err(lost) if commands::cannot_note(&lost.reason) => Ok(None),
            Err(lost) => Err(lost.into()),
        }
    }

    async fn tidy(&mut self) -> Answer<()> {
        self.run(commands::tidy).await?;
        Ok(())
    }

    async fn warnings(&mut self) -> Vec<String> {
        let mut values = [None, None, None];
        for (name, value) in commands::SETTINGS.iter().zip(&mut values) {
            *value = self.setting(name).await;
        }
        commands::warnings(values)
    }
}
