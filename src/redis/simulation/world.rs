//! One history: the client, the network and the server, and everything that happens to them.

use std::collections::{BTreeMap, HashMap};

use tokio::time::{Duration, Instant};

use super::request::{Asked, Kind};
use super::server::{Mode, Reply, Rights, Server, WORDS};
use crate::operation::replicas::Replicas;
use crate::redis::dispatcher::{Dispatcher, Fence};
use crate::redis::greeting::{Identity, Question};
use crate::redis::pending::Settled;
use crate::redis::resp::decoder::{Decoder, Frame};
use crate::redis::role::Role;

/// What happens at a time.
enum Event {
    Call(Box<Asked>),
    /// Bytes, and where in the connection's stream they begin.
    ToServer(i64, usize, Vec<u8>),
    /// Bytes, and the requests whose replies end in them.
    ToClient(i64, Vec<u8>, Vec<i64>),
    /// The client learns that a connection has ended.
    Ended(i64),
    Connect,
    Writable(i64),
    Timer,
    Server(Mode),
    ForgetScripts,
    Restart,
    /// Another server takes over, and the connections to the old one stay.
    Demote,
    /// The replica gets what is written, or nothing more.
    Replica(bool),
    Cut,
}

/// The client's connection.
struct Connection {
    id: i64,
    decoder: Decoder,
    is_blocked: bool,
    /// What was given to the socket, which has not taken it; and how much it has taken.
    outlet: Vec<u8>,
    taken: usize,
    /// What has arrived and was not read, and the requests whose replies end in it.
    inlet: (Vec<u8>, Vec<i64>),
    /// What it sends is lost from now on.
    drops_sent: bool,
    /// What it is sent is lost from now on.
    drops_received: bool,
    /// When the last bytes that are on their way arrive: none overtake others.
    arrives_at_server: Instant,
    arrives_at_client: Instant,
}

pub struct World {
    random: fastrand::Rng,
    pub begun: Instant,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    last_event: u64,
    last_connection: i64,
    connection: Option<Connection>,
    dispatcher: Dispatcher,
    pub server: Server,
    pub asked: Vec<Asked>,
    /// When each request was settled, and how many of its tries had a reply by then.
    pub settled: HashMap<i64, (Instant, u32)>,
    /// How many tries of each request were begun, and how many replies were received.
    pub tries: HashMap<i64, u32>,
    replies: HashMap<i64, u32>,
    story: Vec<String>,
    timer: Option<Instant>,
    failures: u32,
}

const HORIZON_MS: u64 = 6000;

impl World {
    /// Lives through the history of a seed.
    pub fn run(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let now = Instant::now();
        let dispatcher = Dispatcher::new(
            String::from("sim:6379"),
            Duration::from_secs(2),
            fastrand::Rng::with_seed(seed),
        );
        let mut may = |of_ten| random.u8(0..10) < of_ten;
        let rights = Rights { fence: may(9), hello: may(6), role: may(9), wait: may(9) };
        let server = Server::new(rights);
        let mut world = Self {
            random,
            begun: now,
            now,
            events: BTreeMap::new(),
            last_event: 0,
            last_connection: 0,
            connection: None,
            dispatcher,
            server,
            asked: Vec::new(),
            settled: HashMap::new(),
            tries: HashMap::new(),
            replies: HashMap::new(),
            story: Vec::new(),
            timer: None,
            failures: 0,
        };
        world.plan();
        world.after(Duration::ZERO, Event::Connect);
        while let Some(((at, _), event)) = world.events.pop_first() {
            world.now = at;
            world.happen(event);
        }
        world
    }

    /// What has happened, for whoever looks for a fault.
    pub fn story(&self) -> String {
        self.story.join("\n")
    }

