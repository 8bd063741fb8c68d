//! `user_names`: what to call each user.

use eddy_schemas::Name;
use eddy_schemas::rows::{UserNames, UserNamesKey};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::Groups;
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::latest::Names;

pub type Row = UserNames;

#[derive(Default)]
struct State(Groups<Name, Names>);

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<UserNames>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(user) = update.version.user {
            self.0.fetch(&user, step);
        }
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        if let (Some(user), Some(created_at), true) = (version.user, version.created_at, live != 0) {
            self.0.touch(user).change(created_at, version.id, version.user_name, live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<UserNames>>) {
        self.0.close(|user, _, name| {
            out.push(RowChange { key: UserNamesKey { user }, row: name.map(|name| UserNames { name }) });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<UserNames>> {
    fold(inputs.by_user(), "UserNames", State::default())
}
