//! `community_names`: what to call each community.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityNames, CommunityNamesKey};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::Groups;
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::latest::Names;

pub type Row = CommunityNames;

#[derive(Default)]
struct State(Groups<Name, Names>);

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<CommunityNames>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(community) = update.version.community {
            self.0.fetch(&community, step);
        }
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        if let (Some(community), Some(created_at), true) = (version.community, version.created_at, live != 0) {
            self.0.touch(community).change(created_at, version.id, version.community_name, live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityNames>>) {
        self.0.close(|community, _, name| {
            out.push(RowChange { key: CommunityNamesKey { community }, row: name.map(|name| CommunityNames { name }) });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityNames>> {
    fold(inputs.by_community(), "CommunityNames", State::default())
}
