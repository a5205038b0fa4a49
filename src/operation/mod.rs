//! What managers and queues ask of an engine, as data: operations, and the outcome of each.
//!
//! - [`session`]: reads and changes of sessions. [`rule`]: what a write demands of what is stored.
//! - [`expiry`]: what tells of sessions whose TTL has run out.
//! - [`queue`]: what is asked about the records of an audit queue; [`letter`]: its dead letters; [`survey`]:
//!   how it is doing.
//! - [`record`]: one audit record; [`batch`]: records that a worker has claimed.
//! - [`replicas`]: how many replicas are to have a write before it is acknowledged.
//! - [`names`]: where the sessions of a manager and the records of a queue are.

pub mod batch;
pub mod expiry;
pub mod letter;
pub mod names;
pub mod queue;
pub mod record;
pub mod replicas;
pub mod rule;
pub mod session;
pub mod survey;

/// What a manager or a queue asks of an engine.
pub trait Operation: Send + 'static {
    /// The answer, if the operation is executed.
    type Outcome: Send + 'static;

    /// What repeating it would do.
    fn effect(&self) -> Effect;
}

/// What repeating an operation would do, which decides what happens when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing. The engine repeats it freely; without an answer nothing has changed.
    Read,
    /// Changes something, once however often it is executed. If the first try is executed after the
    /// repeat, it changes nothing more, unless the session was created anew in between. So an engine
    /// that cannot keep the first try from being executed later may repeat it all the same.
    Idempotent,
    /// Changes something. A repeat recognises that the first try was executed. The first try must not
    /// be executed after the repeat, so an engine repeats only what it can keep from that.
    Recognised,
    /// Never repeated once it may have been executed. Tried again if it was refused for now.
    Once,
    /// The caller's own command. Never sent twice; the caller gets the reply, whatever it is.
    Opaque,
}
