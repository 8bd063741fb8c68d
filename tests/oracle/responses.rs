//! `responses`: community, day -> posts, answered, median_s, p90_s. Live posts created that day, how many of
//! them got a first response within 86,400 s, and the percentiles of those seconds, nearest-rank: the
//! least that at least half (nine tenths) of them do not exceed; empty where none was answered.
//!
//! OPEN: within means at most. OPEN: a post counts for the day it was created from the moment it is held,
//! with no wait for its 86,400 s to pass, so W does not matter here. OPEN: a post without a community
//! counts nowhere.

use super::posts::{held_posts, sealed_posts};
use super::{Held, Row, day, show};
use std::collections::BTreeMap;

pub const COLUMNS: &[&str] = &["community", "day", "posts", "answered", "median_s", "p90_s"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut days: BTreeMap<(&str, i64), Vec<Option<i64>>> = BTreeMap::new();
    for (post, response_s) in held_posts(held).into_iter().chain(sealed_posts(held)) {
        if let Some(community) = &post.community {
            days.entry((community, day(post))).or_default().push(response_s);
        }
    }
    let mut rows = vec![];
    for ((community, day), responses) in days {
        let mut seconds: Vec<i64> = responses.iter().flatten().copied().filter(|seconds| *seconds <= 86_400).collect();
        seconds.sort();
        rows.push(vec![
            community.to_owned(),
            day.to_string(),
            responses.len().to_string(),
            seconds.len().to_string(),
            show(percentile(&seconds, 50)),
            show(percentile(&seconds, 90)),
        ]);
    }
    rows
}

/// Of `n` sorted values the one at rank `percent / 100 * n`, rounded up, counted from 1.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
