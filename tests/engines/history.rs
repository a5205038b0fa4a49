//! A history: what is asked of an engine, in which order, and how much time passes. Invented by
//! proptest, which also shrinks it.
//!
//! **Time.** It passes in steps of 4 s, and every time-out of a history lies halfway between two
//! steps (6 s, 18 s, 50 s; claims are abandoned after 10 s). So an engine whose clock is real has
//! nearly 2 s for a history before one of them comes due early.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use synckairos_state::document::MAX_VERSION;

use crate::document::{Document, document, json_text};
use crate::names::IDS;

/// The unit in which time passes, milliseconds.
pub const UNIT_MS: u64 = 4000;

/// How long sessions may live, seconds.
const TTLS: [u32; 3] = [50, 18, 6];

/// The largest limit of a backlog.
const MAX_BACKLOG: u64 = 5;

/// How many of each there are.
pub const HANDLES: usize = 2;
pub const LISTENERS: usize = 3;
pub const WORKERS: usize = 3;

#[derive(Debug, Clone)]
pub struct History {
    pub setup: Setup,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub ttl_seconds: [u32; 3],
    pub audited: [bool; 3],
    pub max_backlog: Option<u64>,
    /// Whether one namespace announces expiries.
    pub announces: bool,
    /// What each listener listens to at first, which is of the namespace with its number.
    pub interests: [Ears; LISTENERS],
}

/// Whether a listener listens to updates, and to WebSocket messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ears {
    pub updates: bool,
    pub web_socket: bool,
}

#[derive(Debug, Clone)]
pub enum Step {
    /// Operations that are all asked, each of one handle, before any is awaited.
    Together(Vec<(usize, Op)>),
    /// So many units of time pass.
    Pass(u64),
    Listen(usize, Ears),
    Reread(usize, Vec<usize>),
    Reconnect(usize),
    Work(usize, Task),
    /// A worker waits for a record, which an operation appends then; without one it is woken.
    Wait(usize, Option<Op>),
}

/// An operation. Sessions are numbers of ids in a namespace.
#[derive(Debug, Clone)]
pub enum Op {
    Get(Session),
    GetMany(usize, Vec<usize>),
    Write(Session, Demand, Document),
    Delete(Session),
    Touch(Session),
    Broadcast(Session, String),
    /// With the id of an older record, if any has this number.
    Append(Option<usize>, usize, Option<String>),
    Count,
    Survey,
    /// From the end of the page before, if that said where to go on.
    Letters {
        goes_on: bool,
        skip: u32,
        limit: u32,
    },
    Revive(Vec<usize>),
    /// From where the one before said to go on, if it did.
    ReviveAll {
        goes_on: bool,
    },
    Remove(Vec<usize>),
    /// Looks whether these sessions of the namespace that announces expiries have expired.
    Expire(Vec<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub namespace: usize,
    pub id: usize,
}

/// What a write demands.
#[derive(Debug, Clone, Copy)]
pub enum Demand {
    Create,
    CreateIfAbsent,
    Any,
    /// The version that was told last of this session, and so much more.
    Latest(u64),
    Version(u64),
    /// To be restored, with this version at least, over whatever is there.
    Restore(u64),
    RestoreMissing(u64),
    /// Over the version that was told last.
    RestoreLatest(u64),
}

/// What a worker asks.
#[derive(Debug, Clone)]
pub enum Task {
    Fresh(usize),
    Own {
        count: usize,
        goes_on: bool,
    },
    Abandoned(usize),
    Settle(Vec<Pick>),
    Delay(Vec<Pick>, u64, bool),
    Bury(Pick, u32, String, Option<String>),
    Keep(Vec<Pick>),
    Release(Vec<Pick>),
    Note(u8),
    Tidy,
    /// It ends, and with the next task comes again.
    Die,
}

/// One of the entries that a worker was given, or of all that were seen.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    pub is_own: bool,
    pub number: usize,
}

