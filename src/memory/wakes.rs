//! Who is woken after a step.

use std::sync::Arc;

use tokio::sync::Notify;

/// Whom to wake after the step, without the lock.
pub(super) type Wakes = Vec<Arc<Notify>>;
