//! `communities`: what was said in each subreddit or chat.

use eddy_schemas::rows::{Communities, CommunitiesKey};
use eddy_schemas::sums::Kind;
use eddy_schemas::{Name, Version};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Concat;

use crate::batch::{Batches, map, route};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::distinct::distinct;
use crate::sums::Teller;
use crate::times::Times;

pub type Row = Communities;

#[derive(Default)]
struct Community {
    messages: i64,
    characters: i64,
    removed: i64,
    posters: i64,
    conversations: i64,
    times: Times,
}

impl Group<Name> for Community {
    type Row = Communities;

    fn fetch(&self) {
        self.times.fetch();
    }

    fn row(&self, _: &Name) -> Option<Communities> {
        if self.messages == 0 && self.removed == 0 {
            return None;
        }
        Some(Communities {
            messages: self.messages,
            posters: self.posters,
            conversations: self.conversations,
            characters: self.characters,
            removed: self.removed,
            first_at: self.times.first().map(Second::get),
            last_at: self.times.last().map(Second::get),
        })
    }

    fn is_empty(&self) -> bool {
        self.messages == 0 && self.removed == 0 && self.posters == 0 && self.conversations == 0
    }
}

/// A community's distinct counts move.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Distinct {
    community: Name,
    posters: i8,
    conversations: i8,
}

#[derive(Default)]
struct State {
    communities: Groups<Name, Community>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::Communities, |key, left| {
            let community = state.communities.touch(key.name()?);
            for sum in [&mut community.messages, &mut community.characters, &mut community.removed] {
                *sum = left.int()?;
            }
            community.times.restore(left.maybe_int()?, left.maybe_int()?);
            Ok(())
        });
        state
    }

    fn seal(&mut self, community: Name, version: &Version) {
        let created_at = version.created_at.filter(|_| version.is_live());
        if let Some(created_at) = created_at {
            self.communities.touch(community).times.seal(Second::new(created_at));
        }
        let live = i64::from(version.is_live());
        self.sums.say(
            Kind::Communities,
            |key| key.name(community),
            |left| {
                let left = left.int(live).int(live * i64::from(version.characters)).int(1 - live);
                left.maybe_int(created_at).maybe_int(created_at)
            },
        );
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Distinct;
    type Out = RowChange<Communities>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(community) = update.version.community {
            self.communities.fetch(&community, step);
        }
    }

    fn fetch_aside(&self, distinct: &Distinct, step: usize) {
        self.communities.fetch(&distinct.community, step);
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        let Some(community) = version.community else { return };
        if update.is_sealed() {
            return self.seal(community, version);
        }
        let community = self.communities.touch(community);
        match version.created_at {
            _ if version.tombstone => community.removed += i64::from(update.diff),
            Some(created_at) => {
                let live = i64::from(update.diff);
                community.messages += live;
                community.characters += live * i64::from(version.characters);
                community.times.change(Second::new(created_at), live);
            }
            None => unreachable!("what lives has a time"),
        }
    }

    fn aside(&mut self, distinct: &Distinct) {
        let community = self.communities.touch(distinct.community);
        community.posters += i64::from(distinct.posters);
        community.conversations += i64::from(distinct.conversations);
    }

    fn close(&mut self, out: &mut Vec<RowChange<Communities>>) {
        self.communities.close(|community, _, row| out.push(RowChange { key: CommunitiesKey { community }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Communities>> {
    let posters =
        map(inputs.user_communities(), |pair| Distinct { community: pair.right, posters: pair.diff, conversations: 0 });
    let posters = route(posters, "PostersByCommunity", |distinct: &Distinct| distinct.community.route());
    let conversations = distinct(inputs.by_community(), Kind::CommunityConversations, inputs.teller(), |v| Some((v.community?, v.conversation)));
    let conversations = map(conversations, |pair| Distinct { community: pair.left, posters: 0, conversations: pair.diff });
    fold_with(inputs.by_community(), posters.concat(conversations), "Communities", State::new(inputs.teller()))
}
