//! The claims of a worker on the records of a cluster, which has a stream in each partition.
//!
//! The workers of a queue share the partitions ([`super::leases`]). Nobody can wait for streams of several
//! slots: a worker asks its partitions for new records one after the other, those of a node in one go,
//! and pauses longer the longer there are none. An entry is known by its partition and its id:
//! `17:1700000000000-0`.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::super::context::Context;
use super::super::entries::{int, text};
use super::super::part::Learn;
use super::commands::{self, Abandoned};
use super::leases::{ALIVE, Change, Leases, TICK, Table};
use super::nodes::{Nodes, Reply};
use crate::engine::claims::{ABANDONED, Answer, Burial, Claims};
use crate::keys::AUDIT_GROUP;
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::operation::record::Record;
use crate::redis::command::Asked;
use crate::redis::connection::Connection;
use crate::redis::link::Lost;
use crate::redis::options::Options;
use crate::redis::script::Script;
use crate::redis::topology::slot::Slot;

static LEASES: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/leases.lua")));

/// The pauses between two looks at all partitions: the first after records have come, and the longest. It
/// bounds how late a record is seen that comes after a while without any.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(60)];

/// The code of the refusal to read a stream that has vanished, and its group with it.
const NO_GROUP: &str = "NOGROUP";

/// The claims of a worker: as a consumer of the groups of all streams.
pub struct ClusterClaims {
    nodes: Nodes,
    context: Arc<Context>,
    consumer: String,
    leases: Leases,
    /// When the worker was announced last.
    announced: Option<Instant>,
    /// The partitions whose groups are known to be there.
    grouped: HashSet<usize>,
    /// The partitions that may have more records than were read.
    rich: VecDeque<usize>,
    /// The partition that was looked at last.
    looked: usize,
    pause: Duration,
    /// That a stream has vanished is told when what was claimed is stored.
    vanished: Option<Lost>,
    /// Ends a pause.
    waking: Arc<Notify>,
}

