//! Which words of a command are keys, as the server's own table of commands says (`COMMAND`). Where the
//! server cannot say it of a key, as of the patterns of `SORT`, the others have to do.

use std::collections::HashMap;

use redis::Value;

use crate::redis::topology::slot::Slot;

/// The commands that a server knows. Those with subcommands are there by both words: `XGROUP|CREATE`.
#[derive(Debug, Default)]
pub(crate) struct CommandTable(HashMap<String, Box<[KeySpec]>>);

/// Where some of the keys of a command are.
#[derive(Debug)]
struct KeySpec {
    begin: Begin,
    find: Find,
}

/// The word where they begin.
#[derive(Debug)]
enum Begin {
    At(usize),
    /// Behind this word, which is looked for from here: from the end, where that is negative.
    Behind(String, i64),
}

/// Which words they are from there on.
#[derive(Debug)]
enum Find {
    /// Every `step`-th up to the `last`: counted from the first or, where it is negative, from the end.
    /// With a limit, only so large a part of the words is looked at: `2` is the first half.
    Range { last: i64, step: usize, limit: usize },
    /// As many as this word says, from another one on.
    Counted { count: usize, first: usize, step: usize },
}

/// The keys of a command are in several slots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CrossSlot;

impl CommandTable {
    /// Reads the answer to `COMMAND`, in RESP2. What cannot be read is left out.
    pub fn read(answer: Value) -> Self {
        let mut table = Self::default();
        table.add(answer);
        table
    }

    fn add(&mut self, commands: Value) {
        let Value::Array(commands) = commands else { return };
        for command in commands {
            let Value::Array(parts) = command else { continue };
            let mut parts = parts.into_iter();
            let Some(name) = parts.next().and_then(|name| text(&name)) else { continue };
            let range = parts.nth(2).zip(parts.next()).zip(parts.next());
            let specs = parts.nth(2).map(KeySpec::read_all).unwrap_or_default();
            let specs = match range {
                // A module's commands may be described by that alone.
                Some(((first, last), step)) if specs.is_empty() => {
                    KeySpec::of_range(&first, &last, &step).into_iter().collect()
                }
                _ => specs,
            };
            self.0.insert(name.to_ascii_uppercase(), specs.into());
            parts.next().into_iter().for_each(|subcommands| self.add(subcommands));
        }
    }

    /// The slot of a command's keys. `None`: it has none.
    pub fn slot_of(&self, words: &[&[u8]]) -> Result<Option<Slot>, CrossSlot> {
        let mut slot = None;
        for spec in self.specs_of(words) {
            for at in spec.keys(words) {
                let Some(key) = words.get(at) else { break };
                let of_key = Slot::of(key);
                if slot.replace(of_key).is_some_and(|slot| slot != of_key) {
                    return Err(CrossSlot);
                }
            }
        }
        Ok(slot)
    }

    fn specs_of(&self, words: &[&[u8]]) -> &[KeySpec] {
        let upper = |at: usize| {
            words.get(at).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
        };
        let Some(name) = upper(0) else { return &[] };
        let sub = upper(1).and_then(|sub| self.0.get(&format!("{name}|{sub}")));
        sub.or_else(|| self.0.get(&name)).map_or(&[], |specs| specs)
    }
}

impl KeySpec {
    fn read_all(specs: Value) -> Vec<Self> {
        let Value::Array(specs) = specs else { return Vec::new() };
        specs.iter().filter_map(Self::read).collect()
    }

    fn read(spec: &Value) -> Option<Self> {
        let begin = field(spec, "begin_search")?;
        let of = field(begin, "spec")?;
        let begin = match &*text(field(begin, "type")?)? {
            "index" => Begin::At(number(field(of, "index")?)?),
            "keyword" => {
                Begin::Behind(text(field(of, "keyword")?)?, integer(field(of, "startfrom")?)?)
            }
            _ => return None,
        };
        let find = field(spec, "find_keys")?;
        let of = field(find, "spec")?;
        let find = match &*text(field(find, "type")?)? {
            "range" => Find::Range {
                last: integer(field(of, "lastkey")?)?,
                step: number(field(of, "keystep")?)?,
                limit: number(field(of, "limit")?)?,
            },
            "keynum" => Find::Counted {
                count: number(field(of, "keynumidx")?)?,
                first: number(field(of, "firstkey")?)?,
                step: number(field(of, "keystep")?)?,
            },
            _ => return None,
        };
        Some(Self { begin, find })
    }

