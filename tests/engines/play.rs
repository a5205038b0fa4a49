//! Plays a history on an engine, and writes down what callers, listeners and workers are told.

use std::collections::HashMap;
use std::time::Duration;

use synckairos_state::document::{Draft, MAX_VERSION, iso_timestamp};
use synckairos_state::engine::claims::Claims;
use synckairos_state::engine::{Engine, Execute};
use synckairos_state::operation::batch::Batch;
use synckairos_state::operation::expiry::Expire;
use synckairos_state::operation::letter::{DeadLetterSelection, LetterPage, Revived};
use synckairos_state::operation::queue::{Append, Count, ReadLetters, Remove, Revive};
use synckairos_state::operation::record::{Reason, Record};
use synckairos_state::operation::rule::{Over, Rule};
use synckairos_state::operation::session::{Broadcast, Delete, Get, GetMany, Touch, Write};
use synckairos_state::operation::survey::Survey;
use tokio::sync::oneshot;

use crate::answer::{Answer, Entries};
use crate::history::{Demand, Ears, History, Op, Session, Step, Task, UNIT_MS, WORKERS};
use crate::listener::{Listener, PATIENCE};
use crate::names::{ANNOUNCED, IDS, Names};
use crate::side::Side;
use crate::worker::Worker;

/// The time of the first call; each later one is a millisecond later.
const BEGIN_MS: i64 = 1_767_323_045_006;

/// What was told in each step of a history, and in the end.
pub type Story = Vec<Vec<String>>;

/// An operation with all that it is asked with.
enum Asked {
    Get(usize, Get),
    GetMany(usize, GetMany),
    Write(usize, Write),
    Delete(usize, Delete),
    Touch(usize, Touch),
    Broadcast(usize, Broadcast),
    Append(Append),
    Count,
    Survey,
    Letters(ReadLetters),
    Revive(Revive),
    Remove(Remove),
    Expire(Expire),
}

pub struct Play<'a, S: Side> {
    side: &'a mut S,
    names: &'a Names,
    history: &'a History,
    /// By handle and namespace.
    sessions: Vec<Vec<<S::Engine as Engine>::Sessions>>,
    records: Vec<<S::Engine as Engine>::Records>,
    listeners: Vec<Listener>,
    workers: [Option<Worker<<S::Engine as Engine>::Claims>>; WORKERS],
    entries: Entries,
    /// What was told last of the version of a session, by key.
    versions: HashMap<String, u64>,
    record_ids: Vec<String>,
    page: Option<String>,
    revived_up_to: Option<String>,
    calls: i64,
    marks: u64,
}

/// Plays a history. Of operations that are asked together, `orders` says in which order they are asked,
/// one order for each such step; without it they are asked as they stand.
pub async fn play<S: Side>(
    side: &mut S,
    names: &Names,
    history: &History,
    orders: Option<&[Vec<usize>]>,
) -> Story {
    let mut play = Play::begin(side, names, history).await;
    let mut story = Vec::with_capacity(history.steps.len() + 1);
    let mut orders = orders.map(|orders| orders.iter());
    for step in &history.steps {
        let lines = match step {
            Step::Together(ops) => {
                let order = orders.as_mut().and_then(Iterator::next).cloned();
                let order = order.unwrap_or_else(|| (0..ops.len()).collect());
                play.together(ops, &order).await
            }
            step => play.step(step).await,
        };
        story.push(lines);
    }
    story.push(play.end().await);
    story
}

