//! Which version of a message counts: the greatest, whatever the order of arrival.
//!
//! Order: `version`, then tombstone over content, then the greater (score, edited_at, text, user,
//! parent, conversation, community, created_at); null lowest, numbers as numbers, text bytewise.
//!
//! OPEN: two versions equal in all of that may still differ in what the order does not name (is it an
//! edit: `edited` true or false, `op` u or c; the names). Chosen: the greater of (edited, names), so that
//! the result never depends on arrival. OPEN: users, parents and conversations compare as the text of
//! their identity (`telegram:1:9` above `telegram:1:10`), as "text bytewise" says.

use super::parse::Message;
use std::cmp::Ordering;

pub fn compare(a: &Message, b: &Message) -> Ordering {
    by_contract(a, b).then_with(|| {
        let rest = |m: &Message| (m.edited, m.user_name.clone(), m.community_name.clone());
        rest(a).cmp(&rest(b))
    })
}

/// `None` is below every `Some` and `false` below `true` in Rust's own order, and `str` compares bytewise:
/// tuples of the fields are the whole rule.
pub fn by_contract(a: &Message, b: &Message) -> Ordering {
    fn fields(m: &Message) -> impl Ord + '_ {
        (m.version, m.tombstone, m.score, m.edited_at, &m.text, &m.user, &m.parent, &m.conversation, &m.community, m.created_at)
    }
    fields(a).cmp(&fields(b))
}