impl ClusterClaims {
    /// Learns the map of the cluster, and announces the worker.
    pub(super) async fn open(
        options: &Options,
        connection: &Connection,
        stream: Arc<Stream>,
        consumer: String,
    ) -> Answer<Self> {
        let context = Arc::new(Context::new(connection.layout().clone(), stream));
        let (told, learnt) = oneshot::channel();
        let deadline = Instant::now() + options.connect_timeout + options.stall_timeout;
        connection.direct().submit(Asked::new(&context, Learn, deadline, move |learnt| {
            let _ = told.send(learnt);
        }));
        let lost = |reason: String| Lost::new(options.to_string(), reason);
        match learnt.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(lost(error.to_string()).into()),
            Err(_) => return Err(lost(String::from("the client was closed")).into()),
        }
        let count = context
            .partitions()
            .map(|all| all.len())
            .ok_or_else(|| lost(String::from("it was a part of a cluster, and is no more")))?;
        let leases = Leases::new(count, fastrand::Rng::new());
        let nodes = Nodes::new(options.clone(), connection.clone());
        let [pause, _] = PAUSES;
        let (grouped, rich, waking) = (HashSet::new(), VecDeque::new(), Arc::default());
        let (announced, looked, vanished) = (None, 0, None);
        let mut claims = Self {
            nodes,
            context,
            consumer,
            leases,
            announced,
            grouped,
            rich,
            looked,
            pause,
            vanished,
            waking,
        };
        claims.announce().await?;
        Ok(claims)
    }

    /// The slot of a partition.
    fn slot(&self, number: usize) -> Slot {
        let partition = self.context.partitions().and_then(|all| all.get(number));
        partition.map_or_else(|| self.home(), |partition| partition.slot)
    }

    /// The slot of what there is once for all partitions.
    fn home(&self) -> Slot {
        Slot::of(self.context.stream.keys.database.as_bytes())
    }

    fn partitions(&self) -> usize {
        self.context.count().unwrap_or_default()
    }

    /// Announces the worker, and takes or gives up partitions.
    async fn announce(&mut self) -> Result<(), Lost> {
        for _ in 0..2 {
            let changes = self.leases.changes();
            let table = self.ask_table(ALIVE, &changes).await?;
            self.leases.heard(table);
            if self.leases.changes().is_empty() {
                break;
            }
        }
        self.leases.ticked();
        self.announced = Some(Instant::now());
        self.create_groups().await;
        Ok(())
    }

    async fn ask_table(&mut self, alive: Duration, changes: &[Change]) -> Result<Table, Lost> {
        let (home, consumer) = ([self.home()], &self.consumer);
        let keys = &self.context.stream.keys;
        let reply = self.nodes.run(&home, |_, with_source| {
            let mut command = LEASES.command(with_source, &[&keys.workers, &keys.leases]);
            command.arg(consumer).arg(alive.as_millis() as u64);
            for change in changes {
                command.arg(match change {
                    Change::Take(one) => format!("+{one}"),
                    Change::Give(one) => format!("-{one}"),
                });
            }
            command
        });
        let numbers = |list: Value| -> BTreeSet<usize> {
            let Value::Array(numbers) = list else { return BTreeSet::new() };
            numbers.iter().filter_map(|one| usize::try_from(int(one)).ok()).collect()
        };
        match reply.await.pop() {
            Some(Ok(Value::Array(parts))) => match <[Value; 3]>::try_from(parts) {
                Ok([workers, mine, others]) => Ok(Table {
                    workers: usize::try_from(int(&workers)).unwrap_or_default(),
                    mine: numbers(mine),
                    others: numbers(others),
                }),
                Err(_) => Ok(Table::default()),
            },
            Some(Err(lost)) => Err(lost),
            _ => Ok(Table::default()),
        }
    }

    /// Announces the worker if it is time. A table that cannot be reached leaves everything as it is.
    async fn announce_in_time(&mut self) {
        if self.announced.is_none_or(|at| at.elapsed() >= TICK) && self.announce().await.is_err() {
            self.announced = Some(Instant::now()); // Tried.
        }
    }

    /// Creates the groups that are missing in the partitions that are read.
    async fn create_groups(&mut self) {
        let reads = self.leases.reads().iter().copied();
        let missing: Vec<usize> = reads.filter(|one| !self.grouped.contains(one)).collect();
        if missing.is_empty() {
            return;
        }
        let create = |number: usize| commands::create_group(self.context.keys(number));
        let create: Vec<_> =
            missing.iter().map(|number| (self.slot(*number), create(*number))).collect();
        for (number, reply) in missing.into_iter().zip(self.nodes.ask(&create).await) {
            // A server whose memory is full answers OOM even if the group exists.
            let is_there =
                |lost: &Lost| ["BUSYGROUP", "OOM"].iter().any(|code| lost.reason.starts_with(code));
            if reply.as_ref().err().is_none_or(is_there) {
                self.grouped.insert(number);
            }
        }
    }

    /// Reads up to `count` entries of each of these partitions after an entry id.
    async fn read(
        &mut self,
        numbers: &[usize],
        count: usize,
        after: &str,
    ) -> Vec<Result<Vec<(String, Record)>, Lost>> {
        let read = |number: &usize| {
            let keys = self.context.keys(*number);
            let command = commands::read_group(keys, &self.consumer, count, None, after);
            (self.slot(*number), command)
        };
        let read: Vec<_> = numbers.iter().map(read).collect();
        let replies = self.nodes.ask(&read).await;
        replies.into_iter().map(|reply| reply.map(commands::read_streams)).collect()
    }

    /// Looks at all partitions that this worker reads, until `count` new records are claimed.
    async fn look(&mut self, count: usize) -> Answer<Batch> {
        let mut batch = Batch::default();
        let reads: Vec<usize> = self.leases.reads().iter().copied().collect();
        let reads: Vec<usize> =
            reads.into_iter().filter(|number| self.grouped.contains(number)).collect();
        // From where the last look ended.
        let first = reads.partition_point(|number| *number <= self.looked);
        let mut left: VecDeque<usize> =
            reads.iter().skip(first).chain(reads.iter().take(first)).copied().collect();
        let (mut has_answer, mut failure) = (false, None);
        while batch.len() < count {
            let room = count - batch.len();
            // One record of each of many, or many of one: never more than there is room for.
            let (numbers, each) = match self.rich.pop_front() {
                Some(rich) if reads.contains(&rich) => (vec![rich], room),
                Some(_) => continue,
                None => (left.drain(..room.min(left.len())).collect(), 1),
            };
            if numbers.is_empty() {
                break;
            }
            if each == 1 {
                self.looked = numbers.last().copied().unwrap_or_default();
            }
            for (number, entries) in numbers.iter().zip(self.read(&numbers, each, ">").await) {
                match entries {
                    Ok(entries) => {
                        has_answer = true;
                        if entries.len() == each {
                            self.rich.push_back(*number);
                        }
                        for (id, record) in entries {
                            batch.push(entry_id(*number, &id), record, 1);
                        }
                    }
                    Err(lost) if lost.reason.starts_with(NO_GROUP) => {
                        self.grouped.remove(number);
                        self.vanished = Some(lost);
                    }
                    Err(lost) => failure = failure.or(Some(lost)),
                }
            }
        }
        if !batch.is_empty() {
            return Ok(batch);
        }
        // As long as one node answers, it is worked with.
        let failure = self.vanished.take().or(failure.filter(|_| !has_answer));
        failure.map_or(Ok(batch), |lost| Err(lost.into()))
    }

    /// Groups entries by their partitions, each with its place in the list.
    fn by_partition<'a>(
        &self,
        entry_ids: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<usize, Vec<(usize, &'a str)>> {
        let mut groups: BTreeMap<usize, Vec<(usize, &str)>> = BTreeMap::new();
        for (place, entry_id) in entry_ids.into_iter().enumerate() {
            if let Some((number, id)) = split(entry_id) {
                groups.entry(number).or_default().push((place, id));
            }
        }
        groups
    }

    /// Claims records again. Where a node cannot be reached, others may take them over.
    async fn claim(&mut self, entry_ids: &[&str], idle: Option<Duration>) {
        let groups = self.by_partition(entry_ids.iter().copied());
        let claim = |(number, ids): (usize, Vec<(usize, &str)>)| {
            let ids = ids.into_iter().map(|(_, id)| id);
            let command = commands::claim(self.context.keys(number), &self.consumer, ids, idle);
            (self.slot(number), command)
        };
        let claims: Vec<_> = groups.into_iter().map(claim).collect();
        if !claims.is_empty() {
            self.nodes.ask(&claims).await;
        }
    }

    async fn tried_before(
        &mut self,
        number: usize,
        entries: Vec<(String, Record)>,
        batch: &mut Batch,
    ) -> Answer<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let command = (self.slot(number), commands::tries(self.context.keys(number), &entries));
        let tries = match self.nodes.ask(&[command]).await.pop() {
            Some(Ok(Value::Array(tries))) => tries,
            Some(Err(lost)) => return Err(lost.into()),
            _ => Vec::new(),
        };
        let tries = tries.into_iter().chain(std::iter::repeat(Value::Nil));
        for ((id, record), tries) in entries.into_iter().zip(tries) {
            batch.push(entry_id(number, &id), record, commands::read_attempt(tries));
        }
        Ok(())
    }

    /// The partitions among these where `consumer`, or anybody, has claims that are so old.
    async fn with_claims(
        &mut self,
        numbers: Vec<usize>,
        consumer: Option<String>,
        idle: Duration,
    ) -> Vec<usize> {
        let pending = |number: &usize| {
            let mut command = redis::cmd("XPENDING");
            command.arg(&self.context.keys(*number).stream).arg(AUDIT_GROUP);
            if !idle.is_zero() {
                command.arg("IDLE").arg(idle.as_millis() as u64);
            }
            command.arg("-").arg("+").arg(1).arg(consumer.as_deref());
            (self.slot(*number), command)
        };
        let pending: Vec<_> = numbers.iter().map(pending).collect();
        let replies = self.nodes.ask(&pending).await;
        let has_some = |reply: Reply| matches!(reply, Ok(Value::Array(some)) if !some.is_empty());
        let found = numbers.into_iter().zip(replies);
        found.filter_map(|(number, reply)| has_some(reply).then_some(number)).collect()
    }

    /// How many records all streams hold; at least one where a node does not tell.
    async fn remaining(&mut self) -> u64 {
        let length = |number| {
            let command = redis::cmd("XLEN").arg(&self.context.keys(number).stream).to_owned();
            (self.slot(number), command)
        };
        let lengths: Vec<_> = (0..self.partitions()).map(length).collect();
        let replies = self.nodes.ask(&lengths).await;
        replies.iter().map(|reply| reply.as_ref().map_or(1, int)).sum()
    }

    /// Runs a script in some partitions, until each has done it.
    async fn insist<T>(
        &mut self,
        groups: &[(usize, T)],
        command: impl Fn(&Context, &(usize, T), bool) -> redis::Cmd,
    ) -> Answer<Vec<Value>> {
        let slots: Vec<Slot> = groups.iter().map(|(number, _)| self.slot(*number)).collect();
        let context = self.context.clone();
        let done = self.nodes.insist(&slots, |n, with_source| match groups.get(n) {
            Some(group) => command(&context, group, with_source),
            None => redis::cmd("PING"),
        });
        Ok(done.await?)
    }
}