/// Histories in which every script of Redis is run. A server that knows them executes what is asked
/// together in the order of asking: a script that it does not know is sent a second time, after what was
/// asked behind it.
pub fn every_script() -> impl Iterator<Item = History> {
    let limits = [None].into_iter().chain((1..=MAX_BACKLOG).map(Some));
    let audits = [(false, None)].into_iter().chain(limits.map(|limit| (true, limit)));
    let interests = [Ears { updates: false, web_socket: false }; LISTENERS];
    let setups = audits.flat_map(move |(is_audited, max_backlog)| {
        let audited = [is_audited; 3];
        let setup = move |ttl, announces| Setup {
            ttl_seconds: [ttl; 3],
            audited,
            max_backlog,
            announces,
            interests,
        };
        TTLS.into_iter().flat_map(move |ttl| [false, true].map(|announces| setup(ttl, announces)))
    });
    setups.map(|setup| {
        let of_records = [
            Op::Append(None, 0, None),
            Op::Count,
            Op::Survey,
            Op::Letters { goes_on: false, skip: 0, limit: 1 },
            Op::ReviveAll { goes_on: false },
            Op::Remove(vec![0]),
            Op::Expire(vec![0]),
        ];
        let of_sessions =
            (0..3).map(|namespace| Session { namespace, id: 0 }).flat_map(|session| {
                let demands = [
                    Demand::Create,
                    Demand::CreateIfAbsent,
                    Demand::Latest(0),
                    Demand::Any,
                    Demand::Restore(1),
                ];
                let write = |demand| Op::Write(session, demand, Document::default());
                demands.map(write).into_iter().chain([Op::Delete(session)])
            });
        let ops = of_records.into_iter().chain(of_sessions);
        History { setup, steps: ops.map(|op| Step::Together(vec![(0, op)])).collect() }
    })
}

/// Any history of at most so many steps: about everything, or about records most of the time, since a
/// page of dead letters takes many steps to come about.
pub fn history(steps: usize) -> impl Strategy<Value = History> {
    let everything = vec(step(), 1..=steps);
    let records = vec(prop_oneof![6 => step_with_records(), 1 => step()], 1..=steps);
    (setup(), prop_oneof![everything, records]).prop_map(|(setup, steps)| History { setup, steps })
}

fn setup() -> impl Strategy<Value = Setup> {
    let ttl = || prop::sample::select(&TTLS);
    let limit = prop_oneof![3 => Just(None), 2 => (1..=MAX_BACKLOG).prop_map(Some)];
    let (ttls, audited) = ([ttl(), ttl(), ttl()], any::<[bool; 3]>());
    let announces = any::<bool>();
    (ttls, audited, limit, announces, [ears(), ears(), ears()]).prop_map(
        |(ttl_seconds, audited, max_backlog, announces, interests)| Setup {
            ttl_seconds,
            audited,
            max_backlog,
            announces,
            interests,
        },
    )
}

fn ears() -> impl Strategy<Value = Ears> {
    any::<(bool, bool)>().prop_map(|(updates, web_socket)| Ears { updates, web_socket })
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || vec(0..IDS.len(), 1..4);
    prop_oneof![
        12 => vec((Just(0), op()), 1..4).prop_map(together),
        6 => (session(), vec(on_one_session(), 2..8)).prop_map(|(session, ops)| {
            Step::Together(ops.into_iter().map(|op| (0, op.of(session))).collect())
        }),
        3 => vec((0..HANDLES, op()), 2..5).prop_map(together),
        6 => prop::sample::select(&[1, 1, 1, 2, 3, 5, 12]).prop_map(Step::Pass),
        2 => (0..LISTENERS, ears()).prop_map(|(listener, ears)| Step::Listen(listener, ears)),
        1 => (0..LISTENERS, ids()).prop_map(|(listener, ids)| Step::Reread(listener, ids)),
        1 => (0..LISTENERS).prop_map(Step::Reconnect),
        14 => (0..WORKERS, task()).prop_map(|(worker, task)| Step::Work(worker, task)),
        1 => (0..WORKERS, option::of(append())).prop_map(|(worker, op)| Step::Wait(worker, op)),
    ]
}

fn step_with_records() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => vec((Just(0), append()), 1..4).prop_map(Step::Together),
        8 => (0..WORKERS, task()).prop_map(|(worker, task)| Step::Work(worker, task)),
        4 => vec((Just(0), on_letters()), 1..3).prop_map(Step::Together),
        1 => Just(Step::Pass(1)),
    ]
}

/// `GetMany` reads what it has not found a second time, later. Where it is asked together with what
/// could come in between, any number of outcomes would be right: it is asked last, and of one handle.
fn together(mut ops: Vec<(usize, Op)>) -> Step {
    let is_many = |op: &Op| matches!(op, Op::GetMany(..));
    let one_handle = ops.iter().all(|(handle, _)| *handle == ops[0].0);
    let many = ops.iter().find(|(_, op)| is_many(op)).cloned();
    ops.retain(|(_, op)| !is_many(op));
    if one_handle || ops.is_empty() {
        ops.extend(many);
    }
    Step::Together(ops)
}

