//! A session document: the JSON text of a state, as it is stored.
//!
//! A document is never decoded into values and encoded again, neither here nor in Redis: `[]`,
//! 2^53 and fields of the caller's own survive because their bytes are copied (law 4).
//!
//! - `draft`: a document that is written: validated, stamped, and put together around its version.
//! - `identity`: what the feed needs to know of one; `dates`: dates in documents.
//! - `members`: a JSON object read one level deep.

mod dates;
mod draft;
mod identity;
mod members;

pub use dates::{count_iso_strings, iso_timestamp};
pub use draft::{Draft, MAX_VERSION, Stamp};
pub use identity::Identity;
pub(crate) use members::{Members, escape};
