//! A Lua script that is sent by its digest, and whole where the server does not know it.

use redis::Cmd;

/// A script's source and the digest that Redis knows it by.
pub struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    /// A script from its source.
    pub fn new(source: &'static str) -> Self {
        let digest = redis::Script::new(source).get_hash().to_owned();
        Self { source, digest }
    }

    /// The command that runs it on these keys; the caller appends the arguments.
    ///
    /// `EVAL` leaves the script in the server's cache, so one round trip with the source heals a
    /// flushed cache for everyone.
    pub fn command(&self, with_source: bool, keys: &[&str]) -> Cmd {
        let mut command = Cmd::new();
        if with_source {
            command.arg("EVAL").arg(self.source);
        } else {
            command.arg("EVALSHA").arg(&self.digest);
        }
        command.arg(keys.len()).arg(keys);
        command
    }
}
