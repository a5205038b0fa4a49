//! Whom TLS trusts, for Redis and for PostgreSQL.
//!
//! - [`trust`]: what is trusted, from settings. `verifier`: how a server's certificate is verified, by
//!   the `authorities` that are given and its `common_name`, both in `der`.

mod authorities;
mod common_name;
mod der;
pub(crate) mod trust;
pub(crate) mod verifier;
