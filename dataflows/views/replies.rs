//! `replies`: live replies of a user to messages of another that are held in the same conversation.

use eddy_schemas::Name;
use eddy_schemas::rows::{Replies, RepliesKey};

use crate::batch::{Batches, route};
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::Inputs;
use crate::outputs::RowChange;
use crate::streams::answers::{Answer, answers_of};

pub type Row = Replies;

#[derive(Default)]
struct Count(i64);

impl<K> Group<K> for Count {
    type Row = Replies;
    fn row(&self, _: &K) -> Option<Replies> {
        (self.0 > 0).then_some(Replies { replies: self.0 })
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

#[derive(Default)]
struct State(Groups<(Name, Name), Count>);

impl Fold for State {
    type Main = Answer;
    type Aside = Nothing;
    type Out = RowChange<Replies>;

    fn fetch(&self, answer: &Answer, step: usize) {
        self.0.fetch(&(answer.user, answer.to_user), step);
    }

    fn main(&mut self, answer: &Answer) {
        self.0.touch((answer.user, answer.to_user)).0 += answer.diff;
    }

    fn close(&mut self, out: &mut Vec<RowChange<Replies>>) {
        self.0.close(|(user, to_user), _, row| out.push(RowChange { key: RepliesKey { user, to_user }, row }));
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Replies>> {
    let answers = route(answers_of(inputs.by_conversation()), "AnswersByUser", |answer: &Answer| answer.user.route());
    fold(answers, "Replies", State::default())
}
