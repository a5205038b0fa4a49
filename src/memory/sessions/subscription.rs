//! What is published in a store.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::topics::{Heard, ListenerId, Next};
use crate::engine::status::{Status, StatusSink};
use crate::engine::subscription::{Event, Gap, Interest, Listening, Stored, Subscription};
use crate::keys::Keys;
use crate::memory::store::Store;

/// A subscription to what is published under some names.
pub struct MemorySubscription {
    store: Arc<Store>,
    keys: Keys,
    status: StatusSink,
    listener: ListenerId,
    wake: Arc<Notify>,
    interest: Interest,
    /// What was taken from the store, and not told yet.
    heard: VecDeque<Heard>,
}

impl MemorySubscription {
    pub(in crate::memory) fn new(store: Arc<Store>, keys: Keys, status: StatusSink) -> Self {
        let (listener, wake) = store.step(|state, _| state.contents.topics.add(keys.clone()));
        let (interest, heard) = (Interest::default(), VecDeque::new());
        Self { store, keys, status, listener, wake, interest, heard }
    }

    fn event(&self, heard: &Heard) -> Event {
        match heard {
            Heard::Message(message) => message.read(&self.keys),
            Heard::Marker(marker) => Event::Marker(*marker),
        }
    }

    fn lost(&self, reason: String) -> Event {
        (self.status)(Status::Reconnecting { reason: reason.clone() });
        Event::Lost { reason }
    }
}

impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return self.event(&heard);
            }
            let listener = self.listener;
            match self.store.step(|state, at| state.contents.topics.next(listener, at.now)) {
                Next::Heard(heard) => self.heard = heard,
                Next::Lost(reason) => return self.lost(reason),
                Next::Up { gap } => {
                    (self.status)(Status::Ready);
                    return Event::Confirmed { gap: gap.map(Gap::of_all), is_all: true };
                }
                Next::Nothing => self.wake.notified().await,
            }
        }
    }

    async fn listen_to(&mut self, interest: Interest) -> Result<Listening, Event> {
        let before = std::mem::replace(&mut self.interest, interest);
        let listener = self.listener;
        let holds = self.store.step(|state, _| state.contents.topics.listen_to(listener, interest));
        if interest == Interest::default() {
            self.heard.clear();
            (self.status)(Status::Idle);
        } else if before == Interest::default() {
            (self.status)(Status::Connecting);
        }
        Ok(if holds { Listening::Confirmed } else { Listening::Later })
    }

    async fn reread(
        &mut self,
        session_ids: &[String],
        marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        let Self { listener, keys, .. } = &*self;
        let stored = self.store.step(|state, at| {
            state.contents.topics.mark(*listener, marker).then(|| {
                let stored = |id: &String| state.contents.sessions.get(&keys.session(id), at.now);
                let document = |id| stored(id).map(|session| session.document.clone());
                session_ids.iter().map(document).collect::<Vec<_>>()
            })
        });
        let Some(stored) = stored else {
            // It is told here; `next` is not to tell it once more.
            let reason = format!("{} cannot be reached", self.store.display);
            return Err(self.give_up(reason.clone()).unwrap_or(Event::Lost { reason }));
        };
        let stored_as = |document: Option<Arc<str>>| {
            document.map_or(Stored::Nothing, |document| Stored::Document((*document).into()))
        };
        Ok(Some(stored.into_iter().map(stored_as).collect()))
    }

    fn caught_up(&mut self) {
        let listener = self.listener;
        self.store.step(|state, _| state.contents.topics.caught_up(listener));
    }

    fn give_up(&mut self, reason: String) -> Option<Event> {
        self.heard.clear();
        let listener = self.listener;
        let listens = self.store.step(|state, at| state.contents.topics.give_up(listener, at.now));
        listens.then(|| self.lost(reason))
    }

    fn closed(&self) {
        (self.status)(Status::Closed);
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.store.step(|state, _| state.contents.topics.remove(self.listener));
    }
}
