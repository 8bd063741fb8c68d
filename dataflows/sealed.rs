//! For tests: what folds hold of messages that have been sealed.

use eddy_schemas::{MessageId, Name, Place, Version};

use crate::calendar::HOUR_S;
use crate::fold::Fold;
use crate::inputs::Update;

/// Messages that go through a fold.
pub const MESSAGES: i64 = 300;

/// Chains of replies by a few users in a few conversations, an hour apart.
pub fn version(n: i64) -> Version {
    let conversation = MessageId::submission(&(n % 7).to_string());
    let id = |n: i64| if n < 7 { MessageId::submission(&n.to_string()) } else { MessageId::comment(&n.to_string()) };
    Version {
        id: id(n),
        conversation,
        parent: (n >= 7).then(|| id(n - 7)),
        community: Some(Name::of("reddit:sealed")),
        user: Some(Name::of(&format!("reddit:sealed{}", n % 5))),
        user_name: None,
        community_name: None,
        created_at: Some(n * HOUR_S),
        edited_at: None,
        score: None,
        version: n,
        update_id: None,
        characters: 1,
        text_hash: Some(1),
        place: Place::default(),
        tombstone: false,
        edited: false,
        bot: false,
        asks: false,
    }
}

/// All messages come in a tick, and are sealed in the next one.
pub fn all<F: Fold<Main = Update>>(fold: &mut F, seal: impl FnOnce(&mut F)) {
    let mut out = vec![];
    (0..MESSAGES).for_each(|n| fold.main(&Update { version: version(n), diff: 1 }));
    fold.close(&mut out);
    seal(fold);
    (0..MESSAGES).for_each(|n| fold.main(&Update { version: version(n), diff: 0 }));
    fold.close(&mut out);
}
