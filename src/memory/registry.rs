//! The stores of this process, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::store::Store;

static STORES: Mutex<BTreeMap<String, Entry>> = Mutex::new(BTreeMap::new());

struct Entry {
    store: Arc<Store>,
    /// How many handles are open.
    handles: usize,
    /// Whether it outlives its handles.
    keep: bool,
}

/// The store of a name for one more handle; a new one, if there is none.
pub(super) fn open(name: &str, keep: bool, new: impl FnOnce() -> Store) -> Arc<Store> {
    let mut stores = lock();
    let entry = stores.entry(name.to_owned()).or_insert_with(|| Entry {
        store: Arc::new(new()),
        handles: 0,
        keep,
    });
    entry.handles += 1;
    entry.keep |= keep;
    entry.store.clone()
}

/// Lets go of the store of a name, for one handle. Returns the store if that was its end.
pub(super) fn close(name: &str) -> Option<Arc<Store>> {
    let mut stores = lock();
    let entry = stores.get_mut(name)?;
    entry.handles -= 1;
    let has_ended = entry.handles == 0 && !entry.keep;
    // What it holds is freed by the caller, without the lock.
    if has_ended { stores.remove(name).map(|entry| entry.store) } else { None }
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Entry>> {
    STORES.lock().unwrap_or_else(PoisonError::into_inner)
}
