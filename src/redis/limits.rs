//! What cannot be promised with a server that refuses some commands, in words for its operator.

const WITHOUT_FENCE: &str = "it does not let this user end a connection (CLIENT SETNAME, ID, LIST, \
    KILL): a creation, a deletion or an update without a version whose answer is lost ends with \
    OutcomeUnknownError";

const WITHOUT_ROLE: &str = "it does not tell its role (HELLO, ROLE): if it becomes a replica, that \
    is noticed when it refuses a write";

/// What is to be known of a server. `None` where it allows all that this library relies on.
pub(crate) fn limits(has_fences: bool, tells_role: bool) -> Option<String> {
    let limits = [(has_fences, WITHOUT_FENCE), (tells_role, WITHOUT_ROLE)];
    let limits: Vec<&str> =
        limits.into_iter().filter(|(allowed, _)| !allowed).map(|(_, limit)| limit).collect();
    (!limits.is_empty()).then(|| limits.join("; "))
}
