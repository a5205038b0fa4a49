//! What managers and queues ask of an engine, as data, and what each question is answered with.
//!
//! - [`session`]: reads and changes of sessions. [`rule`]: what a write demands of what is stored.
//! - [`queue`]: what is asked about the records of an audit queue; [`letter`]: its dead letters.
//! - [`record`]: one audit record; [`batch`]: records that a worker has claimed.
//! - [`names`]: where the sessions of a manager and the records of a queue are.

pub mod batch;
pub mod letter;
pub mod names;
pub mod queue;
pub mod record;
pub mod rule;
pub mod session;

/// What is asked of an engine.
pub trait Operation: Send + 'static {
    /// What it is answered with where it is executed.
    type Outcome: Send + 'static;

    /// What repeating it would do.
    fn effect(&self) -> Effect;
}

/// What repeating an operation would do, which decides what happens when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing. Repeated freely; without an answer nothing has changed.
    Read,
    /// Changes something. If the first try is executed after the repeat, it changes nothing more,
    /// unless the session was created anew in between. The repeat waits for a fence where the
    /// server allows one, and is sent without a fence where it does not.
    Idempotent,
    /// Changes something. A repeat recognises by the ledger that the first try was executed, but the
    /// first try must not be executed after the repeat: the repeat is sent only behind a fence.
    Recognised,
    /// Never repeated once it may have been executed; sent again where it was refused.
    Once,
    /// The caller's own command: never sent twice, whatever the reply is, which is the caller's.
    Opaque,
}