fn session() -> impl Strategy<Value = Session> {
    // Few sessions are asked for often, so that things collide.
    let id = prop_oneof![4 => Just(0), 2 => Just(2), 1 => 0..IDS.len()];
    (prop_oneof![3 => Just(0), 2 => Just(1), 1 => Just(2)], id)
        .prop_map(|(namespace, id)| Session { namespace, id })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (session(), on_one_session()).prop_map(|(session, op)| op.of(session)),
        1 => (0..3_usize, vec(0..IDS.len(), 1..4)).prop_map(|(ns, ids)| Op::GetMany(ns, ids)),
        3 => append(),
        1 => Just(Op::Count),
        1 => Just(Op::Survey),
        2 => vec(0..IDS.len(), 1..4).prop_map(Op::Expire),
        4 => on_letters(),
    ]
}

fn on_letters() -> impl Strategy<Value = Op> {
    let records = || vec(0..40_usize, 1..4);
    prop_oneof![
        3 => (any::<bool>(), 0..4_u32, 1..6_u32)
            .prop_map(|(goes_on, skip, limit)| Op::Letters { goes_on, skip, limit }),
        1 => records().prop_map(Op::Revive),
        1 => any::<bool>().prop_map(|goes_on| Op::ReviveAll { goes_on }),
        1 => records().prop_map(Op::Remove),
    ]
}

fn append() -> impl Strategy<Value = Op> {
    (option::weighted(0.2, 0..40_usize), 0..IDS.len(), option::of(json_text()))
        .prop_map(|(old, id, state)| Op::Append(old, id, state))
}

/// An operation on a session that is still to be chosen.
#[derive(Debug, Clone)]
enum OnSession {
    Get,
    Write(Demand, Document),
    Delete,
    Touch,
    Broadcast(String),
}

impl OnSession {
    fn of(self, session: Session) -> Op {
        match self {
            Self::Get => Op::Get(session),
            Self::Write(demand, document) => Op::Write(session, demand, document),
            Self::Delete => Op::Delete(session),
            Self::Touch => Op::Touch(session),
            Self::Broadcast(message) => Op::Broadcast(session, message),
        }
    }
}

fn on_one_session() -> impl Strategy<Value = OnSession> {
    prop_oneof![
        3 => Just(OnSession::Get),
        8 => (demand(), document()).prop_map(|(demand, text)| OnSession::Write(demand, text)),
        2 => Just(OnSession::Delete),
        2 => Just(OnSession::Touch),
        2 => json_text().prop_map(OnSession::Broadcast),
    ]
}

fn demand() -> impl Strategy<Value = Demand> {
    prop_oneof![
        3 => Just(Demand::Any),
        2 => Just(Demand::Create),
        2 => Just(Demand::CreateIfAbsent),
        5 => prop_oneof![4 => Just(0), 2 => 1..3_u64].prop_map(Demand::Latest),
        1 => prop_oneof![0..4_u64, MAX_VERSION - 3..MAX_VERSION].prop_map(Demand::Version),
        1 => least().prop_map(Demand::Restore),
        1 => least().prop_map(Demand::RestoreMissing),
        1 => least().prop_map(Demand::RestoreLatest),
    ]
}

fn least() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 1..6_u64, 1 => MAX_VERSION - 3..MAX_VERSION]
}

fn task() -> impl Strategy<Value = Task> {
    let picks = || vec(pick(), 1..4);
    let error = prop_oneof![Just(String::from("refused")), any::<String>()];
    let sqlstate = option::of(prop_oneof![Just(String::from("22001")), Just(String::new())]);
    prop_oneof![
        6 => (1..6_usize).prop_map(Task::Fresh),
        2 => (1..4_usize, any::<bool>()).prop_map(|(count, goes_on)| Task::Own { count, goes_on }),
        2 => (1..6_usize).prop_map(Task::Abandoned),
        3 => picks().prop_map(Task::Settle),
        3 => (picks(), prop::sample::select(vec![6_u64, 18, 50]), any::<bool>())
            .prop_map(|(picks, seconds, counted)| Task::Delay(picks, seconds, counted)),
        5 => (pick(), 1..9_u32, error, sqlstate).prop_map(|(pick, attempts, error, sqlstate)| {
            Task::Bury(pick, attempts, error, sqlstate)
        }),
        1 => picks().prop_map(Task::Keep),
        1 => picks().prop_map(Task::Release),
        1 => (0..3_u8).prop_map(Task::Note),
        1 => Just(Task::Tidy),
        1 => Just(Task::Die),
    ]
}

fn pick() -> impl Strategy<Value = Pick> {
    (prop::bool::weighted(0.8), 0..20_usize).prop_map(|(is_own, number)| Pick { is_own, number })
}
