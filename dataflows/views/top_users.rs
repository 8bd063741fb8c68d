//! `top_users`: the ten users with most messages in each community, ties by user, bytewise.
//!
//! ```text
//!   community -> users: [ user: messages ]*      top: [ the users that rank before `bound`, sorted ]      said: [ ten rows ]
//! ```
//!
//! Only the head of a ranking is kept sorted: a user of a million who writes and does not come near it costs a look at the bound.
//!
//! # Invariants
//! 1. `top` holds just the users that rank before `bound`; all of them where there is no bound. So it is at least the first ten, or
//!    everyone.
//! 2. A bound is moved when `top` has too few or too many, to a place that as many changes as a part of the community must wear out
//!    again: looking through all users costs each change a part of that, however many they are.

use std::cmp::{Ordering, Reverse};

use eddy_schemas::Name;
use eddy_schemas::rows::{TopUsers, TopUsersKey};
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::map::Map;
use crate::outputs::RowChange;
use crate::sorted::SortedBag;
use crate::sums::Teller;

pub type Row = TopUsers;

const RANKS: usize = 10;
/// So many of a community's users, at least, are kept sorted when the bound is moved,
const TOP_MIN: usize = if cfg!(test) { 12 } else { 64 };
/// and one in so many.
const TOP_PART: usize = if cfg!(test) { 8 } else { 128 };

/// A user's place in a ranking. The first bytes of the name settle most ties without a look at the string.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ranked {
    messages: u32,
    user: Name,
    prefix: u64,
}

impl Ranked {
    fn new(user: Name, messages: u32) -> Self {
        let bare = user.bare().as_bytes();
        let mut prefix = [0; 8];
        let bytes = bare.len().min(8);
        prefix[..bytes].copy_from_slice(&bare[..bytes]);
        Ranked { messages, user, prefix: u64::from_be_bytes(prefix) }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        // Users of one community are of one platform: the bare names compare as the keys do.
        Reverse(self.messages).cmp(&Reverse(other.messages)).then(self.prefix.cmp(&other.prefix)).then_with(|| {
            if self.user == other.user { Ordering::Equal } else { self.user.as_str().cmp(other.user.as_str()) }
        })
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Default)]
struct Count(u32);

