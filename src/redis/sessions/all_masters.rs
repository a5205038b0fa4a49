//! What the masters of a cluster publish about sessions, as one stream. Each master has a task of its own; a
//! partition's messages come from the master that has its slot.
//!
//! A partition is heard once its master has confirmed that. What happens to it while it is not, is missed: when
//! its master's connection is lost, when its slot moves, when a failover makes another node the master. Whoever
//! reads the stream catches up on the partitions that were missed and are heard again; others go on meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::one_master::{Ears, Failed, Master, MasterId, Names, Order, Told};
use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::{Event, Gap, Interest, Listening, Stored};
use crate::error::{self, Error};
use crate::keys::Keys;
use crate::redis::connection::Connection;
use crate::redis::greeting::Expected;
use crate::redis::layout::Spread;
use crate::redis::options::Options;
use crate::redis::ping::connect;
use crate::redis::topology::endpoint::Endpoint;

/// How much the masters may tell that was not looked at yet.
const UNHEARD: usize = 64;

/// The subscription to all masters.
pub(super) struct AllMasters {
    options: Options,
    /// Knows who has which partition.
    connection: Connection,
    keys: Keys,
    status: StatusSink,
    interest: Interest,
    /// Of the interest.
    number: u64,
    map_changes: watch::Receiver<()>,
    /// What becomes of the first connection, from which the map comes. `None`: that was told.
    connecting: Option<oneshot::Receiver<error::Result<()>>>,
    /// Whether the masters are not yet those of the map.
    is_stale: bool,
    /// Once it is known how many partitions there are.
    names: Option<Arc<Names>>,
    parts: Vec<Part>,
    masters: Vec<Followed>,
    next_id: MasterId,
    /// Where masters tell, and what they have told.
    ears: Ears,
    told: mpsc::Receiver<(MasterId, Told)>,
    /// Whether all were told to be confirmed, and none was lost since.
    is_whole: bool,
    /// The partitions that are being caught up on.
    telling: BTreeSet<usize>,
    /// When masters are asked again for partitions that they did not have.
    retry_at: Option<Instant>,
    retries: u32,
}

/// A partition.
#[derive(Default)]
struct Part {
    owner: Option<Endpoint>,
    is_heard: bool,
    /// When it was lost after which nobody has caught up.
    lost_at: Option<Instant>,
}

impl Part {
    /// Whether it was heard before.
    fn lose(&mut self) -> bool {
        if self.is_heard {
            self.lost_at.get_or_insert_with(Instant::now);
        }
        std::mem::take(&mut self.is_heard)
    }
}

/// A master, and the task that listens to it.
struct Followed {
    id: MasterId,
    endpoint: Endpoint,
    parts: BTreeSet<usize>,
    /// What it was ordered last, and what it has confirmed.
    ordered: u64,
    confirmed: Option<u64>,
    orders: mpsc::UnboundedSender<Order>,
    /// Its task, which ends with it.
    _task: JoinSet<()>,
}

impl AllMasters {
    pub fn new(options: Options, connection: Connection, keys: Keys, status: StatusSink) -> Self {
        let (ears, told) = mpsc::channel(UNHEARD);
        Self {
            map_changes: connection.map_changes(),
            options,
            connection,
            keys,
            status,
            interest: Interest::default(),
            number: 0,
            connecting: None,
            is_stale: true,
            names: None,
            parts: Vec::new(),
            masters: Vec::new(),
            next_id: 0,
            ears,
            told,
            is_whole: false,
            telling: BTreeSet::new(),
            retry_at: None,
            retries: 0,
        }
    }

