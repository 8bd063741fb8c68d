//! `replies`: live replies of a user to messages of another that are held in the same conversation.

use eddy_schemas::Name;
use eddy_schemas::rows::{Replies, RepliesKey};
use eddy_schemas::sums::Kind;

use crate::batch::{Batches, route};
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::Inputs;
use crate::outputs::RowChange;
use crate::streams::answers::{Answer, answers_of};
use crate::sums::Teller;

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

/// What sealed answers left is said where they are (`streams/answers.rs`).
#[derive(Default)]
struct State {
    pairs: Groups<(Name, Name), Count>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::Replies, |key, left| {
            state.pairs.touch((key.name()?, key.name()?)).0 = left.int()?;
            Ok(())
        });
        state
    }
}

impl Fold for State {
    type Main = Answer;
    type Aside = Nothing;
    type Out = RowChange<Replies>;

    fn fetch(&self, answer: &Answer, step: usize) {
        self.pairs.fetch(&(answer.user, answer.to_user), step);
    }

    fn main(&mut self, answer: &Answer) {
        self.pairs.touch((answer.user, answer.to_user)).0 += answer.diff;
    }

    fn close(&mut self, out: &mut Vec<RowChange<Replies>>) {
        self.pairs.close(|(user, to_user), _, row| out.push(RowChange { key: RepliesKey { user, to_user }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Replies>> {
    let answers = route(answers_of(inputs.by_conversation(), inputs.teller()), "AnswersByUser", |answer: &Answer| answer.user.route());
    fold(answers, "Replies", State::new(inputs.teller()))
}