    /// By the numbers of the first and the last key, as servers have always told them.
    fn of_range(first: &Value, last: &Value, step: &Value) -> Option<Self> {
        let first = number(first).filter(|first| *first > 0)?;
        let last = integer(last)?;
        let last = if last < 0 { last } else { last.checked_sub(i64::try_from(first).ok()?)? };
        let find = Find::Range { last, step: number(step)?, limit: 0 };
        Some(Self { begin: Begin::At(first), find })
    }

    /// The numbers of the words that are keys; the last ones may be of words that are missing.
    fn keys(&self, words: &[&[u8]]) -> impl Iterator<Item = usize> + use<> {
        self.range(words).into_iter().flat_map(|(first, end, step)| (first..end).step_by(step))
    }

    /// The first key, what is behind the last one, and the step.
    fn range(&self, words: &[&[u8]]) -> Option<(usize, usize, usize)> {
        let begin = self.begin.find(words)?;
        let (first, end, step) = match self.find {
            Find::Range { last, step, limit } => {
                let part = match limit {
                    0 | 1 => words.len(),
                    limit => begin + words.len().checked_sub(begin)? / limit,
                };
                let end = if last < 0 {
                    (part + 1).checked_sub(usize::try_from(last.unsigned_abs()).ok()?)?
                } else {
                    begin.saturating_add(usize::try_from(last).ok()?).saturating_add(1)
                };
                (begin, end, step)
            }
            Find::Counted { count, first, step } => {
                let count = words.get(begin.checked_add(count)?)?;
                let count = std::str::from_utf8(count).ok()?.parse::<usize>().ok()?;
                let first = begin.checked_add(first)?;
                let end = first.saturating_add(count.min(words.len()).saturating_mul(step));
                (first, end, step)
            }
        };
        Some((first, end.min(words.len()), step.max(1)))
    }
}

impl Begin {
    fn find(&self, words: &[&[u8]]) -> Option<usize> {
        match self {
            Self::At(index) => Some(*index),
            Self::Behind(keyword, from) => {
                let is_keyword = |at: &usize| {
                    words.get(*at).is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()))
                };
                let found = if *from < 0 {
                    let back = usize::try_from(from.unsigned_abs()).ok()?;
                    (1..=words.len().checked_sub(back)?).rev().find(is_keyword)
                } else {
                    (usize::try_from(*from).ok()?..words.len()).find(is_keyword)
                };
                found.map(|at| at + 1)
            }
        }
    }
}

/// A field of a map, which is a list of names and values in RESP2.
fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Array(items) = map else { return None };
    let mut pairs = items.chunks_exact(2);
    pairs.find(|pair| text(&pair[0]).as_deref() == Some(name)).map(|pair| &pair[1])
}

fn text(value: &Value) -> Option<String> {
    redis::from_redis_value_ref(value).ok()
}

fn integer(value: &Value) -> Option<i64> {
    redis::from_redis_value_ref(value).ok()
}

