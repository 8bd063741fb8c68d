//! How deep the replies of each conversation go, kept up to date under any change in O(log n) a change.
//!
//! ```text
//!   (conversation, message) --Index--> node            conversation --Index--> top, and how many nodes
//!
//!   the main sequence of a conversation: one preorder of all its trees (`sequence.rs`)
//!
//!     [ u(1) u'(2) ] [ w(1) ] | [ S(0) a(1) b(2) c(1) ] [ M(0) d(1) e(2) ]
//!       comments without a    |   S: a submission         M: missing, kept for its
//!       parent                |                           waiting children d
//!
//!   a loose sequence for each cycle: [ r x y ], where r names y, below it, as its parent: `closing` has r -> y
//!
//!   sealed: S leaves        [ a(1) b(2) ] [ c(1) ] ...       its children stay where they were, as roots: `taken` has a -> S, c -> S
//! ```
//!
//! A submission and a message that is not held look the same from below: their children are at depth 1. So both are roots
//! at depth 0, and a missing message with a million waiting children turns into a comment or a submission, or goes missing
//! again, as one move of one range. No list of waiting children exists.
//!
//! # Invariants
//! 1. A node exists for each held message and for each missing one that a held comment names as its parent.
//! 2. Every node is either in its conversation's main sequence or in the loose sequence of one cycle. The greatest live
//!    depth of the main sequence is the conversation's depth: what has no depth is not in it.
//! 3. In the main sequence trees stand in the order of their roots' depths, the deepest first: children of sealed messages, then comments
//!    without a parent (1), then submissions and missing ones (0). Else a root would read as a child of a less deep one before it.
//! 4. The first node of a loose sequence is in `closing`, with a parent in the same sequence; no other node of it is. A
//!    loose sequence holds comments only.
//! 5. `Conversation::top` is the top of the main sequence's splay tree after every `set`, and `last_root`, where it is
//!    known, the last depth 0 in it: what is put behind everything at depth 1 is its child. (`attach_last` relies on this.)
//! 6. A node in `taken` is a root at the depth that its sealed parent gave it, or, where that had none, the first of a loose sequence that
//!    it closes itself.

use std::collections::BTreeMap;

use eddy_schemas::prefetch;
use hashbrown::HashMap;

use self::hash::hash;
use self::sequence::{NIL, Sequences};
use self::slab::Slab;
use crate::index::Index;

mod hash;
mod sequence;
mod slab;

/// Where a message stands in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The message it replies to. A submission's is ignored.
    pub parent: Option<u64>,
    /// A submission is at depth 0.
    pub submission: bool,
    /// A message that is not live (a tombstone) keeps its place in a chain and is not counted itself.
    pub live: bool,
}

/// What a node is, as the two bits of its tag above the lowest, which is set when it is live.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Missing = 0,
    Submission = 1 << 1,
    Comment = 2 << 1,
}

/// A tag is the place of the conversation, shifted by this, then the kind, then whether the node is live.
const PLACE_SHIFT: u32 = 3;
const KIND_BITS: u32 = 3 << 1;

/// How many conversations ahead `end` asks for memory.
const AHEAD: usize = 8;
/// Room for changed ones that is kept from tick to tick.
const CHANGED_KEPT: usize = 1 << 16;

#[derive(Clone, Copy)]
struct Conversation {
    key: u64,
    /// The top of the main sequence, `NIL` when every node is in a cycle.
    top: u32,
    /// The last root at depth 0 of the main sequence, `NIL` when that is not known.
    last_root: u32,
    nodes: u32,
    /// Those of them that are in `taken`.
    taken: u32,
    /// It is in `Forest::changed`.
    is_changed: bool,
}

impl Conversation {
    /// The main sequence goes on as `rest`, without the subtree of `node`.
    fn lose(&mut self, node: u32, rest: u32) {
        self.top = rest;
        if self.last_root == node {
            self.last_root = NIL;
        }
    }
}

