//! The list of views, and how a set of them is built.

use eddy_schemas::View;

use crate::{Inputs, Outputs};

/// A view: what it is, and how it is built on a worker.
pub struct Definition {
    pub view: &'static View,
    pub build: for<'scope> fn(&Inputs<'scope>, &mut Outputs),
}

/// Lists views: each is a module with `type Row` and `fn rows(&Inputs) -> stream of RowChange`.
macro_rules! views {
    ($($module:ident,)+) => {
        $(pub mod $module;)+
        /// Every view, in the order in which they are listed everywhere.
        pub static VIEWS: &[Definition] = &[$(Definition {
            view: <$module::Row as eddy_schemas::Row>::VIEW,
            build: |inputs, outputs| outputs.rows($module::rows(inputs)),
        },)+];
    };
}

views! {
    users,
    conversations,
    communities,
    user_hours,
    community_hours,
    community_days,
    sessions,
    top_users,
    replies,
    messages,
    user_names,
    community_names,
    community_activity,
    community_week,
    responses,
    unanswered,
    user_states,
    cohorts,
}

#[cfg(test)]
mod tests;

/// The view of that name.
pub fn find(name: &str) -> Option<&'static Definition> {
    VIEWS.iter().find(|definition| definition.view.name == name)
}

/// Builds views on this worker, and what they need.
pub fn build(views: &[&'static Definition], inputs: &Inputs<'_>, outputs: &mut Outputs) {
    for definition in views {
        (definition.build)(inputs, outputs);
    }
}