fn number(value: &Value) -> Option<usize> {
    usize::try_from(integer(value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(begin: &str, find: &str) -> String {
        format!("*6\n+flags\n*0\n+begin_search\n{begin}\n+find_keys\n{find}\n")
    }

    fn index(at: u8) -> String {
        format!("*4\n+type\n+index\n+spec\n*2\n+index\n:{at}")
    }

    fn keyword(word: &str, from: i8) -> String {
        format!("*4\n+type\n+keyword\n+spec\n*4\n+keyword\n+{word}\n+startfrom\n:{from}")
    }

    fn range(last: i8, step: u8, limit: u8) -> String {
        format!(
            "*4\n+type\n+range\n+spec\n*6\n+lastkey\n:{last}\n+keystep\n:{step}\n+limit\n:{limit}"
        )
    }

    const COUNTED: &str =
        "*4\n+type\n+keynum\n+spec\n*6\n+keynumidx\n:0\n+firstkey\n:1\n+keystep\n:1";
    const UNKNOWN: &str = "*4\n+type\n+unknown\n+spec\n*0";

    fn command(name: &str, specs: &[String], subcommands: &str) -> String {
        let (count, specs) = (specs.len(), specs.concat());
        format!("*10\n+{name}\n:2\n*0\n:0\n:0\n:0\n*0\n*0\n*{count}\n{specs}{subcommands}")
    }

    fn table() -> CommandTable {
        let create = command("xgroup|create", &[spec(&index(2), &range(0, 1, 0))], "*0\n");
        let commands = [
            command("get", &[spec(&index(1), &range(0, 1, 0))], "*0\n"),
            command("mset", &[spec(&index(1), &range(-1, 2, 0))], "*0\n"),
            command("blpop", &[spec(&index(1), &range(-2, 1, 0))], "*0\n"),
            command("eval", &[spec(&index(2), COUNTED)], "*0\n"),
            command("xread", &[spec(&keyword("STREAMS", 1), &range(-1, 1, 2))], "*0\n"),
            command("migrate", &[spec(&keyword("KEYS", -2), &range(-1, 1, 0))], "*0\n"),
            command("sort", &[spec(&index(1), &range(0, 1, 0)), spec(UNKNOWN, UNKNOWN)], "*0\n"),
            command("ping", &[], "*0\n"),
            command("xgroup", &[], &format!("*1\n{create}")),
            "*6\n+of.module\n:2\n*0\n:2\n:-1\n:1\n".to_owned(),
        ];
        let text = format!("*{}\n{}", commands.len(), commands.concat()).replace('\n', "\r\n");
        CommandTable::read(redis::parse_redis_value(text.as_bytes()).expect("RESP2"))
    }

    fn keys(command: &str) -> Vec<String> {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let table = table();
        let keys = table.specs_of(&words).iter().flat_map(|spec| spec.keys(&words));
        keys.map(|at| String::from_utf8_lossy(words[at]).into_owned()).collect()
    }

    #[test]
    fn the_keys_are_where_the_server_says() {
        for (command, expected) in [
            ("GET a", "a"),
            ("get a b", "a"),
            ("MSET a 1 b 2", "a b"),
            ("BLPOP a b 0", "a b"),
            ("EVAL x 2 a b c", "a b"),
            ("EVAL x 0 a", ""),
            ("EVAL x 9 a b", "a b"),
            ("EVAL x -1 a", ""),
            ("XREAD COUNT 1 STREAMS a b 0 0", "a b"),
            ("XREAD COUNT 1", ""),
            ("MIGRATE h 1 x 0 5 KEYS a b", "a b"),
            ("SORT a BY w_* GET #", "a"),
            ("XGROUP CREATE a g $", "a"),
            ("XGROUP HELP", ""),
            ("OF.MODULE x a b", "a b"),
            ("PING a", ""),
            ("GET", ""),
            ("NONE a", ""),
        ] {
            assert_eq!(keys(command).join(" "), expected, "{command}");
        }
    }

    #[test]
    fn numbers_beyond_all_words_are_no_keys() {
        let words: Vec<&[u8]> = vec![b"X", b"9", b"a"];
        for number in [i64::MAX, i64::MIN, -1, 0] {
            let at = usize::try_from(number.unsigned_abs()).expect("64 bits");
            for begin in [Begin::At(at), Begin::At(1), Begin::Behind("X".into(), number)] {
                let range = Find::Range { last: number, step: at, limit: at };
                let counted = Find::Counted { count: 0, first: at, step: at };
                let begins = [begin.find(&words), Some(1)];
                for (find, at) in [range, counted].into_iter().zip(begins) {
                    let spec = KeySpec { begin: Begin::At(at.unwrap_or(1)), find };
                    spec.keys(&words).for_each(drop);
                }
            }
        }
    }

    #[test]
    fn keys_of_several_slots_are_told_from_keys_of_one() {
        let slot = |command: &str| {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            table().slot_of(&words)
        };
        assert_eq!(slot("MSET {a}1 1 {a}2 2"), Ok(Some(Slot::of(b"a"))));
        assert_eq!(slot("MSET a 1 b 2"), Err(CrossSlot));
        assert_eq!(slot("PING"), Ok(None));
        assert_eq!(slot(""), Ok(None));
    }
}