/// The replies of all conversations.
///
/// # Contract
/// - **Depth.** A submission is 0. A comment without a parent, or whose parent is not held in the same conversation, is 1.
///   Any other is its parent's depth + 1. A comment on a cycle of parents, or that hangs off one, has none.
/// - **Sealing.** A sealed message is not held any more, but its children keep the depths that they have for as long as they name it.
/// - **Changes.** `end` says each conversation whose depth is not what it was at the last one, once; and maybe others, or it again, with the same
///   depth before and now.
/// - **Order.** `depth` depends on the seats that are set now, not on the order in which they were.
/// - **Cost.** `set` is O(log n) amortised in the messages of the conversation, whatever their shape and whatever the
///   change; a single one may cost O(n) after n cheap ones. `depth` is O(1).
/// - **Bound.** At most 2^29 nodes and 2^29 conversations: one more is an assertion.
pub struct Forest {
    conversations: Slab<Conversation>,
    by_key: Index,
    nodes: Sequences,
    by_message: Index,
    /// First node of a loose sequence -> the node below it that it names as its parent.
    closing: BTreeMap<u32, u32>,
    /// A child of a sealed message -> that message.
    taken: HashMap<u32, u64, foldhash::fast::FixedState>,
    /// Keys of the conversations that may have changed since the last `end`, and the depth that each had then. One that was removed and came back
    /// is there more than once.
    changed: Vec<(u64, Option<u32>)>,
    held: usize,
}

impl Default for Forest {
    fn default() -> Self {
        Forest::new()
    }
}

impl Forest {
    /// A forest without messages. Allocates nothing.
    pub fn new() -> Self {
        Forest {
            conversations: Slab::new(),
            by_key: Index::new(),
            nodes: Sequences::new(),
            by_message: Index::new(),
            closing: BTreeMap::new(),
            taken: HashMap::default(),
            changed: vec![],
            held: 0,
        }
    }

    /// How many messages are held, each counted once for each conversation that holds it.
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// The greatest depth of a live message in `conversation`.
    pub fn depth(&self, conversation: u64) -> Option<u32> {
        self.depth_of(self.find_conversation(conversation)?)
    }

    fn depth_of(&self, place: u32) -> Option<u32> {
        let top = self.conversations[place].top;
        if top == NIL { None } else { self.nodes.high(top) }
    }

    /// Says each conversation that was touched since the last time, with its depth then and now.
    pub fn end(&mut self, mut say: impl FnMut(u64, Option<u32>, Option<u32>)) {
        for at in 0..self.changed.len() {
            if let Some((ahead, _)) = self.changed.get(at + AHEAD) {
                self.by_key.fetch(hash(0, *ahead));
            }
            let (key, before) = self.changed[at];
            let now = match self.find_conversation(key) {
                // It was said by where it stands first.
                Some(place) if !std::mem::take(&mut self.conversations[place].is_changed) => continue,
                place => place.and_then(|place| self.depth_of(place)),
            };
            say(key, before, now);
        }
        self.changed.clear();
        // A tick that was larger than most need not be remembered.
        self.changed.shrink_to(CHANGED_KEPT);
    }

    /// A conversation is about to change.
    fn touch(&mut self, place: u32) {
        let conversation = &mut self.conversations[place];
        if !std::mem::replace(&mut conversation.is_changed, true) {
            let key = conversation.key;
            self.changed.push((key, self.depth_of(place)));
        }
    }

    /// Sets (or with `None` removes) the seat of `message` in `conversation`; any seat of it there is replaced.
    pub fn set(&mut self, conversation: u64, message: u64, seat: Option<Seat>) {
        match seat {
            Some(seat) => {
                let conversation = self.ensure_conversation(conversation);
                self.seat(conversation, message, seat);
            }
            None => {
                let Some(conversation) = self.find_conversation(conversation) else { return };
                let Some(node) = self.find_node(conversation, message) else { return };
                self.touch(conversation);
                self.unseat(conversation, node);
            }
        }
    }

    /// Sets the seat of a message that is not held: it has this depth from a sealed parent, which it names.
    pub fn set_taken(&mut self, conversation: u64, message: u64, seat: Seat, parent: u64, depth: Option<u32>) {
        let place = self.ensure_conversation(conversation);
        let (node, is_new) = self.ensure_node(place, message);
        assert!(self.kind(node) == Kind::Missing, "it is not held");
        self.held += 1;
        if !is_new {
            self.detach(place, node);
        }
        self.mark(node, Kind::Comment, seat.live);
        self.take(place, node, parent, depth);
    }

