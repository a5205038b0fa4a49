//! The command that looks at one document.

use redis::Value;

use super::context::Context;
use super::reply::{document, wrong_type};
use crate::error::Result;
use crate::operation::session::Get;
use crate::redis::command::{About, AsCommand};
use crate::redis::place::Place;
use crate::redis::request::Attempt;
use crate::redis::resp::encode::Command;

impl AsCommand for Get {
    type Context = Context;

    fn encode(&self, context: &Context, _attempt: &Attempt, out: &mut Vec<u8>) {
        Command::new(out, 2)
            .word("GET")
            .named(&context.names(&self.session_id).keys.session_prefix, &self.session_id);
    }

    fn about(&self, context: &Context) -> About {
        About::Reads(context.hash(&self.session_id))
    }

    fn place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        context.place(&self.session_id)
    }

    fn documents(&self) -> usize {
        1
    }

    fn read(self, _context: &Context, reply: Result<Value>) -> Result<Option<String>> {
        let value = reply.map_err(|error| wrong_type(error, &self.session_id))?;
        document(value, &self.session_id)
    }
}