impl Claims for ClusterClaims {
    fn is_first(&self) -> bool {
        // A partition is given to one worker after the other: that a group is new says nothing.
        false
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        self.announce_in_time().await;
        let began = Instant::now();
        loop {
            let batch = self.look(count).await?;
            let [shortest, longest] = PAUSES;
            if !batch.is_empty() {
                self.pause = shortest;
                return Ok(batch);
            }
            let Some(left) = wait.and_then(|wait| wait.checked_sub(began.elapsed())) else {
                return Ok(batch);
            };
            let pause = self.pause.min(left);
            self.pause = (2 * self.pause).min(longest);
            tokio::select! {
                () = self.waking.notified() => return Ok(batch),
                () = sleep(pause) => {}
            }
        }
    }

    fn waking(&self) -> impl Future<Output = ()> + Send + use<> {
        let waking = self.waking.clone();
        async move { waking.notify_one() }
    }

    async fn own(&mut self, count: usize, after: &str) -> Answer<Batch> {
        let mut batch = Batch::default();
        let mut next = 0;
        if let Some((number, id)) = split(after) {
            if let Some(Ok(entries)) = self.read(&[number], count, id).await.pop() {
                self.tried_before(number, entries, &mut batch).await?;
            }
            next = number + 1;
        }
        if batch.is_empty() {
            let (rest, me) = ((next..self.partitions()).collect(), self.consumer.clone());
            for number in self.with_claims(rest, Some(me), Duration::ZERO).await {
                // Where the node cannot be reached now, they are taken over later.
                if let Some(Ok(entries)) = self.read(&[number], count, "0").await.pop() {
                    self.tried_before(number, entries, &mut batch).await?;
                }
                if !batch.is_empty() {
                    break;
                }
            }
        }
        Ok(batch)
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        let (mut batch, mut gone) = (Batch::default(), 0);
        let reads = self.leases.reads().iter().copied().collect();
        for number in self.with_claims(reads, None, ABANDONED).await {
            let mut next = Some(String::from("0-0"));
            while let Some(from) = next.take_if(|_| batch.len() < count) {
                let (keys, left) = (self.context.keys(number), count - batch.len());
                let command = commands::claim_abandoned(keys, &self.consumer, &from, left);
                let Some(Ok(reply)) = self.nodes.ask(&[(self.slot(number), command)]).await.pop()
                else {
                    break;
                };
                let Abandoned { entries, vanished, cursor } = commands::read_abandoned(reply);
                self.tried_before(number, entries, &mut batch).await?;
                gone += vanished;
                next = cursor;
            }
        }
        Ok((batch, gone))
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        let groups = self.by_partition(entry_ids.iter().map(String::as_str));
        let groups: Vec<_> = groups.into_iter().collect();
        let left = self.insist(&groups, |context, (number, ids), with_source| {
            commands::settle(context.keys(*number), ids.iter().map(|(_, id)| *id), with_source)
        });
        let left = left.await?.iter().map(int).sum();
        // Those of other partitions count only where these have none.
        Ok(if left > 0 { left } else { self.remaining().await })
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        let groups = self.by_partition(entry_ids.iter().map(String::as_str));
        let groups: Vec<_> = groups.into_iter().collect();
        let delayed = self.insist(&groups, |context, (number, ids), with_source| {
            let ids = ids.iter().map(|(_, id)| *id);
            commands::delay(context.keys(*number), ids, (delay, counted), with_source)
        });
        let mut tries = vec![0; entry_ids.len()];
        for ((_, ids), reply) in groups.iter().zip(delayed.await?) {
            for ((place, _), counted) in ids.iter().zip(commands::read_delayed(reply)) {
                if let Some(tries) = tries.get_mut(*place) {
                    *tries = counted;
                }
            }
        }
        Ok(tries)
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        let Some((number, entry_id)) = split(burial.entry_id) else { return Ok(false) };
        let burial = Burial { entry_id, ..burial };
        let one = [(number, burial)];
        let buried = self.insist(&one, |context, (number, burial), with_source| {
            commands::bury(context.keys(*number), burial, with_source)
        });
        Ok(buried.await?.first().is_some_and(|buried| int(buried) == 1))
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        self.claim(entry_ids, None).await;
        Ok(())
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        self.claim(entry_ids, Some(ABANDONED)).await;
        // Otherwise others wait until it counts as dead.
        let _ = self.ask_table(Duration::ZERO, &[]).await;
        Ok(())
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        let command = commands::note_database(&self.context.stream.keys, name);
        let noted = self.nodes.ask(&[(self.home(), command)]).await.pop();
        // It is only a warning: it can wait for a node that cannot be reached now.
        Ok(noted.and_then(Result::ok).and_then(text))
    }