    /// Forgets `message` and leaves its children where they are; `taken` is told each of those, and the depth that it has from now on. The
    /// answer is the depth that it had.
    pub fn seal(&mut self, conversation: u64, message: u64, mut taken: impl FnMut(u64, Option<u32>)) -> Option<u32> {
        let place = self.find_conversation(conversation)?;
        self.touch(place);
        let node = self.find_node(place, message).filter(|&node| self.kind(node) != Kind::Missing)?;
        let depth = if self.access(place, node) { u32::try_from(self.nodes.depth(node)).ok() } else { None };
        while let Some(child) = self.first_child(place, node) {
            self.detach(place, child);
            let of_child = depth.map(|depth| depth + 1);
            taken(self.nodes.node(child).message, of_child);
            self.take(place, child, message, of_child);
        }
        self.unseat(place, node);
        depth
    }

    /// Whether a message has the depth that a sealed parent gave it.
    pub fn is_taken(&self, conversation: u64, message: u64) -> bool {
        let place = if self.taken.is_empty() { None } else { self.find_conversation(conversation) };
        place.and_then(|place| self.find_node(place, message)).is_some_and(|node| self.taken.contains_key(&node))
    }

    fn first_child(&mut self, conversation: u32, node: u32) -> Option<u32> {
        let is_main = self.access(conversation, node);
        let child = self.nodes.first_child(node);
        if is_main {
            child.inspect(|&child| self.conversations[conversation].top = child);
            return child;
        }
        // On a cycle the first may be a child of any.
        child.or_else(|| {
            let first = self.nodes.first(node);
            (first != node && self.closing.get(&first) == Some(&node)).then_some(first)
        })
    }

    /// Puts the sequence of `node`, its first element and at the top, where its sealed parent has left it.
    fn take(&mut self, conversation: u32, node: u32, parent: u64, depth: Option<u32>) {
        let main = &mut self.conversations[conversation];
        main.taken += 1;
        self.taken.insert(node, parent);
        match depth {
            Some(depth) => main.top = self.nodes.insert_before_less(main.top, node, depth as i32),
            None => drop(self.closing.insert(node, node)),
        }
    }

    /// Whether `node` was taken: it is not any more.
    fn let_go(&mut self, conversation: u32, node: u32) -> bool {
        let was_taken = !self.taken.is_empty() && self.taken.remove(&node).is_some();
        self.conversations[conversation].taken -= u32::from(was_taken);
        was_taken
    }

    /// Says whether `message`, which has a seat in `conversation`, is live. As `set` with the seat as it is, but nothing moves: what a
    /// deletion does, most often.
    pub fn set_live(&mut self, conversation: u64, message: u64, is_live: bool) {
        let conversation = self.find_conversation(conversation).expect("the conversation is held");
        let node = self.find_node(conversation, message).expect("the message is held");
        self.touch(conversation);
        if !self.nodes.set_live(node, is_live) {
            self.access(conversation, node);
            let tag = self.nodes.node(node).tag;
            self.nodes.set_tag(node, tag);
        }
    }

    fn seat(&mut self, conversation: u32, message: u64, seat: Seat) {
        let kind = if seat.submission { Kind::Submission } else { Kind::Comment };
        let (node, is_new) = self.ensure_node(conversation, message);
        let was = self.kind(node);
        self.held += usize::from(was == Kind::Missing);
        if is_new {
            self.mark(node, kind, seat.live);
            if self.attach_last(conversation, node, seat) {
                return;
            }
        }
        if kind == Kind::Comment && seat.parent.is_some_and(|parent| self.taken.get(&node) == Some(&parent)) {
            self.access(conversation, node);
            self.mark(node, kind, seat.live);
            return;
        }
        // A parent that is not there yet is a node of its own from now on, before the node is cut out: a missing parent
        // that is named both before and after must not be swept away in between.
        let parent = seat.parent.filter(|_| kind == Kind::Comment);
        let parent = parent.map(|parent| self.ensure_parent(conversation, parent));
        if is_new {
            self.attach(conversation, node, kind, parent);
            return;
        }
        let old_parent = self.parent(conversation, node);
        let was_taken = self.let_go(conversation, node);
        let stays = !was_taken && old_parent == parent && (was == Kind::Comment) == (kind == Kind::Comment);
        if !stays {
            self.detach(conversation, node);
        }
        self.mark(node, kind, seat.live);
        if !stays {
            self.attach(conversation, node, kind, parent);
            self.sweep(conversation, old_parent);
        }
    }