impl<'a, S: Side> Play<'a, S> {
    async fn begin(side: &'a mut S, names: &'a Names, history: &'a History) -> Self {
        side.forget(names);
        let setup = &history.setup;
        let of_handle = |engine: &S::Engine| {
            (0..names.keys.len()).map(|n| engine.sessions(names.namespace(n, setup))).collect()
        };
        let sessions = side.handles().iter().map(of_handle).collect();
        let stream = names.stream(setup);
        let records = side.handles().iter().map(|engine| engine.records(stream.clone())).collect();
        let mut listeners = Vec::new();
        for (ears, keys) in setup.interests.iter().zip(&names.keys) {
            let subscription =
                side.handles()[0].subscription(keys.clone(), std::sync::Arc::new(|_| {}));
            let mut listener = Listener::new(subscription);
            listener.listen_to(*ears).await;
            listeners.push(listener);
        }
        Self {
            side,
            names,
            history,
            sessions,
            records,
            listeners,
            workers: [None, None, None],
            entries: Entries::default(),
            versions: HashMap::new(),
            record_ids: Vec::new(),
            page: None,
            revived_up_to: None,
            calls: 0,
            marks: 0,
        }
    }

    async fn step(&mut self, step: &Step) -> Vec<String> {
        match step {
            Step::Together(_) => unreachable!("the caller has the order"),
            Step::Pass(units) => self.side.pass(Duration::from_millis(units * UNIT_MS), self.names),
            Step::Listen(listener, ears) => {
                self.hear_out(*listener).await;
                self.listeners[*listener].listen_to(*ears).await;
            }
            Step::Reread(listener, ids) => {
                let is_on = is_on(self.listeners[*listener].ears);
                let ids = ids.iter().map(|id| IDS[*id].to_owned()).collect();
                self.marks += 1;
                if is_on {
                    return vec![self.listeners[*listener].reread(ids, self.marks).await];
                }
            }
            Step::Reconnect(listener) => {
                self.hear_out(*listener).await;
                if is_on(self.listeners[*listener].ears) {
                    self.listeners[*listener].reconnect().await;
                }
            }
            Step::Work(worker, Task::Die) => self.workers[*worker] = None,
            Step::Work(worker, task) => return self.work(*worker, task).await,
            Step::Wait(worker, op) => return self.wait(*worker, op.as_ref()).await,
        }
        Vec::new()
    }

    /// Waits until a listener has heard all that was published so far, and tells that.
    async fn hear_out(&mut self, listener: usize) -> Vec<String> {
        let Ears { updates, web_socket } = self.listeners[listener].ears;
        if !(updates || web_socket) {
            return self.listeners[listener].heard();
        }
        self.marks += 1;
        let session_id = format!("end {}", self.marks);
        let now_ms = BEGIN_MS;
        if updates {
            let delete =
                Delete { session_id: session_id.clone(), record_id: None, reason: None, now_ms };
            self.ask(0, Asked::Delete(listener, delete)).await;
        } else {
            let message = String::from("0");
            let tell = Broadcast { session_id: session_id.clone(), message, now_ms };
            self.ask(0, Asked::Broadcast(listener, tell)).await;
        }
        self.listeners[listener].until(&session_id).await
    }

    async fn together(&mut self, ops: &[(usize, Op)], order: &[usize]) -> Vec<String> {
        let mut asked: Vec<Option<(usize, Asked)>> =
            ops.iter().map(|(handle, op)| Some((*handle, self.asked(op)))).collect();
        let mut answers: Vec<_> = ops.iter().map(|_| None).collect();
        for place in order {
            let (handle, asked) = asked[*place].take().expect("an order names each once");
            answers[*place] = Some(self.begin_asking(handle, asked));
        }
        let mut lines = Vec::with_capacity(ops.len());
        for (answer, (_, op)) in answers.into_iter().flatten().zip(ops) {
            let answer = wait_for(answer).await;
            self.note(op, &answer);
            lines.push(self.entries.told(&answer));
        }
        lines
    }

    async fn ask(&self, handle: usize, asked: Asked) -> Answer {
        wait_for(self.begin_asking(handle, asked)).await
    }

