//! Where the owner's own commands go. With one server all that comes together is sent together; in a
//! cluster each command goes to the node that has its keys, and a transaction to the one that has them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::operation::Effect;
use crate::redis::call::{Call, Outcome, Target, blocking, check};
use crate::redis::command_table::{CommandTable, CrossSlot};
use crate::redis::connection::Connection;
use crate::redis::layout::Spread;
use crate::redis::request::{Attempt, Request};
use crate::redis::resp::encode::{Command, commands_of, error_reply};
use crate::redis::topology::slot::Slot;

/// The replies that have come, in RESP2, and why there are no more, if some are missing.
pub type Answer = (Vec<u8>, Result<()>);

/// How a call is answered.
pub enum Answers {
    /// All of it in one.
    Together(Answer),
    /// Each of its commands by itself, with one reply.
    Each(Vec<Answer>),
}

type Done = Box<dyn FnOnce(Answers) + Send>;

/// Sends the owner's own commands, on a connection that others share. Clones share what is known.
#[derive(Clone)]
pub struct Caller {
    connection: Connection,
    table: Arc<Mutex<Table>>,
    turns: Arc<Mutex<Turns>>,
}

/// The order of the calls. Two threads learn that they are sent in a cluster: the caller's own, and the one
/// that hears of the cluster.
#[derive(Default)]
struct Turns {
    /// How many calls have taken a turn, and whose turn it is.
    taken: u64,
    due: u64,
    /// Those before whom others are due. `None`: it needs its turn no more.
    ready: BTreeMap<u64, Option<Waiting>>,
    /// A thread is sending those whose turn has come.
    is_busy: bool,
}

/// What is known of the commands of a cluster.
enum Table {
    Unknown,
    /// It was asked for. These calls wait for it, in order.
    Asked(Vec<Waiting>),
    Known(Arc<CommandTable>),
}

/// A call that is to be sent in a cluster.
struct Waiting {
    encoded: Vec<u8>,
    is_transaction: bool,
    deadline: Instant,
    done: Done,
}

