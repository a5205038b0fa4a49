//! Answers and events on their way back to JavaScript.
//!
//! The I/O thread appends to a list and wakes JavaScript once for all that has come together;
//! JavaScript then drains the list in one go. Many calls in flight cost one wake-up. What is known on
//! JavaScript's own thread, in the call itself, takes the same way, without another thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use napi::bindgen_prelude::{FnArgs, Function, Result, ToNapiValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status, check_status, sys};
use napi_derive::napi;
use tokio::sync::Notify;

use super::runtime::IO;
use crate::error::Error;

/// What a completion is. The numbers are those of `lib/realm/settle.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// The end of a call: nothing, or a number.
    Done = 0,
    /// The end of a call: a text, and a number about it.
    Text = 1,
    /// The end of a call: an error, as JSON.
    Failed = 2,
    /// One of several texts, or with a negative number an error, as JSON; the end follows.
    Part = 3,
    /// News of a client: its status, and why.
    Status = 4,
    /// News of a feed: an update. Session id (of a feed for all key prefixes JSON, a list of the id
    /// and the prefix or null); document or null; how many ISO dates it holds.
    Update = 5,
    /// News of a feed: a WebSocket message. Session id; JSON text.
    WebSocket = 6,
    /// News of a feed: the interest of that number is confirmed.
    Confirmed = 7,
    /// News of a feed: there was a gap. JSON: `lastedMs`, `known`, `reread`, `changed`.
    Gap = 8,
    /// News of a feed: a message that is none. The channel.
    Malformed = 9,
    /// News of a feed: the connection was lost. The reason.
    Lost = 10,
    /// News of a queue's worker: the number of the event, then what it is about, as JSON.
    Audit = 11,
    /// News of a client: a key that was read has changed since, or all have (null).
    Invalidated = 12,
    /// News of a timer: its time is over.
    Elapsed = 13,
    /// News of a client's subscriptions: a message. Its bytes; JSON: the pattern or null, the channel.
    Message = 14,
    /// News of a client's subscriptions: Redis refuses what was added by that number, for this reason.
    Refused = 15,
    /// News of what tells of expired sessions: a refusal, as JSON; or how many have no audit record.
    Expiry = 16,
}

/// The longest text that JavaScript takes, bytes: V8's limit, in UTF-16 units.
const LONGEST: usize = (1 << 29) - 24;

pub(crate) struct Completion {
    pub slot: u32,
    pub kind: Kind,
    pub number: f64,
    pub text: Option<Payload>,
    pub more: Option<String>,
    /// Of a message: that it waits.
    pub waits: Option<Waits>,
}

/// What a completion carries.
pub enum Payload {
    Text(String),
    Bytes(Vec<u8>),
}

impl Payload {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Completion {
    /// The same, noted as a message if it is one.
    pub fn noted_in(mut self, backlog: &Arc<Backlog>) -> Self {
        if matches!(self.kind, Kind::Update | Kind::WebSocket | Kind::Message) {
            let text = self.text.as_ref().map_or(0, Payload::len);
            let more = self.more.as_ref().map_or(0, String::len);
            self.waits = Some(backlog.note(text + more + size_of::<Self>()));
        }
        self
    }
}

/// The messages of one audience that JavaScript has not got to.
#[derive(Default)]
pub(crate) struct Backlog {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Backlog {
    /// How many they are.
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn note(self: &Arc<Self>, bytes: usize) -> Waits {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Waits { backlog: self.clone(), bytes }
    }
}

/// A message waits, until this is dropped.
pub(crate) struct Waits {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.backlog.messages.fetch_sub(1, Ordering::Relaxed);
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The list, as all threads see it.
pub(crate) struct Queue {
    /// JavaScript's thread, which wakes itself without another thread's help.
    thread: ThreadId,
    wake: Weak<Wake>,
    list: Mutex<VecDeque<Completion>>,
    /// How many of them tell of changed keys.
    invalidations: AtomicUsize,
    /// Wakes the task that wakes JavaScript: it runs after whatever is being answered now, so
    /// that one wake-up serves a whole batch.
    flush: Notify,
}

impl Queue {
    /// The list of the thread that makes it.
    fn new(wake: &Arc<Wake>) -> Self {
        Self {
            thread: std::thread::current().id(),
            wake: Arc::downgrade(wake),
            list: Mutex::default(),
            invalidations: AtomicUsize::new(0),
            flush: Notify::new(),
        }
    }

    pub fn push(&self, completion: Completion) {
        if completion.kind == Kind::Invalidated {
            self.invalidations.fetch_add(1, Ordering::Relaxed);
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let first = list.is_empty();
        list.push_back(completion);
        drop(list);
        if first {
            self.wake();
        }
    }

    /// Has JavaScript drain the list in a turn of its event loop: never in the call that is going on.
    fn wake(&self) {
        if std::thread::current().id() != self.thread {
            self.flush.notify_one();
        } else if let Some(wake) = self.wake.upgrade() {
            // Anything but success: the environment has ended.
            let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// How much of it tells of changed keys.
    pub fn invalidations(&self) -> usize {
        self.invalidations.load(Ordering::Relaxed)
    }

    /// The oldest; JavaScript is woken again for the rest.
    fn take(&self, most: usize) -> VecDeque<Completion> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() <= most {
            return std::mem::take(&mut *list);
        }
        self.flush.notify_one();
        list.drain(..most).collect()
    }
}

/// The duty to end one call. Dropped without an answer (a task that panicked), it says so.
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    slot: u32,
    open: bool,
}

impl Ticket {
    pub fn done(self, number: f64) {
        self.end(Kind::Done, number, None);
    }

