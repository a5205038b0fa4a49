//! Whether two engines tell the same story of a history.
//!
//! The history is played on Redis first, where operations that are asked together race. Which of them
//! was executed first is not observed: the other engine, on which a history costs microseconds, plays
//! it again with one allowed order after the other, until it tells what Redis told. So nothing has to be
//! known of a race but which orders are right, and a difference is one that no right order explains.

use std::time::{Duration, Instant};

use crate::history::{History, Step};
use crate::names::Names;
use crate::orders::orders;
use crate::play::{Story, play};
use crate::side::{Memory, Redis};

/// A history that took longer may have had time-outs that were not in it, and is played again, so often.
const LONGEST: Duration = Duration::from_millis(1500);
const AGAIN: usize = 10;

/// The most orders of a whole history that are tried.
const MOST: usize = 5000;

/// How two engines differ, in words; `None`: they do not.
pub async fn difference(redis: &mut Redis, names: &Names, history: &History) -> Option<String> {
    let mut told = None;
    for _ in 0..AGAIN {
        let began = Instant::now();
        let story = play(redis, names, history, None).await;
        if began.elapsed() < LONGEST {
            told = Some(story);
            break;
        }
    }
    let Some(told) = told else { return Some(String::from("Redis takes too long")) };
    let orders = orders(history, names);
    // By step, how many steps with orders begin before it ends.
    let begun: Vec<usize> = history
        .steps
        .iter()
        .scan(0, |count, step| {
            *count += usize::from(matches!(step, Step::Together(_)));
            Some(*count)
        })
        .collect();
    let mut chosen = vec![0; orders.len()];
    let mut closest: Option<(usize, String)> = None;
    for _ in 0..MOST {
        let order: Vec<Vec<usize>> =
            orders.iter().zip(&chosen).map(|(orders, at)| orders[*at].clone()).collect();
        let replayed = play(&mut Memory::new(), names, history, Some(&order)).await;
        let (step, words) = first_difference(&told, &replayed)?;
        if closest.as_ref().is_none_or(|(closest, _)| step > *closest) {
            closest = Some((step, words));
        }
        // The next order of the last step that can have made the difference.
        let upto = begun.get(step).copied().unwrap_or(orders.len());
        let Some(at) = (0..upto).rev().find(|at| chosen[*at] + 1 < orders[*at].len()) else {
            break;
        };
        chosen[at] += 1;
        chosen[at + 1..].fill(0);
    }
    closest.map(|(_, words)| words)
}

fn first_difference(told: &Story, replayed: &Story) -> Option<(usize, String)> {
    let step = (0..told.len()).find(|step| told[*step] != replayed[*step])?;
    let of = |story: &Story| story[step].clone();
    let (ours, theirs) = (of(told), of(replayed));
    let line = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or_default();
    let at = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
    Some((
        step,
        format!("step {step}, line {line}:\nRedis:  {}\nmemory: {}", at(&ours), at(&theirs)),
    ))
}
