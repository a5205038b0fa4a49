//! Where an operation comes from: a handle, as its store knows it.

use std::sync::atomic::AtomicBool;

/// The number of a handle, which tells its operations from those of others.
pub(super) type HandleId = u64;

/// The handle that an operation comes by.
#[derive(Debug)]
pub(super) struct Origin {
    /// Its number.
    pub handle_id: HandleId,
    /// Whether it is closed.
    pub is_closed: AtomicBool,
}
