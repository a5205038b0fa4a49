//! Which server is the master, by what the sentinels of its group report. Pure: reports and `now` go
//! in; whom to ask, whom to listen to and the master come out.
//!
//! - The report with the highest epoch counts. An old master that came back, or a sentinel that was
//!   cut off, has a lower epoch.
//! - Without a report the last known master counts: a master may outlive its sentinels.
//! - All sentinels are asked every 5 to 15 s, and whenever somebody wants a connection to the master;
//!   then at intervals that grow while nothing new comes of it. A sentinel that tells by itself of a
//!   change is asked at once. Each of these waits is random, as many clients learn of a failover at
//!   the same moment.

use tokio::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::redis::topology::endpoint::Endpoint;
use crate::redis::topology::report::Report;

#[cfg(test)]
mod simulation;

/// How long after the last time all sentinels are asked again: at least, and at most.
const REFRESH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(15)];

/// The longest random wait before a sentinel is asked about what it has told.
const SPREAD: Duration = Duration::from_millis(50);

/// The intervals between two questions to one sentinel.
const INTERVALS: Backoff =
    Backoff { floor: Duration::from_millis(100), ceiling: Duration::from_secs(1) };

/// How many sentinels are known at most, unless more are configured.
const KNOWN: usize = 16;

/// A sentinel that others have named is forgotten after so many failures in a row.
const FAILURES: u32 = 8;

/// How many different reasons `trouble` quotes.
const QUOTED: usize = 3;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Ask this sentinel; `answered` or `failed` follows.
    Ask(Endpoint),
    /// Listen to what this sentinel tells; `told` may follow, and `silent` at the end.
    Listen(Endpoint),
}

/// The sentinels of a group, and the master that they name.
pub(crate) struct Sentinels {
    known: Vec<Sentinel>,
    master: Option<Named>,
    /// When all are asked again; `None` before anybody has wanted the master.
    refresh_at: Option<Instant>,
    listening: Option<Endpoint>,
    listen_at: Instant,
    /// Attempts to listen in vain, since one of them has confirmed it.
    unheard: u32,
    random: fastrand::Rng,
}

/// The master by a report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    master: Endpoint,
    epoch: u64,
}

struct Sentinel {
    endpoint: Endpoint,
    is_configured: bool,
    is_being_asked: bool,
    /// When it was asked last.
    asked_at: Option<Instant>,
    /// When it may be asked again, unless it tells something by itself.
    rested_at: Option<Instant>,
    /// When to ask it next.
    due: Option<Instant>,
    /// How often it was asked in short succession, and nothing new came of it.
    fruitless: u32,
    failures: u32,
    /// The highest epoch that it has ever reported.
    highest: Option<u64>,
    /// What came of asking last.
    outcome: Option<Result<Named, String>>,
}

impl Sentinel {
    fn new(endpoint: Endpoint, is_configured: bool) -> Self {
        Self {
            endpoint,
            is_configured,
            is_being_asked: false,
            asked_at: None,
            rested_at: None,
            due: None,
            fruitless: 0,
            failures: 0,
            highest: None,
            outcome: None,
        }
    }

    /// To be asked at `at`, unless that is before.
    fn ask_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// The same, but not before it has rested.
    fn ask_rested_at(&mut self, at: Instant) {
        self.ask_at(self.rested_at.map_or(at, |rested| at.max(rested)));
    }

    /// The same, but not at once after the last time.
    fn ask_soon_at(&mut self, at: Instant) {
        self.ask_at(self.asked_at.map_or(at, |asked| at.max(asked + INTERVALS.floor)));
    }

    /// It is asked now.
    fn ask(&mut self, now: Instant, random: f64) {
        if self.asked_at.is_some_and(|asked| now - asked >= REFRESH[0]) {
            self.fruitless = 0;
        }
        self.is_being_asked = true;
        self.asked_at = Some(now);
        self.rested_at = Some(now + INTERVALS.delay(self.fruitless, random));
        self.due = None;
    }

    fn answers(&self) -> bool {
        matches!(self.outcome, Some(Ok(_)))
    }
}

impl Sentinels {
    /// The sentinels of the settings. None is asked before the master is `wanted`.
    pub fn new(configured: &[Endpoint], now: Instant, random: fastrand::Rng) -> Self {
        let known = configured.iter().map(|one| Sentinel::new(one.clone(), true)).collect();
        Self {
            known,
            master: None,
            refresh_at: None,
            listening: None,
            listen_at: now,
            unheard: 0,
            random,
        }
    }