    fn begin_asking(&self, handle: usize, asked: Asked) -> oneshot::Receiver<Answer> {
        let (sender, answer) = oneshot::channel();
        let (sessions, records) = (&self.sessions[handle], &self.records[handle]);
        let deadline = self.side.handles()[handle].clock().now() + PATIENCE;
        macro_rules! execute {
            ($by:expr, $operation:expr, $answer:path) => {
                $by.execute($operation, deadline, |outcome| drop(sender.send($answer(outcome))))
            };
        }
        match asked {
            Asked::Get(ns, get) => execute!(sessions[ns], get, Answer::Document),
            Asked::GetMany(ns, get) => execute!(sessions[ns], get, Answer::Documents),
            Asked::Write(ns, write) => execute!(sessions[ns], write, Answer::Written),
            Asked::Delete(ns, delete) => execute!(sessions[ns], delete, Answer::Deleted),
            Asked::Touch(ns, touch) => execute!(sessions[ns], touch, Answer::Touched),
            Asked::Broadcast(ns, tell) => execute!(sessions[ns], tell, Answer::Done),
            Asked::Append(append) => execute!(records, append, Answer::Done),
            Asked::Count => execute!(records, Count, Answer::Counted),
            Asked::Survey => execute!(records, Survey, Answer::Surveyed),
            Asked::Letters(read) => execute!(records, read, Answer::Letters),
            Asked::Revive(revive) => execute!(records, revive, Answer::Revived),
            Asked::Remove(remove) => execute!(records, remove, Answer::Removed),
            Asked::Expire(expire) => execute!(sessions[ANNOUNCED], expire, Answer::Expired),
        }
        answer
    }

    /// The same on every engine, as far as they have answered the same so far.
    fn asked(&mut self, op: &Op) -> Asked {
        self.calls += 1;
        let now_ms = BEGIN_MS + self.calls;
        match op {
            Op::Get(session) => Asked::Get(session.namespace, Get { session_id: id(session) }),
            Op::GetMany(namespace, ids) => {
                let session_ids = ids.iter().map(|id| IDS[*id].to_owned()).collect();
                Asked::GetMany(*namespace, GetMany { session_ids })
            }
            Op::Write(session, demand, document) => {
                let (session_id, rule) = (id(session), self.rule(session, *demand));
                let (text, now) = (document.text(&session_id), iso_timestamp(now_ms));
                let draft = Draft::new(text, &session_id, rule.stamp(), &now).expect("a state");
                let record_id = self.record_id(session.namespace);
                let reason = self.reason();
                let write = Write { session_id, draft, rule, record_id, reason, now_ms };
                Asked::Write(session.namespace, write)
            }
            Op::Delete(session) => {
                let record_id = self.record_id(session.namespace);
                let reason = self.reason();
                let delete = Delete { session_id: id(session), record_id, reason, now_ms };
                Asked::Delete(session.namespace, delete)
            }
            Op::Touch(session) => {
                Asked::Touch(session.namespace, Touch { session_id: id(session) })
            }
            Op::Broadcast(session, message) => {
                let message = message.clone();
                let tell = Broadcast { session_id: id(session), message, now_ms };
                Asked::Broadcast(session.namespace, tell)
            }
            Op::Append(old, session, state) => {
                let old = old.and_then(|number| self.old_record_id(number));
                let record = Record {
                    id: old.unwrap_or_else(|| self.new_record_id()),
                    session_id: IDS[*session].to_owned(),
                    event_type: String::from("session_noted"),
                    at_ms: now_ms,
                    state: state.clone(),
                    metadata: self.reason().and_then(|reason| reason.metadata),
                    position: None,
                    is_write: false,
                };
                Asked::Append(Append { record })
            }
            Op::Count => Asked::Count,
            Op::Survey => Asked::Survey,
            Op::Letters { goes_on, skip, limit } => {
                let page = self.page.take().filter(|_| *goes_on);
                let place = page.unwrap_or_else(|| String::from("+"));
                Asked::Letters(ReadLetters { place, skip: *skip, limit: *limit })
            }
            Op::Revive(numbers) => {
                let selection = DeadLetterSelection::Records(self.old_record_ids(numbers));
                Asked::Revive(Revive { selection })
            }
            Op::ReviveAll { goes_on } => {
                let up_to = self.revived_up_to.take().filter(|_| *goes_on).unwrap_or_default();
                Asked::Revive(Revive { selection: DeadLetterSelection::UpTo(up_to) })
            }
            Op::Remove(numbers) => {
                Asked::Remove(Remove { record_ids: self.old_record_ids(numbers) })
            }
            Op::Expire(ids) => self.expire(ids),
        }
    }

