//! The claims of a worker on the records of a cluster, which has a stream in each partition.
//!
//! The workers of a queue share the partitions. Nobody can wait for streams of several slots: a worker asks its
//! partitions for new records one after the other, those of a node in one go, and pauses longer the longer there
//! are none.
//!
//! A partition whose records cannot be settled now (its node is away, its slot moves) holds up no other: it
//! rests, and its records are left to whoever takes them over.

use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::super::context::Context;
use super::super::entries::{int, text};
use super::super::part::Learn;
use super::commands::{self, Abandoned};
use super::entries::{Group, by_partition, entry_id, split};
use super::leases::{ALIVE, Change, Leases, TICK, Table};
use super::nodes::{self, Nodes, Reply};
use super::table;
use super::turns::{Turn, Turns};
use crate::engine::claims::{ABANDONED, Answer, Burial, Claims};
use crate::operation::batch::Batch;
use crate::operation::names::Stream;
use crate::operation::record::Record;
use crate::redis::command::Asked;
use crate::redis::connection::Connection;
use crate::redis::link::Lost;
use crate::redis::options::Options;
use crate::redis::topology::slot::Slot;

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
    grouped: BTreeSet<usize>,
    turns: Turns,
    pause: Duration,
    /// The partition that had records when all were counted last.
    filled: usize,
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
        let [pause, _] = PAUSES;
        let mut claims = Self {
            nodes: Nodes::new(options.clone(), connection.clone()),
            context,
            consumer,
            leases: Leases::new(count, fastrand::Rng::new()),
            announced: None,
            grouped: BTreeSet::new(),
            turns: Turns::default(),
            pause,
            filled: 0,
            vanished: None,
            waking: Arc::default(),
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
        self.create_groups().await
    }

    async fn ask_table(&mut self, alive: Duration, changes: &[Change]) -> Result<Table, Lost> {
        let (home, consumer) = ([self.home()], &self.consumer);
        let keys = &self.context.stream.keys;
        let asked = self.nodes.run(&home, |_, with_source| {
            table::announce(keys, consumer, (alive, changes), with_source)
        });
        asked.await.pop().map_or_else(|| Ok(Table::default()), |reply| reply.map(table::read))
    }

    /// Announces the worker if it is time. A table that cannot be reached leaves everything as it is.
    async fn announce_in_time(&mut self) -> Result<(), Lost> {
        if self.announced.is_some_and(|at| at.elapsed() < TICK) {
            return Ok(());
        }
        match self.announce().await {
            Err(lost) if nodes::is_passing(&lost) => {
                self.announced = Some(Instant::now()); // Tried.
                Ok(())
            }
            announced => announced,
        }
    }

    /// Creates the groups that are missing in the partitions that are read. `Err`: this user may not.
    async fn create_groups(&mut self) -> Result<(), Lost> {
        let reads = self.leases.reads().iter().copied();
        let missing: Vec<usize> = reads.filter(|one| !self.grouped.contains(one)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let create = |number: usize| commands::create_group(self.context.keys(number));
        let create: Vec<_> =
            missing.iter().map(|number| (self.slot(*number), create(*number))).collect();
        for (number, reply) in missing.into_iter().zip(self.nodes.ask(&create).await) {
            // A server whose memory is full answers OOM even if the group exists.
            let is_there =
                |lost: &Lost| ["BUSYGROUP", "OOM"].iter().any(|code| lost.reason.starts_with(code));
            match reply {
                Err(lost) if is_there(&lost) => {}
                Err(lost) if nodes::is_passing(&lost) => continue,
                created => drop(created?),
            }
            self.grouped.insert(number);
        }
        Ok(())
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
        let reads = self.leases.reads() & &self.grouped;
        let mut look = self.turns.look(&reads, Instant::now());
        let (mut has_answer, mut failure) = (false, None);
        while let Some(Turn { numbers, each }) = self.turns.next(&mut look, count - batch.len()) {
            for (number, entries) in numbers.iter().zip(self.read(&numbers, each, ">").await) {
                match entries {
                    Ok(entries) => {
                        has_answer = true;
                        if entries.len() == each {
                            self.turns.is_rich(*number);
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
        let is_over = |lost: &Lost| {
            !has_answer && (nodes::is_refusal(&lost.reason) || !self.nodes.is_connected())
        };
        let failure = self.vanished.take().or(failure.filter(is_over));
        failure.map_or(Ok(batch), |lost| Err(lost.into()))
    }

    /// Claims records again. Where a node cannot be reached, others may take them over.
    async fn claim(&mut self, entry_ids: &[&str], idle: Option<Duration>) {
        let claim = |group: &Group<'_>| {
            let keys = self.context.keys(group.number);
            let command = commands::claim(keys, &self.consumer, group.ids(), idle);
            (self.slot(group.number), command)
        };
        let claims: Vec<_> = by_partition(entry_ids.iter().copied()).iter().map(claim).collect();
        if !claims.is_empty() {
            self.nodes.ask(&claims).await;
        }
    }

    /// Notes how often the entries were tried before. Where the node does not tell, it is as if they were not:
    /// they are in hand, and what counts is counted in Redis.
    async fn tried_before(
        &mut self,
        number: usize,
        entries: Vec<(String, Record)>,
        batch: &mut Batch,
    ) {
        if entries.is_empty() {
            return;
        }
        let command = (self.slot(number), commands::tries(self.context.keys(number), &entries));
        let tries = match self.nodes.ask(&[command]).await.pop() {
            Some(Ok(Value::Array(tries))) => tries,
            _ => Vec::new(),
        };
        let tries = tries.into_iter().chain(std::iter::repeat(Value::Nil));
        for ((id, record), tries) in entries.into_iter().zip(tries) {
            batch.push(entry_id(number, &id), record, commands::read_attempt(tries));
        }
    }

    /// The partitions among these where `consumer`, or anybody, has claims that are so old.
    async fn with_claims(
        &mut self,
        numbers: Vec<usize>,
        consumer: Option<String>,
        idle: Duration,
    ) -> Vec<usize> {
        let pending = |number: &usize| {
            let keys = self.context.keys(*number);
            (self.slot(*number), commands::oldest_claim(keys, consumer.as_deref(), idle))
        };
        let pending: Vec<_> = numbers.iter().map(pending).collect();
        let replies = self.nodes.ask(&pending).await;
        let has_some = |reply: Reply| matches!(reply, Ok(Value::Array(some)) if !some.is_empty());
        let found = numbers.into_iter().zip(replies);
        found.filter_map(|(number, reply)| has_some(reply).then_some(number)).collect()
    }

    /// How many records these streams hold; at least one where a node does not tell.
    async fn lengths(&mut self, numbers: impl IntoIterator<Item = usize>) -> Vec<u64> {
        let length = |number| (self.slot(number), commands::length(self.context.keys(number)));
        let lengths: Vec<_> = numbers.into_iter().map(length).collect();
        let replies = self.nodes.ask(&lengths).await;
        replies.iter().map(|reply| reply.as_ref().map_or(1, int)).collect()
    }

    /// Runs a script in the partitions of these entries. `None`: it cannot be done there now. Such a partition
    /// rests, until its entries count as abandoned.
    async fn insist(
        &mut self,
        groups: &[Group<'_>],
        command: impl Fn(&Context, &Group<'_>, bool) -> Cmd,
    ) -> Answer<Vec<Option<Value>>> {
        let slots: Vec<Slot> = groups.iter().map(|group| self.slot(group.number)).collect();
        let context = self.context.clone();
        let replies = self.nodes.insist(&slots, |n, with_source| match groups.get(n) {
            Some(group) => command(&context, group, with_source),
            None => redis::cmd("PING"),
        });
        let mut done = Vec::with_capacity(groups.len());
        for (group, reply) in groups.iter().zip(replies.await) {
            match reply {
                Err(lost) if nodes::is_passing(&lost) => {
                    self.turns.rest(group.number, Instant::now() + ABANDONED);
                    done.push(None);
                }
                reply => done.push(Some(reply?)),
            }
        }
        Ok(done)
    }
}

impl Claims for ClusterClaims {
    fn is_first(&self) -> bool {
        // A partition is given to one worker after the other: that a group is new says nothing.
        false
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        self.announce_in_time().await?;
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
                self.tried_before(number, entries, &mut batch).await;
            }
            next = number + 1;
        }
        if batch.is_empty() {
            let (rest, me) = ((next..self.partitions()).collect(), self.consumer.clone());
            for number in self.with_claims(rest, Some(me), Duration::ZERO).await {
                // Where the node cannot be reached now, they are taken over later.
                if let Some(Ok(entries)) = self.read(&[number], count, "0").await.pop() {
                    self.tried_before(number, entries, &mut batch).await;
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
                self.tried_before(number, entries, &mut batch).await;
                gone += vanished;
                next = cursor;
            }
        }
        Ok((batch, gone))
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        let groups = by_partition(entry_ids.iter().map(String::as_str));
        let left = self.insist(&groups, |context, group, with_source| {
            commands::settle(context.keys(group.number), group.ids(), with_source)
        });
        // Where it cannot be done now, there is one at least.
        Ok(left.await?.iter().map(|left| left.as_ref().map_or(1, int)).sum())
    }

    async fn is_drained(&mut self) -> Answer<bool> {
        // One that has records says enough: mostly the one that had some before.
        if self.lengths([self.filled]).await.iter().any(|length| *length > 0) {
            return Ok(false);
        }
        let lengths = self.lengths(0..self.partitions()).await;
        let filled = lengths.iter().position(|length| *length > 0);
        self.filled = filled.unwrap_or_default();
        Ok(filled.is_none())
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        let groups = by_partition(entry_ids.iter().map(String::as_str));
        let delayed = self.insist(&groups, |context, group, with_source| {
            let keys = context.keys(group.number);
            commands::delay(keys, group.ids(), (delay, counted), with_source)
        });
        let mut tries = vec![0; entry_ids.len()];
        for (group, reply) in groups.iter().zip(delayed.await?) {
            let counted = reply.map(commands::read_delayed).unwrap_or_default();
            for ((place, _), counted) in group.entries.iter().zip(counted) {
                if let Some(tries) = tries.get_mut(*place) {
                    *tries = counted;
                }
            }
        }
        Ok(tries)
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        let groups = by_partition([burial.entry_id]);
        let buried = self.insist(&groups, |context, group, with_source| {
            let entry_id = group.ids().next().unwrap_or_default();
            let burial = Burial { entry_id, ..burial };
            commands::bury(context.keys(group.number), &burial, with_source)
        });
        Ok(buried.await?.iter().flatten().any(|buried| int(buried) == 1))
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