    fn plan(&mut self) {
        let sessions = self.random.u64(1..=3);
        let count = self.random.i64(1..=30);
        let window = self.random.u64(1..=HORIZON_MS);
        let mut times: Vec<u64> = (0..count).map(|_| self.random.u64(0..window)).collect();
        times.sort_unstable();
        for (id, at) in (1..=count).zip(times) {
            let kind = match self.random.u8(0..11) {
                0..=2 => Kind::Read,
                3..=5 => Kind::Write,
                6 => Kind::Locked { expected: self.random.i64(0..4) },
                7..=8 => Kind::Message,
                9 => Kind::Transaction,
                _ => Kind::Opaque,
            };
            let called = self.now + Duration::from_millis(at);
            let deadline = called + Duration::from_millis(self.random.u64(50..5000));
            let session = self.random.u64(1..=sessions);
            let is_write = matches!(kind, Kind::Write | Kind::Locked { .. });
            let timeout = Duration::from_millis(self.random.u64(1..4000));
            let waits = is_write && self.random.bool();
            let replicas = waits.then_some(Replicas { count: 1, timeout });
            let outcomes = Default::default();
            let asked = Asked { id, kind, session, deadline, called, replicas, outcomes };
            self.asked.push(asked.clone());
            self.at(called, Event::Call(Box::new(asked)));
        }
        for _ in 0..self.random.u8(0..6) {
            let at = Duration::from_millis(self.random.u64(0..window + 500));
            let event = match self.random.u8(0..12) {
                0..=3 => Event::Cut,
                4 => Event::ForgetScripts,
                5 => Event::Restart,
                6..=7 => Event::Demote,
                8 => {
                    let until = at + Duration::from_millis(self.random.u64(1..4000));
                    self.after(until, Event::Replica(true));
                    Event::Replica(false)
                }
                _ => {
                    let mode = self.mode();
                    let until = at + Duration::from_millis(self.random.u64(1..4000));
                    self.after(until, Event::Server(Mode::Well));
                    Event::Server(mode)
                }
            };
            self.after(at, event);
        }
    }

    fn mode(&mut self) -> Mode {
        match self.random.u8(0..9) {
            0 => Mode::RefusesChanges("READONLY"),
            1 => Mode::RefusesChanges("NOREPLICAS"),
            2 => Mode::RefusesChanges("MISCONF"),
            3 => Mode::RefusesAll("BUSY"),
            4 => Mode::RefusesAll("LOADING"),
            5 => Mode::RefusesAll("TRYAGAIN"),
            6 => Mode::Paused,
            _ => Mode::Down,
        }
    }

    fn happen(&mut self, event: Event) {
        let worked = match event {
            Event::Call(asked) => {
                self.tell(format!("call {} {:?} of {}", asked.id, asked.kind, asked.session));
                self.dispatcher.submit(asked);
                Ok(())
            }
            Event::ToServer(connection, at, bytes) => {
                self.arrive_at_server(connection, at, bytes);
                Ok(())
            }
            Event::ToClient(connection, bytes, ids) => {
                self.arrive_at_client(connection, &bytes, &ids)
            }
            Event::Ended(connection) => {
                if self.connection.as_ref().is_some_and(|one| one.id == connection) {
                    Err(String::from("the connection was lost"))
                } else {
                    Ok(())
                }
            }
            Event::Connect => {
                self.connect();
                Ok(())
            }
            Event::Writable(connection) => {
                if let Some(one) = self.connection.as_mut().filter(|one| one.id == connection) {
                    one.is_blocked = false;
                }
                Ok(())
            }
            Event::Timer => {
                self.take_back();
                self.dispatcher.expire(0, self.now)
            }
            Event::Server(mode) => {
                self.tell(format!("the server: {mode:?}"));
                self.server.mode = mode;
                if mode == Mode::Down { self.end_connection() } else { Ok(()) }
            }
            Event::ForgetScripts => {
                self.server.knows_scripts = false;
                Ok(())
            }
            Event::Restart => {
                self.tell(String::from("the server restarts"));
                self.server.restart();
                self.end_connection()
            }
            Event::Demote => {
                self.tell(String::from("the server becomes a replica"));
                self.server.demote(self.now);
                Ok(())
            }
            Event::Replica(is_well) => {
                self.tell(format!("the replica gets what is written: {is_well}"));
                self.server.is_replica_well = is_well;
                Ok(())
            }
            Event::Cut => self.cut(),
        };
        self.follow(worked);
    }

    /// What the shell does after each event: writes, tells outcomes, and ends a bad connection.
    fn follow(&mut self, worked: Result<(), String>) {
        self.write();
        for settled in self.dispatcher.take_settled() {
            Settled::tell(settled);
        }
        for asked in &self.asked {
            if !self.settled.contains_key(&asked.id) && !asked.outcomes().is_empty() {
                let replies = self.replies.get(&asked.id).copied().unwrap_or(0);
                self.settled.insert(asked.id, (self.now, replies));
                let at = self.now - self.begun;
                self.story.push(format!("{at:?}: told {} {:?}", asked.id, asked.outcomes()));
            }
        }
        let unfit = self.dispatcher.unfit(0).map(str::to_owned);
        if let Some(reason) = worked.err().or(unfit)
            && self.connection.is_some()
        {
            self.take_back();
            self.connection = None;
            self.tell(format!("lost: {reason}"));
            self.dispatcher.lost(0, reason, self.now);
            self.reconnect();
            return self.follow(Ok(()));
        }
        if let Some(at) = self.dispatcher.timeout(0)
            && self.timer.is_none_or(|timer| timer > at || timer <= self.now)
        {
            self.timer = Some(at);
            self.at(at.max(self.now), Event::Timer);
        }
    }