impl Group<Name> for Count {
    type Row = u32;
    fn row(&self, _: &Name) -> Option<u32> {
        (self.0 > 0).then_some(self.0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[derive(Default)]
struct Ranking {
    users: Groups<Name, Count>,
    top: SortedBag<Ranked>,
    bound: Option<Ranked>,
    /// As said last.
    said: Vec<TopUsers>,
}

impl Ranking {
    /// How many to keep sorted.
    fn wanted(&self) -> usize {
        TOP_MIN.max(self.users.len() / TOP_PART)
    }

    /// Follows what the tick changed.
    fn close(&mut self) {
        let (top, bound) = (&mut self.top, self.bound);
        // The number settles it for most, without a look at the name.
        let in_top = |user, messages: u32| match bound {
            Some(bound) if messages < bound.messages => None,
            bound => Some(Ranked::new(user, messages)).filter(|ranked| bound.is_none_or(|bound| *ranked < bound)),
        };
        self.users.close(|user, old, new| {
            if let Some(old) = old.and_then(|messages| in_top(user, messages)) {
                assert!(top.remove(&old), "who ranks before the bound is there");
            }
            if let Some(new) = new.and_then(|messages| in_top(user, messages)) {
                top.insert(new);
            }
        });
        if self.top.len() > 2 * self.wanted() {
            self.lower();
        } else if self.top.len() < RANKS && self.top.len() < self.users.len() {
            self.raise();
        }
    }

    /// Leaves only the first of the top sorted.
    fn lower(&mut self) {
        let mut ranked = self.top.iter();
        let mut top = SortedBag::new();
        ranked.by_ref().take(self.wanted()).for_each(|ranked| top.insert(ranked));
        self.bound = ranked.next();
        self.top = top;
    }

    /// Looks for the first among all.
    fn raise(&mut self) {
        let wanted = self.wanted();
        let mut least = 1;
        if wanted < self.users.len() {
            // First by number alone: names are far away.
            let mut counts: Vec<u32> = self.users.iter().map(|(_, count)| count.0).filter(|count| *count > 0).collect();
            least = *counts.select_nth_unstable_by_key(wanted, |count| Reverse(*count)).1;
        }
        let users = self.users.iter().filter(|(_, count)| count.0 >= least);
        let mut all: Vec<Ranked> = users.map(|(user, count)| Ranked::new(user, count.0)).collect();
        self.bound = (wanted < all.len()).then(|| *all.select_nth_unstable(wanted).1);
        all.truncate(wanted);
        all.sort_unstable();
        self.top = SortedBag::new();
        all.into_iter().for_each(|ranked| self.top.insert(ranked));
    }

    fn rows(&self) -> Vec<TopUsers> {
        self.top.iter().take(RANKS).map(|ranked| TopUsers { user: ranked.user, messages: i64::from(ranked.messages) }).collect()
    }
}

#[derive(Default)]
struct State {
    rankings: Map<Name, Ranking>,
    /// Slots of the communities that this tick touched.
    moved: Vec<u32>,
    sums: Teller,
}

impl State {
    fn new(mut sums: Teller) -> State {
        let mut state = State { sums: Teller::default(), ..State::default() };
        sums.restore(Kind::TopUsers, |key, left| {
            state.change(key.name()?, key.name()?, left.int()? as i32);
            Ok(())
        });
        State { sums, ..state }
    }

    fn change(&mut self, community: Name, user: Name, diff: i32) {
        let slot = self.rankings.slot(community);
        let ranking = self.rankings.at_mut(slot);
        if !ranking.users.is_touched() {
            self.moved.push(slot);
        }
        let count = &mut ranking.users.touch(user).0;
        *count = count.checked_add_signed(diff).expect("retractions follow assertions");
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<TopUsers>;

    fn fetch(&self, update: &Update, step: usize) {
        let (Some(community), Some(user)) = (update.version.community, update.version.user) else { return };
        // There are few communities: what leads to one is at hand.
        if let Some(ranking) = self.rankings.get(&community) {
            ranking.users.fetch(&user, step);
        }
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if let (true, Some(community), Some(user)) = (version.is_live(), version.community, version.user) {
            if update.is_sealed() {
                return self.sums.say(Kind::TopUsers, |key| key.name(community).name(user), |left| left.int(1));
            }
            self.change(community, user, update.diff.into());
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<TopUsers>>) {
        for slot in self.moved.drain(..) {
            let community = self.rankings.key(slot);
            let ranking = self.rankings.at_mut(slot);
            ranking.close();
            let rows = ranking.rows();
            for at in 0..rows.len().max(ranking.said.len()) {
                let row = rows.get(at).copied();
                if row != ranking.said.get(at).copied() {
                    out.push(RowChange { key: TopUsersKey { community, rank: at as u32 + 1 }, row });
                }
            }
            ranking.said = rows;
            if ranking.users.is_empty() {
                self.rankings.remove(slot);
            }
        }
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<TopUsers>> {
    fold(inputs.by_community(), "TopUsers", State::new(inputs.teller()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of changes among some users; `most` is about how many messages one of them has.
    fn check(seed: u64, users: u64, most: u64) {
        let (mut ranking, mut model, mut state) = (Ranking::default(), std::collections::BTreeMap::new(), seed);
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for tick in 0..400 {
            // It grows, then shrinks to nothing; now and then the first ones leave, who wear the top out.
            let growing = tick < 200;
            for _ in 0..1 + random(60) {
                let user = match random(4) {
                    0 if !growing => ranking.top.iter().next().map_or(0, |ranked| ranked.user.bare()[1..].parse().expect("a number")),
                    _ => random(users),
                };
                let name = Name::new(eddy_schemas::name::REDDIT, &format!("u{user}"));
                let count: &mut u32 = model.entry(name).or_default();
                let up = *count == 0 || u64::from(*count) < most && random(3) > u64::from(!growing);
                if *count == 0 && !growing {
                    continue;
                }
                *count = if up { *count + 1 } else { *count - 1 };
                ranking.users.touch(name).0 = *count;
            }
            ranking.close();
            model.retain(|_, count| *count > 0);
            let mut expected: Vec<TopUsers> =
                model.iter().map(|(user, messages)| TopUsers { user: *user, messages: i64::from(*messages) }).collect();
            expected.sort_by_key(|row| (Reverse(row.messages), row.user.as_str()));
            expected.truncate(RANKS);
            assert_eq!(ranking.rows(), expected, "tick {tick} of check({seed}, {users}, {most})");
            assert!(ranking.top.len() <= 2 * ranking.wanted(), "tick {tick} of check({seed}, {users}, {most})");
        }
    }

    #[test]
    fn the_first_ten_are_those_of_a_whole_ranking() {
        for seed in 0..30 {
            check(seed, [5, 40, 400][seed as usize % 3], [1, 3, 50][seed as usize / 3 % 3]);
        }
    }
}
