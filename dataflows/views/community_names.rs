//! `community_names`: what to call each community.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityNames, CommunityNamesKey};
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::Groups;
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::latest::Names;
use crate::sums::Teller;

pub type Row = CommunityNames;

#[derive(Default)]
struct State {
    names: Groups<Name, Names>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::CommunityNames, |key, left| state.names.touch(key.name()?).restore(left));
        state
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<CommunityNames>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(community) = update.version.community {
            self.names.fetch(&community, step);
        }
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(community), Some(created_at), true) = (version.community, version.created_at, version.is_live()) else { return };
        let names = self.names.touch(community);
        if update.is_sealed() {
            if names.seal(created_at, version.id, version.community_name) {
                names.say(Kind::CommunityNames, community, &mut self.sums);
            }
        } else {
            names.change(created_at, version.id, version.community_name, live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityNames>>) {
        self.names.close(|community, _, name| {
            out.push(RowChange { key: CommunityNamesKey { community }, row: name.map(|name| CommunityNames { name }) });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityNames>> {
    fold(inputs.by_community(), "CommunityNames", State::new(inputs.teller()))
}