    /// The dispatcher has back what the socket has not taken.
    fn take_back(&mut self) {
        if let Some(connection) = &mut self.connection {
            self.dispatcher.return_unsent(0, &std::mem::take(&mut connection.outlet));
        }
    }

    fn reconnect(&mut self) {
        self.failures += 1;
        let delay = Duration::from_millis(self.random.u64(1..200));
        self.after(delay, Event::Connect);
    }

    fn connect(&mut self) {
        let is_over = self.now > self.begun + Duration::from_secs(30);
        if self.server.mode == Mode::Down || self.random.u8(..) < 20 || is_over {
            self.dispatcher.lost(0, String::from("connection refused"), self.now);
            if !is_over {
                self.reconnect();
            }
            return;
        }
        let fenced = match self.dispatcher.fence(0) {
            Fence::NotNeeded => true,
            Fence::Needed(None) => false,
            Fence::Needed(Some(old)) => {
                // The attempt may end before the old connection does, or after.
                let (fails_before, fails_after) =
                    (self.random.u8(..) < 15, self.random.u8(..) < 15);
                if self.server.rights.fence && !fails_before {
                    self.server.kill(old.id);
                }
                if fails_before || fails_after {
                    self.dispatcher.lost(0, String::from("timed out"), self.now);
                    return self.reconnect();
                }
                self.server.rights.fence
            }
        };
        self.last_connection += 1;
        let id = self.last_connection;
        self.server.open(id);
        self.connection = Some(Connection {
            id,
            decoder: Decoder::default(),
            is_blocked: false,
            outlet: Vec::new(),
            taken: 0,
            inlet: (Vec::new(), Vec::new()),
            drops_sent: false,
            drops_received: false,
            arrives_at_server: self.now,
            arrives_at_client: self.now,
        });
        self.tell(format!("connection {id}, fenced: {fenced}"));
        let may_ask = self.server.rights.fence || self.random.bool();
        let identity = may_ask.then(|| Identity { id, name: id.to_string() });
        let role = Role::greeted(self.now, Some(Question::Hello));
        self.dispatcher.connected(0, identity, fenced, role, self.now);
    }

    /// The socket takes all, or a part and is full for a while.
    fn write(&mut self) {
        loop {
            self.dispatcher.pump(self.now);
            let Some(connection) = self.connection.as_mut().filter(|one| !one.is_blocked) else {
                return;
            };
            if connection.outlet.is_empty() {
                self.dispatcher.take_unsent(0, &mut connection.outlet);
            }
            if connection.outlet.is_empty() {
                return;
            }
            let length = connection.outlet.len();
            let is_full = self.random.u8(..) < 30;
            let taken = if is_full { self.random.usize(0..length) } else { length };
            for id in begun(&connection.outlet, taken) {
                *self.tries.entry(id).or_default() += 1;
            }
            let bytes: Vec<u8> = connection.outlet.drain(..taken).collect();
            let (id, drops, place) = (connection.id, connection.drops_sent, connection.taken);
            connection.taken += taken;
            connection.is_blocked = is_full;
            let delay = Duration::from_micros(self.random.u64(10..60_000));
            let arrives = (self.now + delay).max(connection.arrives_at_server);
            connection.arrives_at_server = arrives;
            if !drops {
                self.at(arrives, Event::ToServer(id, place, bytes));
            }
            if is_full {
                let delay = Duration::from_micros(self.random.u64(10..100_000));
                self.after(delay, Event::Writable(id));
            }
        }
    }