    pub fn text(self, text: String, number: f64) {
        if text.len() > LONGEST {
            let reason = "the reply is longer than a string of JavaScript can be";
            return self.failed(&Error::Reply { message: reason.into() });
        }
        self.end(Kind::Text, number, Some(text.into()));
    }

    pub fn bytes(self, bytes: Vec<u8>) {
        self.end(Kind::Text, 0.0, Some(bytes.into()));
    }

    /// The end of a call that answers with a number, or fails.
    pub fn outcome(self, outcome: crate::error::Result<f64>) {
        match outcome {
            Ok(number) => self.done(number),
            Err(error) => self.failed(&error),
        }
    }

    pub fn part(&self, text: Option<impl Into<Payload>>, number: f64) {
        let (slot, kind, text) = (self.slot, Kind::Part, text.map(Into::into));
        self.queue.push(Completion { slot, kind, number, text, more: None, waits: None });
    }

    pub fn failed_part(&self, error: &Error) {
        let (slot, kind, text) = (self.slot, Kind::Part, Some(to_wire(error).into()));
        self.queue.push(Completion { slot, kind, number: -1.0, text, more: None, waits: None });
    }

    pub fn failed(self, error: &Error) {
        self.end(Kind::Failed, 0.0, Some(to_wire(error).into()));
    }

    fn end(mut self, kind: Kind, number: f64, text: Option<Payload>) {
        self.open = false;
        self.queue.push(Completion {
            slot: self.slot,
            kind,
            number,
            text,
            more: None,
            waits: None,
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            let error = Error::unknown("an internal error; please report it");
            let (slot, kind, text) = (self.slot, Kind::Failed, Some(to_wire(&error).into()));
            self.queue.push(Completion { slot, kind, number: 0.0, text, more: None, waits: None });
        }
    }
}

/// An error as `lib/realm/errors.js` reads it. The session id is known there.
pub(super) fn to_wire(error: &Error) -> String {
    let mut wire = serde_json::json!({ "code": error.code(), "message": error.to_string() });
    match error {
        Error::ConcurrentModification { expected, actual, .. } => {
            wire["expectedVersion"] = (*expected).into();
            wire["actualVersion"] = (*actual).into();
        }
        Error::Deserialization { raw, session_id } => {
            wire["rawData"] = raw.as_str().into();
            wire["sessionId"] = session_id.as_str().into();
        }
        Error::InvalidState { field, reason } => {
            wire["field"] = field.as_str().into();
            wire["reason"] = reason.as_str().into();
        }
        Error::BacklogFull { limit } => wire["limit"] = (*limit).into(),
        Error::Database { message, sqlstate } => {
            wire["reason"] = message.as_str().into();
            wire["sqlstate"] = sqlstate.as_deref().into();
        }
        Error::Unavailable { reason } | Error::OutcomeUnknown { reason } => {
            wire["reason"] = reason.as_str().into();
        }
        _ => {}
    }
    wire.to_string()
}

/// Wakes JavaScript. Weak: by itself it does not keep the process alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The JavaScript thread's side.
pub(crate) struct Lane {
    pub queue: Arc<Queue>,
    env: sys::napi_env,
    wake: Arc<Wake>,
    /// Calls in flight and subscriptions: while there are any, the process stays alive.
    holds: Cell<u32>,
}

impl Lane {
    pub fn ticket(&self, slot: u32) -> Ticket {
        self.hold();
        Ticket { queue: self.queue.clone(), slot, open: true }
    }

    fn hold(&self) {
        let holds = self.holds.get();
        self.holds.set(holds + 1);
        if holds == 0 && !self.wake.aborted() {
            // SAFETY: called on the JavaScript thread, from a call of that same environment,
            // which therefore lives; the function has not been released, as `wake` owns it.
            unsafe { sys::napi_ref_threadsafe_function(self.env, self.wake.raw()) };
        }
    }

    fn release(&self, count: u32) {
        let holds = self.holds.get().saturating_sub(count);
        self.holds.set(holds);
        if count > 0 && holds == 0 && !self.wake.aborted() {
            // SAFETY: as in `hold`.
            unsafe { sys::napi_unref_threadsafe_function(self.env, self.wake.raw()) };
        }
    }
}

/// The way back to one realm of JavaScript.
#[napi]
pub struct Completions {
    pub(crate) lane: Rc<Lane>,
    stop: Arc<Notify>,
}

type Settle<'a> = Function<'a, FnArgs<(u32, u32, f64, Option<Payload>, Option<Text>)>, ()>;

#[napi]
impl Completions {
    /// `wake` is called when there is something to drain.
    #[napi(constructor)]
    pub fn new(env: Env, wake: Function<'_, (), ()>) -> Result<Self> {
        let wake: Arc<Wake> = Arc::new(
            wake.build_threadsafe_function::<()>()
                .weak::<true>()
                .callee_handled::<false>()
                .build()?,
        );
        let queue = Arc::new(Queue::new(&wake));
        let stop = Arc::new(Notify::new());
        IO.spawn(flush(queue.clone(), wake.clone(), stop.clone()))?;
        let lane = Lane { queue, env: env.raw(), wake, holds: Cell::new(0) };
        Ok(Self { lane: Rc::new(lane), stop })
    }

