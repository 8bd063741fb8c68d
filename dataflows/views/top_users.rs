//! `top_users`: the ten users with most messages in each community, ties by user, bytewise.
//!
//! ```text
//!   counts (community, user) --once a tick--> ranking of the community: (most messages first, then name) --> first ten
//! ```

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use eddy_schemas::Name;
use eddy_schemas::rows::{TopUsers, TopUsersKey};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;

pub type Row = TopUsers;

const RANKS: usize = 10;

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

impl<K> Group<K> for Count {
    type Row = u32;
    fn row(&self, _: &K) -> Option<u32> {
        (self.0 > 0).then_some(self.0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[derive(Default)]
struct Ranking {
    all: BTreeSet<Ranked>,
    /// As said last.
    said: Vec<TopUsers>,
}

#[derive(Default)]
struct State {
    counts: Groups<(Name, Name), Count>,
    rankings: HashMap<Name, Ranking, foldhash::fast::FixedState>,
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<TopUsers>;

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if let (true, Some(community), Some(user)) = (version.is_live(), version.community, version.user) {
            let count = &mut self.counts.touch((community, user)).0;
            *count = count.checked_add_signed(i32::from(update.diff)).expect("retractions follow assertions");
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<TopUsers>>) {
        let (rankings, mut moved) = (&mut self.rankings, hashbrown::HashSet::with_hasher(foldhash::fast::FixedState::default()));
        self.counts.close(|(community, user), old, new| {
            let ranking = rankings.entry(community).or_default();
            old.map(|messages| ranking.all.remove(&Ranked::new(user, messages)));
            new.map(|messages| ranking.all.insert(Ranked::new(user, messages)));
            moved.insert(community);
        });
        for community in moved {
            let ranking = rankings.get_mut(&community).expect("made above");
            let top: Vec<TopUsers> = ranking
                .all
                .iter()
                .take(RANKS)
                .map(|ranked| TopUsers { user: ranked.user, messages: i64::from(ranked.messages) })
                .collect();
            for at in 0..top.len().max(ranking.said.len()) {
                let row = top.get(at).copied();
                if row != ranking.said.get(at).copied() {
                    out.push(RowChange { key: TopUsersKey { community, rank: at as u32 + 1 }, row });
                }
            }
            ranking.said = top;
            if ranking.all.is_empty() {
                rankings.remove(&community);
            }
        }
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<TopUsers>> {
    fold(inputs.by_community(), "TopUsers", State::default())
}