    fn expire(&mut self, ids: &[usize]) -> Asked {
        let session = |id: &usize| (IDS[*id].to_owned(), self.new_record_id());
        Asked::Expire(Expire { part: 0, sessions: ids.iter().map(session).collect() })
    }

    fn rule(&self, session: &Session, demand: Demand) -> Rule {
        let latest = || self.versions.get(&self.key(session)).copied().unwrap_or(1);
        match demand {
            Demand::Create => Rule::Create,
            Demand::CreateIfAbsent => Rule::CreateIfAbsent,
            Demand::Any => Rule::Any,
            // The store refuses what is no version.
            Demand::Latest(more) => {
                Rule::Locked { expected: (latest() + more).min(MAX_VERSION - 1) }
            }
            Demand::Version(expected) => Rule::Locked { expected },
            Demand::Restore(least) => Rule::Restore { least, over: Over::Anything },
            Demand::RestoreMissing(least) => Rule::Restore { least, over: Over::Nothing },
            Demand::RestoreLatest(least) => Rule::Restore { least, over: Over::Version(latest()) },
        }
    }

    fn key(&self, session: &Session) -> String {
        self.names.keys[session.namespace].session(IDS[session.id])
    }

    fn record_id(&mut self, namespace: usize) -> Option<String> {
        self.history.setup.audited[namespace].then(|| self.new_record_id())
    }

