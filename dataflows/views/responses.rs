//! `responses`: the posts of a community by the day on which they were created, how many of them were answered within a day, and how soon.

use eddy_schemas::Name;
use eddy_schemas::rows::{Responses, ResponsesKey};
use eddy_schemas::sums::Kind;
use serde::{Deserialize, Serialize};

use crate::batch::{Batches, flat_map, route};
use crate::calendar;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment};
use crate::outputs::RowChange;
use crate::sorted::SortedBag;
use crate::streams::posts::{Post, PostChange};
use crate::sums::Teller;
use crate::until::Until;

pub type Row = Responses;

type Key = (Name, i32);

/// A response that comes later is none here, seconds.
const ANSWERED_S: i64 = 86_400;

/// A post of a day comes (`diff` 1) or goes (-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DayPost {
    pub community: Name,
    pub day: i32,
    pub answered_s: Option<i32>,
    pub diff: i8,
}

/// Seconds that no response takes.
pub(crate) const UNANSWERED: i64 = -1;

pub(crate) fn day_post(post: Option<Post>, diff: i8) -> Option<DayPost> {
    let post = post?;
    let day = i32::try_from(calendar::day(post.created_at.get())).expect("times are within a century");
    let answered_s = post.response_s.filter(|response| *response <= ANSWERED_S);
    let answered_s = answered_s.map(|response| i32::try_from(response).expect("at most a day"));
    Some(DayPost { community: post.community?, day, answered_s, diff })
}

fn changes(change: &PostChange) -> impl Iterator<Item = DayPost> + use<> {
    let (old, new) = (day_post(change.old, -1), day_post(change.new, 1));
    let same = old.map(|old| DayPost { diff: 1, ..old }) == new;
    old.into_iter().chain(new).filter(move |_| !same)
}

#[derive(Default)]
struct Day {
    posts: i64,
    answered_s: SortedBag<i32>,
}

impl Day {
    /// By nearest rank.
    fn percentile(&self, percent: usize) -> Option<i64> {
        let rank = (self.answered_s.len() * percent).div_ceil(100);
        self.answered_s.nth(rank.checked_sub(1)?).map(i64::from)
    }
}

impl Group<Key> for Day {
    type Row = Responses;

    fn row(&self, _: &Key) -> Option<Responses> {
        (self.posts > 0).then(|| Responses {
            posts: self.posts,
            answered: self.answered_s.len() as i64,
            median_s: self.percentile(50),
            p90_s: self.percentile(90),
        })
    }

    fn is_empty(&self) -> bool {
        self.posts == 0
    }
}

struct State {
    days: Groups<Key, Day>,
    rows: Until<Name>,
    sums: Teller,
}

impl State {
    /// Sealed posts come back with their threads; what is restored here are those that no thread has any more (`streams/posts.rs`).
    fn new(rows: Until<Name>, sums: Teller) -> State {
        let mut state = State { days: Groups::default(), rows, sums };
        state.sums.restore(Kind::Responses, |key, left| {
            let (day, community, answered_s, posts) = (key.int()? as i32, key.name()?, key.int()?, left.int()?);
            state.rows.add(day, community);
            let day = state.days.touch((community, day));
            day.posts += posts;
            if answered_s != UNANSWERED {
                (0..posts).for_each(|_| day.answered_s.change(answered_s as i32, 1));
            }
            Ok(())
        });
        state
    }
}

impl Fold for State {
    type Main = DayPost;
    type Aside = Moment;
    type Out = RowChange<Responses>;

    fn main(&mut self, post: &DayPost) {
        let key = (post.community, post.day);
        if self.rows.has_passed(post.day) {
            return;
        }
        if self.rows.is_on() && self.days.get(&key).is_none() {
            self.rows.add(post.day, post.community);
        }
        let day = self.days.touch(key);
        day.posts += i64::from(post.diff);
        if let Some(answered_s) = post.answered_s {
            day.answered_s.change(answered_s, i64::from(post.diff));
        }
    }

    fn aside(&mut self, moment: &Moment) {
        self.rows.pass(moment.watermark.get());
    }

    fn close(&mut self, out: &mut Vec<RowChange<Responses>>) {
        while let Some((day, communities)) = self.rows.next_passed() {
            communities.into_iter().for_each(|community| *self.days.touch((community, day)) = Day::default());
        }
        self.days.close(|(community, day), _, row| out.push(RowChange { key: ResponsesKey { community, day: i64::from(day) }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Responses>> {
    let posts = route(flat_map(inputs.posts(), changes), "PostsByCommunity", |post: &DayPost| post.community.route());
    let state = State::new(Until::days(inputs.keep.days_s), inputs.teller());
    fold_with(posts, inputs.moments(), "Responses", state)
}