    fn unseat(&mut self, conversation: u32, node: u32) {
        if self.kind(node) == Kind::Missing {
            return;
        }
        self.held -= 1;
        self.let_go(conversation, node);
        // Its own parent goes with it.
        let old_parent = self.parent(conversation, node).filter(|&parent| parent != node);
        self.detach(conversation, node);
        if self.nodes.is_alone(node) {
            self.remove_node(conversation, node);
        } else {
            self.mark(node, Kind::Missing, false);
            self.attach(conversation, node, Kind::Missing, None);
        }
        self.sweep(conversation, old_parent);
        if self.conversations[conversation].nodes == 0 {
            self.remove_conversation(conversation);
        }
    }

    /// Attaches a new node if it belongs at the very end of the main sequence. In-order arrivals do: they answer the message
    /// before them or the root of the conversation. Their parent is then known from the conversation alone, and looking it
    /// up, half the cost of a `set` once the index is out of cache, is saved.
    fn attach_last(&mut self, conversation: u32, node: u32, seat: Seat) -> bool {
        let Conversation { top, last_root, .. } = self.conversations[conversation];
        let Some(parent) = seat.parent.filter(|_| top != NIL && !seat.submission) else { return false };
        let depth = if self.nodes.node(top).message == parent && self.nodes.is_last(top) {
            self.nodes.depth(top) + 1
        } else if last_root != NIL && self.nodes.node(last_root).message == parent {
            1
        } else {
            return false;
        };
        self.conversations[conversation].top = self.nodes.append(top, node, depth);
        true
    }

    /// Takes the subtree of `node` out into a sequence of its own, with `node` at the top.
    fn detach(&mut self, conversation: u32, node: u32) {
        if self.closing.remove(&node).is_some() {
            self.nodes.splay(node);
            return;
        }
        let is_main = self.access(conversation, node);
        let rest = self.nodes.cut(node);
        if is_main {
            self.conversations[conversation].lose(node, rest);
        } else {
            self.break_cycle(rest, node);
        }
    }

    /// `rest` is what remains of a loose sequence after `node` was cut from it. When the parent that closed the cycle went
    /// with `node`, what remains is no cycle any more but a subtree of that parent.
    fn break_cycle(&mut self, rest: u32, node: u32) {
        let first = self.nodes.first(rest);
        let parent = self.closing[&first];
        self.nodes.splay(parent);
        if self.is_under(parent, node) {
            self.closing.remove(&first);
            self.nodes.link(first, parent);
            self.nodes.splay(node);
        }
    }

    /// Puts the sequence of `node`, its first element and at the top, where `kind` and `parent` say.
    fn attach(&mut self, conversation: u32, node: u32, kind: Kind, parent: Option<u32>) {
        let Some(parent) = parent else {
            let main = &mut self.conversations[conversation];
            if kind == Kind::Comment && main.taken > 0 {
                main.top = self.nodes.insert_before_less(main.top, node, 1);
            } else if kind == Kind::Comment {
                main.top = self.nodes.prepend(main.top, node, 1);
            } else {
                main.top = self.nodes.append(main.top, node, 0);
                main.last_root = node;
            }
            return;
        };
        let is_main = self.access(conversation, parent);
        if self.is_under(parent, node) {
            self.closing.insert(node, parent);
            return;
        }
        let new_top = self.nodes.link(node, parent);
        if is_main {
            self.conversations[conversation].top = new_top;
        }
    }

    /// Frees `node` if it is missing and nothing waits for it any more.
    fn sweep(&mut self, conversation: u32, node: Option<u32>) {
        let Some(node) = node.filter(|&node| self.kind(node) == Kind::Missing) else { return };
        self.access(conversation, node);
        if !self.nodes.has_children(node) {
            let rest = self.nodes.take(node);
            self.conversations[conversation].lose(node, rest);
            self.remove_node(conversation, node);
        }
    }

    /// Whether `top`, at the top of its sequence, is in that of `node`, which is brought to the top.
    fn is_under(&mut self, top: u32, node: u32) -> bool {
        self.nodes.splay(node);
        top == node || !self.nodes.is_top(top)
    }

    /// The parent of a node, whichever sequence it is in.
    fn parent(&mut self, conversation: u32, node: u32) -> Option<u32> {
        if let Some(&parent) = self.closing.get(&node) {
            return Some(parent);
        }
        self.access(conversation, node);
        self.nodes.parent(node)
    }