    /// The master, by the sentinels' own name for it.
    pub fn master(&self) -> Option<&Endpoint> {
        self.master.as_ref().map(|named| &named.master)
    }

    /// Why nobody tells where the master is: what came of asking each sentinel. `None` while one of
    /// them answers, or may yet.
    pub fn trouble(&self) -> Option<String> {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for one in &self.known {
            let Some(Err(reason)) = &one.outcome else { return None };
            let sentinel = one.endpoint.to_string();
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, sentinels)) => sentinels.push(sentinel),
                None => reasons.push((reason, vec![sentinel])),
            }
        }
        let quoted = reasons.iter().take(QUOTED);
        let told = quoted.map(|(reason, sentinels)| format!("{}: {reason}", sentinels.join(", ")));
        Some(told.collect::<Vec<_>>().join("; "))
    }

    /// Somebody wants a connection to the master: the first, or since the last one was lost.
    pub fn wanted(&mut self, now: Instant) {
        if self.refresh_at.is_none() {
            self.refresh_at = Some(now);
            return;
        }
        let Self { known, random, .. } = self;
        for one in known {
            one.ask_rested_at(now + SPREAD.mul_f64(random.f64()));
        }
    }

    /// A sentinel says that something has changed, or has confirmed that it is listened to.
    pub fn told(&mut self, by: &Endpoint, now: Instant) {
        self.unheard = 0;
        let at = now + SPREAD.mul_f64(self.random.f64());
        if let Some(one) = self.find(by) {
            one.ask_soon_at(at);
        }
    }

    /// A sentinel is no longer listened to, as it could not be, or the connection was lost.
    pub fn silent(&mut self, now: Instant) {
        self.listening = None;
        self.listen_at = now + INTERVALS.delay(self.unheard, self.random.f64());
        self.unheard = self.unheard.saturating_add(1);
    }

    /// A sentinel has answered.
    pub fn answered(&mut self, by: &Endpoint, report: Report, now: Instant) {
        let named = Named { master: report.master, epoch: report.epoch };
        if let Some(one) = self.find(by) {
            one.is_being_asked = false;
            one.highest = one.highest.max(Some(named.epoch));
            one.failures = 0;
            one.fruitless = one.fruitless.saturating_add(1);
            one.outcome = Some(Ok(named));
        }
        for endpoint in report.sentinels {
            if self.known.len() < KNOWN && self.find(&endpoint).is_none() {
                let mut one = Sentinel::new(endpoint, false);
                // It may have been asked a moment ago, and forgotten.
                one.asked_at = Some(now);
                one.rested_at = Some(now + INTERVALS.floor + SPREAD.mul_f64(self.random.f64()));
                one.ask_rested_at(now);
                self.known.push(one);
            }
        }
        self.choose();
    }

    /// A sentinel could not be asked, or its answer is of no use.
    pub fn failed(&mut self, by: &Endpoint, reason: String, now: Instant) {
        let is_unknown = self.master.is_none();
        let Some(one) = self.find(by) else { return };
        one.is_being_asked = false;
        one.failures = one.failures.saturating_add(1);
        one.fruitless = one.fruitless.saturating_add(1);
        one.outcome = Some(Err(reason));
        if is_unknown {
            one.ask_rested_at(now);
        }
        if self.known.iter().any(Sentinel::answers) {
            self.known.retain(|one| one.is_configured || one.failures < FAILURES);
        }
    }

    /// What is to be done now. To be called until there is nothing.
    pub fn poll(&mut self, now: Instant) -> Option<Order> {
        if self.refresh_at.is_some_and(|at| at <= now) {
            let [least, most] = REFRESH;
            self.refresh_at = Some(now + least + (most - least).mul_f64(self.random.f64()));
            for one in &mut self.known {
                one.ask_soon_at(now);
            }
        }
        let is_due =
            |one: &&mut Sentinel| !one.is_being_asked && one.due.is_some_and(|due| due <= now);
        if let Some(one) = self.known.iter_mut().find(is_due) {
            one.ask(now, self.random.f64());
            return Some(Order::Ask(one.endpoint.clone()));
        }
        if self.may_listen() && self.listen_at <= now {
            let answering: Vec<_> = self.known.iter().filter(|one| one.answers()).collect();
            let chosen = self.random.choice(answering)?.endpoint.clone();
            self.listening = Some(chosen.clone());
            return Some(Order::Listen(chosen));
        }
        None
    }

    /// When to `poll` again, if nothing happens before.
    pub fn timeout(&self) -> Option<Instant> {
        let dues = self.known.iter().filter(|one| !one.is_being_asked).filter_map(|one| one.due);
        let listen_at = self.may_listen().then_some(self.listen_at);
        dues.chain(self.refresh_at).chain(listen_at).min()
    }

    fn may_listen(&self) -> bool {
        self.listening.is_none() && self.known.iter().any(Sentinel::answers)
    }

    fn find(&mut self, endpoint: &Endpoint) -> Option<&mut Sentinel> {
        self.known.iter_mut().find(|one| one.endpoint == *endpoint)
    }

    /// Follows the report with the highest epoch.
    fn choose(&mut self) {
        let reports = self.known.iter().filter_map(|one| one.outcome.as_ref()?.as_ref().ok());
        let Some(latest) = reports.max_by_key(|named| named.epoch) else { return };
        let is_newer = match &self.master {
            None => true,
            Some(master) => latest.epoch > master.epoch || self.is_forgotten(master),
        };
        if !is_newer {
            return;
        }
        let has_moved = self.master() != Some(&latest.master);
        self.master = Some(latest.clone());
        if has_moved {
            for one in &mut self.known {
                one.fruitless = 0;
            }
        }
    }

    /// Whether somebody has set the sentinels up anew, so that their epochs began again: one that has
    /// reported this master names another, and so do all that are configured or have ever answered.
    fn is_forgotten(&self, master: &Named) -> bool {
        let names_another = |one: &&Sentinel| matches!(&one.outcome, Some(Ok(named)) if named.master != master.master);
        let counts = |one: &&Sentinel| one.is_configured || one.highest.is_some();
        let mut counting = self.known.iter().filter(counts);
        counting.all(|one| names_another(&one))
            && self.known.iter().any(|one| one.highest >= Some(master.epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Endpoint {
        Endpoint { host: "h".into(), port }
    }

    fn report(port: u16, epoch: u64) -> Report {
        Report { master: at(port), epoch, sentinels: Vec::new() }
    }

    /// The client of sentinels 1 to 3, which all have named a master.
    fn following(port: u16, epoch: u64) -> Sentinels {
        let now = Instant::now();
        let configured = [at(1), at(2), at(3)];
        let mut sentinels = Sentinels::new(&configured, now, fastrand::Rng::with_seed(7));
        for sentinel in &configured {
            sentinels.answered(sentinel, report(port, epoch), now);
        }
        sentinels
    }

    #[test]
    fn a_master_that_stays_away_is_asked_about_ever_more_seldom() {
        let mut sentinels = following(6, 1);
        let (start, mut asked) = (Instant::now(), 0);
        sentinels.wanted(start);
        for step in 0..2000 {
            let now = start + Duration::from_millis(10) * step;
            sentinels.wanted(now);
            while let Some(order) = sentinels.poll(now) {
                if let Order::Ask(sentinel) = order {
                    sentinels.answered(&sentinel, report(6, 1), now);
                    asked += u32::from(sentinel == at(1));
                }
            }
        }
        assert!((20..70).contains(&asked), "{asked} times in 20 s");
    }

    #[test]
    fn sentinels_that_were_set_up_anew_are_followed_once_all_agree() {
        let (mut sentinels, now) = (following(6, 9), Instant::now());
        for (number, followed) in [(1, 6), (2, 6), (3, 7)] {
            sentinels.answered(&at(number), report(7, 0), now);
            assert_eq!(sentinels.master(), Some(&at(followed)));
        }
    }

    #[test]
    fn the_last_master_counts_while_no_sentinel_answers() {
        let (mut sentinels, now) = (following(6, 1), Instant::now());
        assert_eq!(sentinels.trouble(), None);
        for number in 1..=3 {
            sentinels.failed(&at(number), "connection refused".into(), now);
        }
        assert_eq!(sentinels.master(), Some(&at(6)));
        let trouble = sentinels.trouble().expect("trouble");
        assert_eq!(trouble, "h:1, h:2, h:3: connection refused");
    }
}
