//! `user_names`: what to call each user.

use eddy_schemas::Name;
use eddy_schemas::rows::{UserNames, UserNamesKey};
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::Groups;
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::latest::Names;
use crate::sums::Teller;

pub type Row = UserNames;

#[derive(Default)]
struct State {
    names: Groups<Name, Names>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::UserNames, |key, left| state.names.touch(key.name()?).restore(left));
        state
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<UserNames>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(user) = update.version.user {
            self.names.fetch(&user, step);
        }
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(user), Some(created_at), true) = (version.user, version.created_at, version.is_live()) else { return };
        let names = self.names.touch(user);
        if update.is_sealed() {
            if names.seal(created_at, version.id, version.user_name) {
                names.say(Kind::UserNames, user, &mut self.sums);
            }
        } else {
            names.change(created_at, version.id, version.user_name, live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<UserNames>>) {
        self.names.close(|user, _, name| {
            out.push(RowChange { key: UserNamesKey { user }, row: name.map(|name| UserNames { name }) });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<UserNames>> {
    fold(inputs.by_user(), "UserNames", State::new(inputs.teller()))
}