    /// Brings `node` to the top of its sequence. The answer is whether that is the main one.
    fn access(&mut self, conversation: u32, node: u32) -> bool {
        let top = &mut self.conversations[conversation].top;
        let is_main = self.nodes.splay(node) == *top;
        if is_main {
            *top = node;
        }
        is_main
    }

    fn kind(&self, node: u32) -> Kind {
        match self.nodes.node(node).tag & KIND_BITS {
            bits if bits == Kind::Missing as u32 => Kind::Missing,
            bits if bits == Kind::Submission as u32 => Kind::Submission,
            _ => Kind::Comment,
        }
    }

    /// Says what `node`, at the top, is from now on.
    fn mark(&mut self, node: u32, kind: Kind, is_live: bool) {
        let place = self.nodes.node(node).tag >> PLACE_SHIFT << PLACE_SHIFT;
        self.nodes.set_tag(node, place | kind as u32 | u32::from(is_live));
    }

    /// The node of a message that is named as a parent: when there was none, a missing one, in the main sequence.
    fn ensure_parent(&mut self, conversation: u32, message: u64) -> u32 {
        let (node, is_new) = self.ensure_node(conversation, message);
        if is_new {
            self.attach(conversation, node, Kind::Missing, None);
        }
        node
    }

    /// Asks for the memory that `set` will want, step by step (0, 1, 2), while other work goes on.
    #[inline]
    pub fn fetch(&self, conversation: u64, message: u64, parent: Option<u64>, step: usize) {
        let parent = parent.map(|parent| hash(conversation, parent));
        match step {
            0 => {
                self.by_key.fetch(hash(0, conversation));
                self.by_message.fetch(hash(conversation, message));
                parent.inspect(|parent| self.by_message.fetch(*parent));
            }
            1 => {
                if let Some(place) = self.by_key.guess(hash(0, conversation)) {
                    prefetch(&self.conversations[place]);
                }
                if let Some(parent) = parent.and_then(|parent| self.by_message.guess(parent)) {
                    prefetch(self.nodes.node(parent));
                }
            }
            _ => {
                if let Some(parent) = parent.and_then(|parent| self.by_message.guess(parent)) {
                    self.nodes.fetch_up(parent);
                }
                let Some(place) = self.by_key.guess(hash(0, conversation)) else { return };
                let Conversation { top, last_root, .. } = self.conversations[place];
                for node in [top, last_root] {
                    if node != NIL {
                        prefetch(self.nodes.node(node));
                    }
                }
            }
        }
    }

    /// The node of a message, and whether it is new: then it is a sequence of its own.
    fn ensure_node(&mut self, conversation: u32, message: u64) -> (u32, bool) {
        if let Some(node) = self.find_node(conversation, message) {
            return (node, false);
        }
        let node = self.nodes.insert(message, conversation << PLACE_SHIFT | Kind::Missing as u32);
        self.by_message.insert(hash(self.conversations[conversation].key, message), node);
        self.conversations[conversation].nodes += 1;
        (node, true)
    }

    fn find_node(&self, conversation: u32, message: u64) -> Option<u32> {
        let hash = hash(self.conversations[conversation].key, message);
        self.by_message.find(hash, |node| is_message(&self.nodes, node, conversation, message))
    }

    fn remove_node(&mut self, conversation: u32, node: u32) {
        let message = self.nodes.node(node).message;
        self.by_message.remove(hash(self.conversations[conversation].key, message), node);
        self.nodes.remove(node);
        self.conversations[conversation].nodes -= 1;
    }

    fn find_conversation(&self, key: u64) -> Option<u32> {
        self.by_key.find(hash(0, key), |place| self.conversations[place].key == key)
    }

    /// The conversation, made where there is none, about to be changed.
    fn ensure_conversation(&mut self, key: u64) -> u32 {
        if let Some(place) = self.find_conversation(key) {
            self.touch(place);
            return place;
        }
        let new = Conversation { key, top: NIL, last_root: NIL, nodes: 0, taken: 0, is_changed: false };
        let place = self.conversations.insert(new);
        self.by_key.insert(hash(0, key), place);
        self.touch(place);
        place
    }

    fn remove_conversation(&mut self, place: u32) {
        self.by_key.remove(hash(0, self.conversations[place].key), place);
        self.conversations.remove(place);
    }
}

