//! `NativeExpiry`: tells of the expired sessions of a manager.

use std::sync::Arc;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use tokio::sync::watch;

use super::client::NativeClient;
use super::completions::{Completion, Completions, Kind, Queue, to_wire};
use super::runtime::IO;
use super::store::NativeStore;
use crate::session::expiry::Trouble;

/// Tells of the expired sessions of a manager, until it is ended or its client is closed.
#[napi]
pub struct NativeExpiry {
    ended: watch::Sender<bool>,
}

#[napi]
impl NativeExpiry {
    /// News for `slot`, as `Kind` lists it.
    #[napi(constructor)]
    pub fn new(
        completions: &Completions,
        client: &NativeClient,
        store: &NativeStore,
        slot: u32,
    ) -> Result<Self> {
        let (ended, mut seen) = watch::channel(false);
        let mut closed = client.closed.subscribe();
        let queue = completions.lane.queue.clone();
        let run = store.store.expiry().run(move |trouble| tell(&queue, slot, trouble));
        IO.spawn(async move {
            tokio::select! {
                () = run => {}
                _ = seen.wait_for(|ended| *ended) => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
        })?;
        Ok(Self { ended })
    }

    /// Tells nothing any more.
    #[napi]
    pub fn end(&self) {
        self.ended.send_replace(true);
    }
}

fn tell(queue: &Arc<Queue>, slot: u32, trouble: Trouble) {
    let (number, text) = match trouble {
        Trouble::Unaudited(count) => (count as f64, None),
        Trouble::Refused(error) => (0.0, Some(to_wire(&error).into())),
    };
    queue.push(Completion { slot, kind: Kind::Expiry, number, text, more: None, waits: None });
}