    /// What the callers of some changes tell: nothing, an event, something else, or both.
    fn reason(&self) -> Option<Box<Reason>> {
        let number = self.record_ids.len();
        let event_type = (number & 1 == 1).then(|| format!("event {number}"));
        let metadata = (number & 2 == 2).then(|| format!(r#"{{"number":{number}}}"#));
        let is_told = event_type.is_some() || metadata.is_some();
        is_told.then(|| Box::new(Reason { event_type, metadata }))
    }

    fn new_record_id(&mut self) -> String {
        // Half of it is the id of no other record: so ends that of an expiry before the change.
        let id = format!("r{:012x}", (1_u64 << 47) + 2 * self.record_ids.len() as u64);
        self.record_ids.push(id.clone());
        id
    }

    fn old_record_id(&self, number: usize) -> Option<String> {
        let count = self.record_ids.len();
        self.record_ids.get(number.checked_rem(count)?).cloned()
    }

    fn old_record_ids(&self, numbers: &[usize]) -> Vec<String> {
        numbers.iter().filter_map(|number| self.old_record_id(*number)).collect()
    }

    /// Notes what later operations begin with.
    fn note(&mut self, op: &Op, answer: &Answer) {
        match (op, answer) {
            (Op::Write(session, ..), Answer::Written(Ok(written))) => {
                self.versions.insert(self.key(session), written.version);
            }
            (Op::Letters { .. }, Answer::Letters(Ok(LetterPage { next, .. }))) => {
                self.page.clone_from(next);
            }
            (Op::ReviveAll { .. }, Answer::Revived(Ok(Revived { more, .. }))) => {
                self.revived_up_to.clone_from(more);
            }
            _ => {}
        }
    }

    /// Makes a worker of this number, if there is none.
    async fn hire(&mut self, number: usize) -> Vec<String> {
        if self.workers[number].is_some() {
            return Vec::new();
        }
        let stream = self.names.stream(&self.history.setup);
        let claims = self.side.handles()[0].claims(stream, format!("worker {number}")).await;
        let claims = claims.expect("a worker can always claim");
        let line = format!("worker {number}, the first: {}", claims.is_first());
        self.workers[number] = Some(Worker::new(claims));
        vec![line]
    }

    async fn work(&mut self, number: usize, task: &Task) -> Vec<String> {
        let mut lines = self.hire(number).await;
        if let Some(worker) = &mut self.workers[number] {
            lines.extend(worker.work(task, &mut self.entries).await);
        }
        lines
    }

    /// A worker waits for a record. Where there are some already, it gets those.
    async fn wait(&mut self, number: usize, op: Option<&Op>) -> Vec<String> {
        let mut lines = self.hire(number).await;
        let Some(mut worker) = self.workers[number].take() else { return lines };
        let mut batch = worker.fresh(3, None).await;
        if batch.as_ref().is_ok_and(Batch::is_empty) {
            let waking = worker.waking();
            let mut fresh = Box::pin(worker.fresh(3, Some(PATIENCE)));
            // The wait begins, so that it can be ended.
            let begun = tokio::time::timeout(Duration::from_millis(5), &mut fresh);
            assert!(begun.await.is_err(), "a worker does not wait");
            let answer = match op {
                Some(op) => {
                    let asked = self.asked(op);
                    Some(self.ask(1, asked).await)
                }
                None => None,
            };
            lines.extend(answer.as_ref().map(|answer| self.entries.told(answer)));
            if !matches!(answer, Some(Answer::Done(Ok(())))) {
                waking.await;
            }
            batch = fresh.await;
        }
        lines.push(worker.given("waited for", batch, &mut self.entries));
        self.workers[number] = Some(worker);
        lines
    }

    /// Looks at everything that is left: what listeners have heard, and what is stored, by reading it
    /// while time passes, until it has expired.
    async fn end(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for listener in 0..self.listeners.len() {
            let heard = self.hear_out(listener).await;
            lines.push(format!("listener {listener} has heard {heard:#?}"));
        }
        self.stored(&mut lines).await;
        for number in 0..WORKERS {
            let own = Task::Own { count: 1000, goes_on: false };
            if self.workers[number].is_some() {
                lines.extend(self.work(number, &own).await);
            }
        }
        let has_records = !self.record_ids.is_empty();
        if has_records {
            lines.extend(self.work(0, &Task::Fresh(1000)).await);
        }
        // 3 s, 15 s and 47 s are left at most.
        for units in [1, 3, 8] {
            self.side.pass(Duration::from_millis(units * UNIT_MS), self.names);
            self.stored(&mut lines).await;
        }
        if has_records {
            lines.extend(self.work(0, &Task::Abandoned(1000)).await);
        }
        lines
    }

    /// All sessions and letters, and how many records there are.
    async fn stored(&mut self, lines: &mut Vec<String>) {
        let letters = ReadLetters { place: String::from("+"), skip: 0, limit: 1000 };
        let ids: Vec<usize> = (0..IDS.len()).collect();
        let mut asked =
            vec![self.expire(&ids), Asked::Count, Asked::Survey, Asked::Letters(letters)];
        for namespace in 0..self.names.keys.len() {
            let session_ids = IDS.map(String::from).to_vec();
            asked.push(Asked::GetMany(namespace, GetMany { session_ids }));
        }
        let answers: Vec<_> = asked.into_iter().map(|asked| self.begin_asking(0, asked)).collect();
        for answer in answers {
            lines.push(self.entries.told(&wait_for(answer).await));
        }
    }
}

async fn wait_for(answer: oneshot::Receiver<Answer>) -> Answer {
    let answer = tokio::time::timeout(PATIENCE + PATIENCE, answer).await;
    answer.expect("an operation is not answered").expect("an operation was dropped")
}

fn id(session: &Session) -> String {
    IDS[session.id].to_owned()
}

fn is_on(ears: Ears) -> bool {
    ears.updates || ears.web_socket
}