impl Caller {
    /// With nothing known yet.
    pub fn new(connection: Connection) -> Self {
        let table = Arc::new(Mutex::new(Table::Unknown));
        Self { connection, table, turns: Arc::default() }
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends commands, each with its arguments, together, or as a transaction between `MULTI` and
    /// `EXEC`. The answers come by `deadline`, or as much later as the commands may block: a reply for each
    /// command, also for `MULTI` and `EXEC`.
    pub fn call(
        &self,
        commands: &[Vec<&[u8]>],
        is_transaction: bool,
        deadline: Instant,
        done: impl FnOnce(Answers) + Send + 'static,
    ) {
        if let Err(error) = check(commands) {
            return done(Answers::Together((Vec::new(), Err(error))));
        }
        let blocks = if is_transaction { Duration::ZERO } else { blocking(commands) };
        let replies = commands.len() + if is_transaction { 2 } else { 0 };
        let encoded = encode(commands, is_transaction);
        let target = Target::Server(self.connection.layout().clone());
        let caller = self.clone();
        let turn = self.take_turn();
        let done = move |outcome| match outcome {
            Outcome::Answered(replies, outcome) => {
                caller.has_turn(turn, None);
                done(Answers::Together((replies, outcome)));
            }
            Outcome::IsCluster(encoded) => {
                let done = Box::new(done);
                let call = Waiting { encoded, is_transaction, deadline, done };
                caller.has_turn(turn, Some(call));
            }
        };
        let call = Call::new(encoded, replies, blocks, target, deadline + blocks, done);
        self.connection.submit(Box::new(call));
    }

    /// A turn in the order of the calls. `None`, where one server keeps it.
    fn take_turn(&self) -> Option<u64> {
        if let Some(Spread::One) = self.connection.layout().get() {
            return None;
        }
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.taken += 1;
        Some(turns.taken - 1)
    }

    /// Sends a call in its turn, and those that have waited for it.
    fn has_turn(&self, turn: Option<u64>, call: Option<Waiting>) {
        let Some(turn) = turn else {
            return call.into_iter().for_each(|call| self.call_cluster(call));
        };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.ready.insert(turn, call);
        if std::mem::replace(&mut turns.is_busy, true) {
            return;
        }
        loop {
            let due = turns.due;
            let Some(next) = turns.ready.remove(&due) else {
                turns.is_busy = false;
                return;
            };
            turns.due += 1;
            drop(turns); // Not to be held while calls are sent.
            next.into_iter().for_each(|call| self.call_cluster(call));
            turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn call_cluster(&self, call: Waiting) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *table {
            Table::Asked(waiting) => waiting.push(call),
            Table::Known(known) => {
                let known = known.clone();
                drop(table);
                self.send(&known, call);
                self.connection.flush();
            }
            Table::Unknown => {
                let deadline = call.deadline;
                *table = Table::Asked(vec![call]);
                drop(table);
                self.ask(deadline);
            }
        }
    }

    /// Asks any node for its table of commands.
    fn ask(&self, deadline: Instant) {
        let caller = self.clone();
        let done = move |answer| caller.answered(answer);
        self.connection.submit(Box::new(AskTable { deadline, done }));
        self.connection.flush();
    }

    fn answered(&self, answer: Result<Value>) {
        match answer {
            Ok(table) => self.learnt(Arc::new(CommandTable::read(table))),
            Err(error) => self.not_learnt(&error),
        }
    }

    /// Sends what has waited, and whatever comes meanwhile after that.
    fn learnt(&self, known: Arc<CommandTable>) {
        loop {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = match &mut *table {
                Table::Asked(waiting) if !waiting.is_empty() => std::mem::take(waiting),
                _ => {
                    *table = Table::Known(known);
                    return;
                }
            };
            drop(table);
            waiting.into_iter().for_each(|call| self.send(&known, call));
            self.connection.flush();
        }
    }

    /// Those whose time is over are told so; for the others the table is asked for again.
    fn not_learnt(&self, error: &Error) {
        let is_over = |call: &mut Waiting| {
            call.deadline <= Instant::now() || !matches!(error, Error::Unavailable { .. })
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table::Asked(waiting) = &mut *table else { return };
        let over: Vec<_> = waiting.extract_if(.., is_over).collect();
        let next = waiting.iter().map(|call| call.deadline).min();
        if next.is_none() {
            *table = Table::Unknown;
        }
        drop(table);
        for call in over {
            (call.done)(Answers::Together((Vec::new(), Err(error.clone()))));
        }
        next.into_iter().for_each(|deadline| self.ask(deadline));
    }

    fn send(&self, table: &CommandTable, call: Waiting) {
        let Waiting { encoded, is_transaction, deadline, done } = call;
        let commands = commands_of(&encoded);
        if !is_transaction && commands.len() != 1 {
            let gathered = Gathered::new(commands.len(), done);
            for (at, words) in commands.iter().enumerate() {
                let gathered = gathered.clone();
                self.send_one(table, words, deadline, move |answer| gathered.add(at, answer));
            }
            return;
        }
        let done = |answer| done(Answers::Together(answer));
        if let [words] = &*commands {
            return self.send_one(table, words, deadline, done);
        }
        match slot_of_all(table, &commands) {
            Ok(slot) => {
                let (replies, blocks) = (commands.len(), Duration::ZERO);
                self.submit(encoded, replies, blocks, slot, deadline, done);
            }
            Err((words, CrossSlot)) => {
                let message = cross_slot(words);
                done((Vec::new(), Err(Error::Reply { message })));
            }
        }
    }

    fn send_one(
        &self,
        table: &CommandTable,
        words: &[&[u8]],
        deadline: Instant,
        done: impl FnOnce(Answer) + Send + 'static,
    ) {
        match table.slot_of(words) {
            Ok(slot) => {
                let command = [words.to_vec()];
                let blocks = blocking(&command);
                self.submit(encode(&command, false), 1, blocks, slot, deadline + blocks, done);
            }
            Err(CrossSlot) => {
                let mut reply = Vec::new();
                error_reply(&mut reply, &cross_slot(words));
                done((reply, Ok(())));
            }
        }
    }

    fn submit(
        &self,
        encoded: Vec<u8>,
        replies: usize,
        blocks: Duration,
        slot: Option<Slot>,
        deadline: Instant,
        done: impl FnOnce(Answer) + Send + 'static,
    ) {
        let target = slot.map_or(Target::Any, Target::Slot);
        let call = Call::new(encoded, replies, blocks, target, deadline, answered(done));
        self.connection.submit(Box::new(call));
    }
}

/// Asks a master whether it answers, in one reply.
pub fn ping(
    connection: &Connection,
    deadline: Instant,
    done: impl FnOnce(Answer) + Send + 'static,
) {
    let encoded = encode(&[vec![b"PING"]], false);
    let done = answered(done);
    let call = Call::new(encoded, 1, Duration::ZERO, Target::Any, deadline, done);
    connection.submit(Box::new(call));
}

/// Of a call whose target is known.
fn answered(done: impl FnOnce(Answer)) -> impl FnOnce(Outcome) {
    |outcome| match outcome {
        Outcome::Answered(replies, outcome) => done((replies, outcome)),
        Outcome::IsCluster(_) => done((Vec::new(), Err(Error::unavailable("it is a cluster")))),
    }
}

/// The answers of a call's commands, each of which comes by itself.
struct Gathered(Mutex<Gathering>);

struct Gathering {
    answers: Vec<Option<Answer>>,
    missing: usize,
    done: Option<Done>,
}

impl Gathered {
    fn new(count: usize, done: Done) -> Arc<Self> {
        let answers = (0..count).map(|_| None).collect();
        Arc::new(Self(Mutex::new(Gathering { answers, missing: count, done: Some(done) })))
    }

    /// Takes the answer of the command at this place, and tells all after the last one.
    fn add(&self, at: usize, answer: Answer) {
        let mut gathering = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = gathering.answers.get_mut(at) {
            *place = Some(answer);
            gathering.missing -= 1;
        }
        if gathering.missing == 0
            && let Some(done) = gathering.done.take()
        {
            let answers = std::mem::take(&mut gathering.answers);
            drop(gathering);
            done(Answers::Each(answers.into_iter().flatten().collect()));
        }
    }
}

/// The slot of the keys of all commands. `Err`: the command whose keys are not in one with the others'.
fn slot_of_all<'a, 'b>(
    table: &CommandTable,
    commands: &'a [Vec<&'b [u8]>],
) -> std::result::Result<Option<Slot>, (&'a [&'b [u8]], CrossSlot)> {
    let mut slot = None;
    for words in commands {
        let of_command = table.slot_of(words).map_err(|crossed| (&**words, crossed))?;
        if let Some(of_command) = of_command
            && slot.replace(of_command).is_some_and(|slot| slot != of_command)
        {
            return Err((words, CrossSlot));
        }
    }
    Ok(slot)
}

/// As the server refuses it, and which command it is.
fn cross_slot(words: &[&[u8]]) -> String {
    let name = words.first().map(|name| String::from_utf8_lossy(name).to_ascii_uppercase());
    let name = name.unwrap_or_default();
    format!("CROSSSLOT Keys in request don't hash to the same slot: {name}")
}

fn encode(commands: &[Vec<&[u8]>], is_transaction: bool) -> Vec<u8> {
    let mut encoded = Vec::new();
    if is_transaction {
        Command::new(&mut encoded, 1).word("MULTI");
    }
    for words in commands {
        let mut command = Command::new(&mut encoded, words.len());
        for word in words {
            command.word(word);
        }
    }
    if is_transaction {
        Command::new(&mut encoded, 1).word("EXEC");
    }
    encoded
}

/// Asks for the table of commands.
struct AskTable<D> {
    deadline: Instant,
    done: D,
}

impl<D: FnOnce(Result<Value>) + Send> Request for AskTable<D> {
    fn encode(&self, _attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 1).word("COMMAND");
    }

    fn effect(&self) -> Effect {
        Effect::Read
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn settle(self: Box<Self>, outcome: Result<Value>) {
        (self.done)(outcome);
    }
}