    fn arrive_at_server(&mut self, connection: i64, place: usize, bytes: Vec<u8>) {
        if matches!(self.server.mode, Mode::Paused) {
            // It is read when the server goes on, in the order in which it came.
            let resumes = self
                .events
                .iter()
                .find_map(|((at, _), event)| matches!(event, Event::Server(_)).then_some(*at));
            let at = resumes.unwrap_or(self.now) + Duration::from_nanos(1);
            return self.at(at, Event::ToServer(connection, place, bytes));
        }
        for Reply { id, bytes: reply, after } in self.server.receive(connection, &bytes) {
            self.tell(format!(
                "server, by {connection}: {id} -> {:?} after {after:?}",
                String::from_utf8_lossy(&reply)
            ));
            let Some(one) = self.connection.as_mut().filter(|one| one.id == connection) else {
                continue;
            };
            if one.drops_received {
                continue;
            }
            let mut arrives = one.arrives_at_client.max(self.now + after);
            let mut parts = Vec::new();
            let mut rest = reply.as_slice();
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(self.random.usize(1..=rest.len()));
                rest = behind;
                let delay = Duration::from_micros(self.random.u64(10..30_000));
                arrives = arrives.max(self.now + delay);
                let ids = if rest.is_empty() { vec![id] } else { Vec::new() };
                parts.push((arrives, part.to_vec(), ids));
            }
            one.arrives_at_client = arrives;
            for (arrives, part, ids) in parts {
                self.at(arrives, Event::ToClient(connection, part, ids));
            }
        }
    }

    fn arrive_at_client(
        &mut self,
        connection: i64,
        bytes: &[u8],
        ids: &[i64],
    ) -> Result<(), String> {
        let current = self.connection.as_mut();
        let Some(one) = current.filter(|one| one.id == connection && !one.drops_received) else {
            return Ok(());
        };
        one.inlet.0.extend_from_slice(bytes);
        one.inlet.1.extend_from_slice(ids);
        // It may be read together with what comes next.
        if !bytes.is_empty() && self.random.u8(..) < 60 {
            let at = self.now + Duration::from_micros(self.random.u64(0..20_000));
            self.at(at, Event::ToClient(connection, Vec::new(), Vec::new()));
            return Ok(());
        }
        let (bytes, ids) = std::mem::take(&mut one.inlet);
        for id in ids {
            *self.replies.entry(id).or_default() += 1;
        }
        one.decoder.buffer().extend_from_slice(&bytes);
        self.dispatcher.received(0, self.now);
        while let Some(frame) = one.decoder.next().map_err(|error| error.to_string())? {
            let Frame::Reply(value, size) = frame else { continue };
            self.dispatcher.replied(0, value, size, self.now)?;
        }
        Ok(())
    }

    /// Cuts the connection: what is on its way arrives or does not, at either end, and the client
    /// learns of it or does not.
    fn cut(&mut self) -> Result<(), String> {
        let Some(one) = &mut self.connection else { return Ok(()) };
        let id = one.id;
        one.drops_received |= self.random.bool();
        one.drops_sent |= one.drops_received || self.random.bool();
        if self.random.bool() {
            // Of what is on its way to the server the last bytes do not arrive.
            one.drops_sent = true;
            let end = one.taken.saturating_sub(self.random.usize(0..400));
            for event in self.events.values_mut() {
                if let Event::ToServer(connection, at, bytes) = event
                    && *connection == id
                {
                    bytes.truncate(end.saturating_sub(*at));
                }
            }
        }
        self.tell(format!("cut {id}"));
        if self.random.u8(..) < 180 || !self.connection.as_ref().is_some_and(|c| c.drops_received) {
            let delay = Duration::from_micros(self.random.u64(0..50_000));
            self.after(delay, Event::Ended(id));
        }
        Ok(())
    }

    fn end_connection(&mut self) -> Result<(), String> {
        if let Some(one) = &mut self.connection {
            (one.drops_sent, one.drops_received) = (true, true);
            let (id, delay) = (one.id, Duration::from_micros(self.random.u64(0..20_000)));
            self.after(delay, Event::Ended(id));
        }
        Ok(())
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.last_event += 1;
        self.events.insert((at, self.last_event), event);
    }

    fn tell(&mut self, what: String) {
        let at = self.now - self.begun;
        self.story.push(format!("{at:?}: {what}"));
    }
}

/// The requests of which a try begins in the first `taken` bytes.
fn begun(unsent: &[u8], taken: usize) -> Vec<i64> {
    let text = String::from_utf8_lossy(unsent);
    text.match_indices(&format!("*{WORDS}\r\n$"))
        .filter(|(at, _)| *at < taken)
        .filter_map(|(at, _)| text[at..].split("\r\n").nth(4)?.parse().ok())
        .collect()
}