fn is_message(nodes: &Sequences, node: u32, conversation: u32, message: u64) -> bool {
    let node = nodes.node(node);
    node.message == message && node.tag >> PLACE_SHIFT == conversation
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Forest, Seat};

    /// splitmix64: seeded, so that a failing history can be run again.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^ bits >> 31
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound
        }

        fn one_in(&mut self, chances: u64) -> bool {
            self.below(chances) == 0
        }
    }

    type Seats = BTreeMap<(u64, u64), Seat>;

    fn comment(parent: Option<u64>) -> Option<Seat> {
        Some(Seat { parent, submission: false, live: true })
    }

    fn tombstone(parent: Option<u64>) -> Option<Seat> {
        Some(Seat { parent, submission: false, live: false })
    }

    const SUBMISSION: Option<Seat> = Some(Seat { parent: None, submission: true, live: true });

    /// The rules, read off one message: up the parents until a root, or until a message comes twice.
    fn naive_depth_of(seats: &Seats, conversation: u64, message: u64) -> Option<u32> {
        let (mut at, mut depth, mut seen) = (message, 0, BTreeSet::new());
        loop {
            if !seen.insert(at) {
                return None;
            }
            let seat = seats[&(conversation, at)];
            if seat.submission {
                return Some(depth);
            }
            match seat.parent {
                Some(parent) if seats.contains_key(&(conversation, parent)) => (at, depth) = (parent, depth + 1),
                _ => return Some(depth + 1),
            }
        }
    }

    fn naive_depth(seats: &Seats, conversation: u64) -> Option<u32> {
        let of_conversation = seats.range((conversation, 0)..=(conversation, u64::MAX));
        let live = of_conversation.filter(|(_, seat)| seat.live);
        live.filter_map(|(&(_, message), _)| naive_depth_of(seats, conversation, message)).max()
    }

    fn random_seat(random: &mut Random, messages: u64) -> Option<Seat> {
        if random.one_in(6) {
            return None;
        }
        let parent = if random.one_in(8) { None } else { Some(random.below(messages)) };
        Some(Seat { parent, submission: random.one_in(12), live: !random.one_in(4) })
    }

    /// What is said of depths; each as it was said before, and once a tick where it is another.
    fn end(forest: &mut Forest, said: &mut BTreeMap<u64, u32>) {
        let mut changed = BTreeSet::new();
        forest.end(|key, before, now| {
            if before == now {
                return;
            }
            assert!(changed.insert(key), "conversation {key} twice");
            let was = if let Some(now) = now { said.insert(key, now) } else { said.remove(&key) };
            assert_eq!(was, before, "conversation {key}");
        });
        forest.end(|key, _, _| panic!("conversation {key} is said to be changed"));
    }

    fn check(seed: u64, steps: usize, messages: u64, conversations: u64) {
        let mut random = Random(seed);
        let (mut forest, mut seats) = (Forest::new(), Seats::new());
        let mut said = BTreeMap::new();
        for step in 0..steps {
            let (conversation, message) = (random.below(conversations), random.below(messages));
            let mut seat = random_seat(&mut random, messages);
            if let (Some(seat), Some(old)) = (&mut seat, seats.get(&(conversation, message)))
                && random.one_in(4)
            {
                *seat = Seat { live: seat.live, ..*old };
            }
            let old = match seat {
                Some(seat) => seats.insert((conversation, message), seat),
                None => seats.remove(&(conversation, message)),
            };
            match (old, seat) {
                (Some(old), Some(seat)) if old == (Seat { live: old.live, ..seat }) => forest.set_live(conversation, message, seat.live),
                _ => forest.set(conversation, message, seat),
            }
            for conversation in 0..conversations {
                let (found, expected) = (forest.depth(conversation), naive_depth(&seats, conversation));
                let again = format!("check({seed}, {steps}, {messages}, {conversations})");
                assert_eq!(found, expected, "conversation {conversation} after step {step} of {again}");
            }
            if random.one_in(4) {
                end(&mut forest, &mut said);
                let depths = (0..conversations).filter_map(|key| Some((key, naive_depth(&seats, key)?))).collect();
                assert_eq!(said, depths, "said by step {step} of seed {seed}");
            }
            assert_eq!(forest.len(), seats.len(), "seed {seed}");
        }
        for &(conversation, message) in seats.keys() {
            forest.set(conversation, message, None);
        }
        assert!(forest.is_empty() && forest.closing.is_empty(), "seed {seed}");
        assert!((0..conversations).all(|key| forest.find_conversation(key).is_none()), "seed {seed}: nodes are left over");
    }

    #[test]
    fn any_history_has_the_depths_of_its_seats() {
        for seed in 0..3_000 {
            let mut shape = Random(!seed);
            check(seed, 120, 2 + shape.below(9), 1 + shape.below(3));
        }
    }

    #[test]
    fn a_long_history_of_more_messages_has_the_depths_of_its_seats() {
        for seed in 0..20 {
            check(seed, 800, 40, 1);
        }
    }

    #[test]
    fn a_cycle_of_any_length_has_no_depth_until_it_is_cut_anywhere() {
        for length in 1..=5 {
            for cut in 0..length {
                let mut forest = Forest::new();
                for message in 0..length {
                    forest.set(7, message, comment(Some((message + 1) % length)));
                }
                forest.set(7, 100, comment(Some(0)));
                assert_eq!(forest.depth(7), None, "length {length}");
                forest.set(7, cut, comment(None));
                let of_child = 2 + cut as u32;
                assert_eq!(forest.depth(7), Some(of_child.max(length as u32)), "length {length}, cut {cut}");
            }
        }
    }

    #[test]
    fn a_chain_has_the_same_depth_in_any_order() {
        const LENGTH: u64 = 5_000;
        let mut random = Random(1);
        let mut shuffled: Vec<u64> = (0..LENGTH).collect();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, random.below(last as u64 + 1) as usize);
        }
        for order in [(0..LENGTH).collect(), (0..LENGTH).rev().collect(), shuffled] {
            let mut forest = Forest::new();
            for message in order {
                forest.set(1, message, comment(message.checked_sub(1)));
            }
            assert_eq!(forest.depth(1), Some(LENGTH as u32));
            forest.set(1, LENGTH / 2, tombstone(None));
            assert_eq!(forest.depth(1), Some(LENGTH as u32 / 2));
            forest.set(1, LENGTH / 2, comment(Some(LENGTH / 2 - 1)));
            assert_eq!(forest.depth(1), Some(LENGTH as u32));
        }
    }

    #[test]
    fn a_tombstone_keeps_the_chain_and_is_not_counted() {
        let mut forest = Forest::new();
        forest.set(1, 1, SUBMISSION);
        forest.set(1, 2, comment(Some(1)));
        forest.set(1, 3, tombstone(Some(2)));
        assert_eq!(forest.depth(1), Some(1));
        forest.set(1, 4, comment(Some(3)));
        assert_eq!(forest.depth(1), Some(3));
    }

    #[test]
    fn children_follow_a_parent_that_arrives_changes_and_leaves() {
        let mut forest = Forest::new();
        forest.set(1, 2, comment(Some(1)));
        forest.set(1, 3, comment(Some(1)));
        assert_eq!(forest.depth(1), Some(1));
        forest.set(1, 1, comment(None));
        assert_eq!(forest.depth(1), Some(2));
        forest.set(1, 1, SUBMISSION);
        assert_eq!(forest.depth(1), Some(1));
        forest.set(1, 1, comment(Some(9)));
        assert_eq!(forest.depth(1), Some(2));
        forest.set(1, 1, None);
        assert_eq!(forest.depth(1), Some(1));
    }

    /// Seats, with what the children of sealed messages have taken: the message that they name, and its depth.
    #[derive(Default)]
    struct Naive {
        seats: BTreeMap<u64, Seat>,
        taken: BTreeMap<u64, (u64, Option<u32>)>,
    }

    impl Naive {
        fn depth_of(&self, message: u64) -> Option<u32> {
            let (mut at, mut deeper, mut seen) = (message, 0, BTreeSet::new());
            loop {
                if !seen.insert(at) {
                    return None;
                }
                let seat = self.seats[&at];
                if let Some((_, depth)) = self.taken.get(&at) {
                    return depth.map(|depth| depth + 1 + deeper);
                }
                match seat.parent.filter(|parent| !seat.submission && self.seats.contains_key(parent)) {
                    _ if seat.submission => return Some(deeper),
                    Some(parent) => (at, deeper) = (parent, deeper + 1),
                    None => return Some(deeper + 1),
                }
            }
        }

        fn set(&mut self, message: u64, seat: Option<Seat>) {
            let names = |seat: &Seat| seat.parent.filter(|_| !seat.submission);
            if self.taken.get(&message).is_some_and(|(parent, _)| seat.as_ref().and_then(names) != Some(*parent)) {
                self.taken.remove(&message);
            }
            match seat {
                Some(seat) => self.seats.insert(message, seat),
                None => self.seats.remove(&message),
            };
        }

        fn seal(&mut self, message: u64) -> Option<u32> {
            let depth = self.depth_of(message);
            self.taken.remove(&message);
            self.seats.remove(&message);
            for (child, seat) in &self.seats {
                if seat.parent == Some(message) && !seat.submission {
                    self.taken.entry(*child).or_insert((message, depth));
                }
            }
            depth
        }

        fn depth(&self) -> Option<u32> {
            self.seats.iter().filter(|(_, seat)| seat.live).filter_map(|(message, _)| self.depth_of(*message)).max()
        }
    }

    fn check_sealing(seed: u64, steps: usize, messages: u64) {
        let mut random = Random(seed);
        let (mut forest, mut naive) = (Forest::new(), Naive::default());
        let again = format!("check_sealing({seed}, {steps}, {messages})");
        let mut said = BTreeMap::new();
        for step in 0..steps {
            let message = random.below(messages);
            if random.one_in(3) && naive.seats.contains_key(&message) {
                assert_eq!(forest.seal(0, message, |_, _| {}), naive.seal(message), "{message} sealed in step {step} of {again}");
            } else {
                let mut seat = random_seat(&mut random, messages);
                if let (Some(seat), Some(old)) = (&mut seat, naive.seats.get(&message))
                    && random.one_in(2)
                {
                    (seat.parent, seat.submission) = (old.parent, old.submission);
                }
                forest.set(0, message, seat);
                naive.set(message, seat);
            }
            assert_eq!(forest.depth(0), naive.depth(), "after step {step} of {again}");
            assert_eq!((forest.len(), forest.taken.len()), (naive.seats.len(), naive.taken.len()), "after step {step} of {again}");
            if random.one_in(4) {
                end(&mut forest, &mut said);
                assert_eq!(said.get(&0).copied(), naive.depth(), "said by step {step} of {again}");
            }
        }
        let left: Vec<u64> = naive.seats.keys().copied().collect();
        left.into_iter()
            .for_each(|message| assert_eq!(forest.seal(0, message, |_, _| {}), naive.seal(message), "{message} at the end of {again}"));
        assert!(forest.is_empty() && forest.closing.is_empty() && forest.taken.is_empty(), "{again}");
        assert!(forest.find_conversation(0).is_none(), "nodes are left over: {again}");
    }

    #[test]
    fn children_of_sealed_messages_keep_their_depths() {
        for seed in 0..4_000 {
            check_sealing(seed, 150, 2 + Random(!seed).below(11));
        }
        (0..10).for_each(|seed| check_sealing(seed, 1_000, 60));
    }

    #[test]
    fn a_conversation_that_goes_and_comes_back_is_said_with_the_depth_that_it_had() {
        let mut forest = Forest::new();
        let changed = |forest: &mut Forest| {
            let mut all = vec![];
            forest.end(|key, before, now| all.extend((before != now).then_some((key, before, now))));
            all
        };
        forest.set(1, 5, comment(None));
        forest.set(1, 6, comment(Some(5)));
        assert_eq!(changed(&mut forest), [(1, None, Some(2))]);
        let goes = |forest: &mut Forest| [5, 6].into_iter().for_each(|message| forest.set(1, message, None));
        goes(&mut forest);
        // Its place is another's for a while.
        forest.set(2, 5, comment(None));
        forest.set(1, 7, comment(None));
        assert_eq!(changed(&mut forest), [(1, Some(2), Some(1)), (2, None, Some(1))]);
        forest.set(1, 7, None);
        forest.set(1, 8, comment(None));
        forest.set(1, 8, None);
        assert_eq!(changed(&mut forest), [(1, Some(1), None)]);
        forest.set(1, 8, comment(None));
        forest.set(1, 8, None);
        assert_eq!(changed(&mut forest), []);
    }

    #[test]
    fn a_message_has_a_seat_in_each_conversation() {
        let mut forest = Forest::new();
        forest.set(1, 5, comment(None));
        forest.set(2, 6, comment(Some(5)));
        assert_eq!((forest.depth(1), forest.depth(2), forest.depth(3)), (Some(1), Some(1), None));
        forest.set(2, 5, comment(None));
        assert_eq!((forest.depth(1), forest.depth(2), forest.len()), (Some(1), Some(2), 3));
    }
}