    /// Calls `settle(slot, kind, number, text, more)` for what has come, for `most` at most. For how
    /// many it did.
    #[napi]
    pub fn drain(
        &self,
        #[napi(
            ts_arg_type = "(slot: number, kind: number, number: number, text: string | Buffer | null, more: string | null) => void"
        )]
        settle: Settle<'_>,
        most: u32,
    ) -> Result<u32> {
        let mut ended = 0;
        let mut outcome = Ok(());
        let taken = self.lane.queue.take(usize::try_from(most).unwrap_or(usize::MAX));
        let count = u32::try_from(taken.len()).unwrap_or(most);
        for completion in taken {
            let Completion { slot, kind, number, text, more, waits } = completion;
            drop(waits);
            ended += u32::from(matches!(kind, Kind::Done | Kind::Text | Kind::Failed));
            if kind == Kind::Invalidated {
                self.lane.queue.invalidations.fetch_sub(1, Ordering::Relaxed);
            }
            let arguments = (slot, kind as u32, number, text, more.map(Text));
            // One that throws must not cost the others their answer.
            outcome = outcome.and(settle.call(arguments.into()));
        }
        self.lane.release(ended);
        outcome.map(|()| count)
    }

    /// Tells `slot` (`Kind::Elapsed`) after so many milliseconds. Does not keep the process alive.
    #[napi]
    pub fn after(&self, slot: u32, ms: u32) -> Result<()> {
        // A timer that nobody waits for any more keeps nothing.
        let queue = Arc::downgrade(&self.lane.queue);
        IO.spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms.into())).await;
            if let Some(queue) = queue.upgrade() {
                let kind = Kind::Elapsed;
                queue.push(Completion {
                    slot,
                    kind,
                    number: 0.0,
                    text: None,
                    more: None,
                    waits: None,
                });
            }
        })
    }

    /// Keeps the process alive until `release`.
    #[napi]
    pub fn hold(&self) {
        self.lane.hold();
    }

    /// Undoes one `hold`.
    #[napi]
    pub fn release(&self) {
        self.lane.release(1);
    }

    /// Ends the way back: nothing is delivered any more, and JavaScript's function is let go.
    #[napi]
    pub fn close(&self) {
        self.stop.notify_one();
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        self.close();
    }
}

async fn flush(queue: Arc<Queue>, wake: Arc<Wake>, stop: Arc<Notify>) {
    loop {
        tokio::select! {
            () = queue.flush.notified() => {}
            () = stop.notified() => return,
        }
        if wake.call((), ThreadsafeFunctionCallMode::NonBlocking) != Status::Ok {
            return; // The environment has ended.
        }
    }
}

/// A text on its way to JavaScript: one byte a character where it is ASCII, as almost all are.
pub struct Text(String);

impl ToNapiValue for Text {
    /// # Safety
    /// `env` is the environment of the call in progress, as for every `ToNapiValue`.
    unsafe fn to_napi_value(env: sys::napi_env, Self(text): Self) -> Result<sys::napi_value> {
        if !text.is_ascii() {
            // SAFETY: the same `env`, valid by this function's own contract.
            return unsafe { String::to_napi_value(env, text) };
        }
        let mut value = std::ptr::null_mut();
        let length = isize::try_from(text.len()).unwrap_or(isize::MAX);
        // SAFETY: `env` is valid by contract; pointer and length are those of `text`, which
        // outlives the call; Node copies the bytes before it returns.
        check_status!(unsafe {
            sys::napi_create_string_latin1(env, text.as_ptr().cast(), length, &mut value)
        })?;
        Ok(value)
    }
}

impl ToNapiValue for Payload {
    /// # Safety
    /// `env` is the environment of the call in progress, as for every `ToNapiValue`.
    unsafe fn to_napi_value(env: sys::napi_env, payload: Self) -> Result<sys::napi_value> {
        let bytes = match payload {
            // SAFETY: the same `env`, valid by this function's own contract.
            Self::Text(text) => return unsafe { Text::to_napi_value(env, Text(text)) },
            Self::Bytes(bytes) => bytes,
        };
        let mut value = std::ptr::null_mut();
        // SAFETY: `env` is valid by contract; pointer and length are those of `bytes`, which
        // outlives the call; Node copies the bytes before it returns.
        check_status!(unsafe {
            sys::napi_create_buffer_copy(
                env,
                bytes.len(),
                bytes.as_ptr().cast(),
                std::ptr::null_mut(),
                &mut value,
            )
        })?;
        Ok(value)
    }
}