    /// The next event. Cancel-safe. Without an interest nothing happens.
    pub async fn next(&mut self) -> Event {
        if self.interest == Interest::default() {
            return std::future::pending().await;
        }
        loop {
            if std::mem::take(&mut self.is_stale)
                && let Some(lost) = self.follow_map()
            {
                return lost;
            }
            if let Some(confirmed) = self.confirmed() {
                return confirmed;
            }
            let retry_at = self.retry_at;
            let event = tokio::select! {
                biased;
                // The sender is held by the connection, which is held here.
                _ = self.map_changes.changed() => {
                    self.is_stale = true;
                    None
                }
                Some((master, told)) = self.told.recv() => self.heard(master, told),
                reason = failure(&mut self.connecting), if self.connecting.is_some() => {
                    self.connecting = None;
                    reason.map(|reason| self.lost(reason))
                }
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    self.retry();
                    None
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    pub fn listen_to(&mut self, interest: Interest) -> Listening {
        let before = std::mem::replace(&mut self.interest, interest);
        self.number += 1;
        if interest == Interest::default() {
            // What is missed from now on is no gap.
            self.leave();
            self.parts.clear();
            (self.status)(Status::Idle);
            return Listening::Confirmed;
        }
        if before == Interest::default() {
            (self.status)(Status::Connecting);
            self.connecting = Some(connect(&self.connection, self.options.stall_timeout));
        }
        (self.is_stale, self.is_whole) = (true, false);
        Listening::Later
    }

    /// The number of a session's partition.
    pub fn part(&self, session_id: &str) -> usize {
        match self.connection.layout().get() {
            Some(Spread::Partitions(partitions)) => partitions.of(session_id),
            _ => 0,
        }
    }

    /// Reads sessions of one partition.
    pub async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        let part = session_ids.first().map_or(0, |id| self.part(id));
        let Failed(reason) = match self.ask(part, session_ids, marker).await {
            Ok(stored) => return Ok(stored),
            Err(failed) => failed,
        };
        self.lose([part]);
        self.connection.map_is_old();
        self.retry_later();
        Err(Event::Lost { reason })
    }

    async fn ask(
        &self,
        part: usize,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Failed> {
        let nobody = || Failed(format!("{}: nobody has the partition {part}", self.options));
        let names = self.names.as_ref().ok_or_else(nobody)?;
        let keys = session_ids.iter().filter_map(|id| names.key(part, id)).collect();
        let master = self.masters.iter().find(|master| master.parts.contains(&part));
        let (answer, stored) = oneshot::channel();
        let asked = master.map(|master| master.orders.send(Order::Reread { keys, marker, answer }));
        if !matches!(asked, Some(Ok(()))) {
            return Err(nobody());
        }
        stored.await.map_err(|_| nobody())?
    }

    /// The partitions that were told to be missed are caught up on.
    pub fn caught_up(&mut self) {
        for part in std::mem::take(&mut self.telling) {
            if let Some(part) = self.parts.get_mut(part) {
                part.lost_at = None;
            }
        }
    }

    /// Gives all connections up. `None` where nothing is listened to.
    pub fn give_up(&mut self, reason: String) -> Option<Event> {
        if self.interest == Interest::default() {
            return None;
        }
        self.leave();
        Some(self.lost(reason))
    }

    /// Leaves all masters, and what they have told.
    fn leave(&mut self) {
        self.masters.clear();
        self.connecting = None;
        (self.ears, self.told) = mpsc::channel(UNHEARD);
        self.lose(0..self.parts.len());
        (self.is_stale, self.retry_at) = (true, None);
    }

    fn lost(&mut self, reason: String) -> Event {
        (self.status)(Status::Reconnecting { reason: reason.clone() });
        Event::Lost { reason }
    }

    /// Whether one of these partitions was heard.
    fn lose(&mut self, parts: impl IntoIterator<Item = usize>) -> bool {
        let mut has_lost = false;
        for part in parts {
            has_lost |= self.parts.get_mut(part).is_some_and(Part::lose);
            self.telling.remove(&part);
        }
        self.is_whole &= !has_lost;
        has_lost
    }

    /// Listens to whom the map says that it has partitions. Returns what was lost over that.
    fn follow_map(&mut self) -> Option<Event> {
        let layout = self.connection.layout().clone();
        let partitions = match layout.get() {
            Some(Spread::Partitions(partitions)) => partitions,
            Some(Spread::Refused(error)) => {
                return Some(self.lost(format!("{}: {error}", self.options)));
            }
            _ => return None,
        };
        let keys = &self.keys;
        let names =
            self.names.get_or_insert_with(|| Arc::new(Names::new(keys, partitions))).clone();
        self.parts.resize_with(partitions.len(), Part::default);
        let owners = self.connection.partition_owners();
        let mut moved = Vec::new();
        for (number, (part, owner)) in self.parts.iter_mut().zip(&owners).enumerate() {
            if part.owner != *owner {
                part.owner.clone_from(owner);
                moved.push(number);
            }
        }
        let has_lost = self.lose(moved);
        self.masters
            .retain(|master| owners.iter().flatten().any(|owner| *owner == master.endpoint));
        let endpoints: Vec<Endpoint> = owners.iter().flatten().cloned().collect();
        for endpoint in endpoints {
            if !self.masters.iter().any(|master| master.endpoint == endpoint) {
                self.follow(endpoint, names.clone());
            }
        }
        for master in &mut self.masters {
            let is_its =
                |(_, owner): &(usize, &Option<Endpoint>)| owner.as_ref() == Some(&master.endpoint);
            let parts = owners.iter().enumerate().filter(is_its).map(|(part, _)| part).collect();
            if master.parts != parts || master.ordered != self.number {
                master.parts = parts;
                master.order(self.interest, self.number);
            }
        }
        if owners.contains(&None) {
            let reason = format!("{}: no master has some of the slots", self.options);
            return Some(self.lost(reason));
        }
        has_lost.then(|| {
            let reason = format!("{}: sessions have moved to another master", self.options);
            Event::Lost { reason }
        })
    }

    fn follow(&mut self, endpoint: Endpoint, names: Arc<Names>) {
        let id = self.next_id;
        self.next_id += 1;
        let options = self.options.of_node(endpoint.clone(), Expected::Master);
        let (orders, taken) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(Master::new(id, options, names, taken).run(self.ears.clone()));
        let parts = BTreeSet::new();
        let (ordered, confirmed, _task) = (0, None, task);
        self.masters.push(Followed { id, endpoint, parts, ordered, confirmed, orders, _task });
    }

    /// What a master tells, of which nothing counts about partitions that it does not have.
    fn heard(&mut self, id: MasterId, told: Told) -> Option<Event> {
        let master = self.masters.iter_mut().find(|master| master.id == id)?;
        match told {
            Told::Confirmed { number, parts } => {
                master.confirmed = Some(number);
                let (has_all, heard) = (master.parts.is_subset(&parts), &master.parts & &parts);
                for part in heard {
                    if let Some(part) = self.parts.get_mut(part) {
                        part.is_heard = true;
                    }
                }
                if !has_all {
                    self.retry_later();
                }
                None
            }
            Told::Published { part, event } => {
                let is_heard = self.parts.get(part).is_some_and(|part| part.is_heard);
                (is_heard && master.parts.contains(&part)).then_some(event)
            }
            Told::Marker(marker) => Some(Event::Marker(marker)),
            Told::Moved { part } => {
                let is_lost = master.parts.contains(&part) && self.lose([part]);
                self.connection.map_is_old();
                self.retry_later();
                is_lost.then(|| {
                    let reason = format!("{}: sessions move to another master", self.options);
                    Event::Lost { reason }
                })
            }
            Told::Lost { reason } => {
                master.confirmed = None;
                let parts = master.parts.clone();
                self.lose(parts);
                self.is_whole = false;
                self.connection.map_is_old();
                Some(self.lost(reason))
            }
        }
    }

    /// What is confirmed and was not told.
    fn confirmed(&mut self) -> Option<Event> {
        let missed = self.parts.iter().enumerate().filter(|(_, part)| part.is_heard);
        let missed: Vec<(usize, Instant)> =
            missed.filter_map(|(number, part)| Some((number, part.lost_at?))).collect();
        let number = self.number;
        let is_all = !self.parts.is_empty()
            && self.parts.iter().all(|part| part.is_heard)
            && self.masters.iter().all(|master| master.confirmed == Some(number));
        if missed.is_empty() && (!is_all || self.is_whole) {
            return None;
        }
        let lost_at = missed.iter().map(|(_, lost_at)| *lost_at).min();
        self.telling = missed.into_iter().map(|(part, _)| part).collect();
        if is_all {
            (self.is_whole, self.retry_at, self.retries) = (true, None, 0);
            (self.status)(Status::Ready);
        }
        let parts = Some(self.telling.clone());
        let gap = lost_at.map(|lost_at| Gap { lasted: lost_at.elapsed(), parts });
        Some(Event::Confirmed { gap, is_all })
    }

    fn retry_later(&mut self) {
        if self.retry_at.is_none() {
            let delay = self.options.backoff.delay(self.retries, fastrand::f64());
            self.retry_at = Some(Instant::now() + delay);
            self.retries = self.retries.saturating_add(1);
        }
    }

    /// Asks the masters again for what they did not have.
    fn retry(&mut self) {
        self.retry_at = None;
        self.connection.map_is_old();
        for master in &mut self.masters {
            let is_missed = |part: &usize| self.parts.get(*part).is_some_and(|part| !part.is_heard);
            if master.confirmed.is_some() && master.parts.iter().any(is_missed) {
                master.order(self.interest, self.number);
            }
        }
    }
}

/// Why there is no connection, if there is none in time.
async fn failure(connecting: &mut Option<oneshot::Receiver<error::Result<()>>>) -> Option<String> {
    match connecting.as_mut()?.await {
        Ok(Err(Error::Unavailable { reason })) => Some(reason),
        _ => None,
    }
}

impl Followed {
    fn order(&mut self, interest: Interest, number: u64) {
        self.ordered = number;
        let parts = self.parts.clone();
        // A task that has ended is noticed by whoever asks it for something.
        let _ = self.orders.send(Order::Listen { parts, interest, number });
    }
}

#[cfg(test)]
mod tests;