    async fn tidy(&mut self) -> Answer<()> {
        let reads: Vec<usize> = self.leases.reads().iter().copied().collect();
        let slots: Vec<Slot> = reads.iter().map(|number| self.slot(*number)).collect();
        let context = self.context.clone();
        let tidied = self.nodes.run(&slots, |n, with_source| {
            commands::tidy(context.keys(reads.get(n).copied().unwrap_or_default()), with_source)
        });
        tidied.await; // Where it fails, it is done the next time.
        Ok(())
    }

    async fn warnings(&mut self) -> Vec<String> {
        let slots: Vec<Slot> = (0..self.partitions()).map(|number| self.slot(number)).collect();
        let (mut seen, mut warnings) = (HashSet::new(), BTreeSet::new());
        for (slot, owner) in slots.iter().zip(self.nodes.owners(slots.iter().copied())) {
            if owner.is_none_or(|owner| !seen.insert(owner)) {
                continue;
            }
            let ask = commands::SETTINGS.map(|name| (*slot, commands::setting(name)));
            let mut replies = self.nodes.ask(&ask).await.into_iter();
            let values = [(); 3].map(|()| commands::read_setting(replies.next()?.ok()?));
            warnings.extend(commands::warnings(values));
        }
        warnings.into_iter().collect()
    }
}

/// What an entry is known by.
fn entry_id(number: usize, id: &str) -> String {
    format!("{number}:{id}")
}

/// The partition and the id of an entry.
fn split(entry_id: &str) -> Option<(usize, &str)> {
    let (number, id) = entry_id.split_once(':')?;
    Some((number.parse().ok()?, id))
}
