//! Preorder sequences of trees, each kept in a splay tree that knows depths.
//!
//! ```text
//!   replies          sequence        depths             splay tree (any shape, in-order = sequence)
//!      a             a b c d e       0 1 2 2 1                 c (2)
//!     / \                                                     /     \
//!    b   e           subtree of b = from b up to         a (-2)      e (-1)      number = depth
//!   / \              the next depth <= b's                   \      /            less that of the
//!  c   d                                                 b (+1)   d (+1)         node above
//! ```
//!
//! # Invariants
//! 1. In-order of a splay tree is the preorder of the replies in it: a node's subtree is the run from it up to the next
//!    element whose depth is not greater. (`cut` relies on this.)
//! 2. `rise` is a node's depth less that of the node above it in the splay tree, and the depth itself at the top. So
//!    moving a subtree of any size to another depth is one store, and nothing is ever pushed down.
//! 3. `low` is the least depth and `high` the greatest depth of a live element below and at a node, both less the node's
//!    own. Without a live element `high` is under `DEAD / 2`.
//! 4. Every walk down ends in a `splay` of where it ended, which pays for it: all operations are O(log n) amortised.

use eddy_schemas::prefetch;

use super::slab::Slab;

pub(super) const NIL: u32 = u32::MAX;

/// The depth of what does not count. Depths and their differences stay under half of it: `PLACES_MAX` sees to that.
const DEAD: i32 = -(1 << 30);

/// How far up a change of what counts is followed without a splay: most often the first node that is met has another as deep below it.
const LOOKS_UP_MAX: usize = if cfg!(test) { 2 } else { 32 };

/// Packed to 36 bytes: with the eight-byte alignment of `message` it would be 40.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
pub(super) struct Node {
    pub(super) message: u64,
    /// The owner's word. The sequence reads its lowest bit only: the node is live.
    pub(super) tag: u32,
    up: u32,
    left: u32,
    right: u32,
    rise: i32,
    low: i32,
    high: i32,
}

pub(super) struct Sequences {
    nodes: Slab<Node>,
}

impl Sequences {
    pub(super) const fn new() -> Self {
        Sequences { nodes: Slab::new() }
    }

    /// A new sequence of one element.
    pub(super) fn insert(&mut self, message: u64, tag: u32) -> u32 {
        let high = if tag & 1 == 1 { 0 } else { DEAD };
        self.nodes.insert(Node { message, tag, up: NIL, left: NIL, right: NIL, rise: 0, low: 0, high })
    }

    /// Frees a sequence of one element.
    pub(super) fn remove(&mut self, node: u32) {
        self.nodes.remove(node);
    }

    #[inline]
    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node]
    }

    /// Asks for the memory of the node above.
    #[inline]
    pub(super) fn fetch_up(&self, node: u32) {
        let up = self.nodes[node].up;
        if up != NIL {
            prefetch(&self.nodes[up]);
        }
    }

    /// Changes the tag of `node`, which must be at the top.
    pub(super) fn set_tag(&mut self, node: u32, tag: u32) {
        self.nodes[node].tag = tag;
        self.pull(node);
    }

    /// Marks `node`, wherever it is, as live or not. False where too much above it depends on that: then `splay(node)` and `set_tag` have to
    /// follow, which work it out and pay for the walk.
    pub(super) fn set_live(&mut self, mut node: u32, is_live: bool) -> bool {
        self.nodes[node].tag = self.nodes[node].tag & !1 | u32::from(is_live);
        for _ in 0..LOOKS_UP_MAX {
            let Node { up, high, .. } = self.nodes[node];
            self.pull(node);
            if self.nodes[node].high == high || up == NIL {
                return true;
            }
            node = up;
        }
        false
    }

    /// The depth of `node`, which must be at the top.
    pub(super) fn depth(&self, node: u32) -> i32 {
        self.nodes[node].rise
    }

    /// Whether `node`, at the top, is the last element.
    pub(super) fn is_last(&self, node: u32) -> bool {
        self.nodes[node].right == NIL
    }

    /// The greatest depth of a live element under `top`.
    pub(super) fn high(&self, top: u32) -> Option<u32> {
        let node = &self.nodes[top];
        u32::try_from(node.rise + node.high).ok()
    }

    /// Whether `node`, at the top, is the only element.
    pub(super) fn is_alone(&self, node: u32) -> bool {
        let node = &self.nodes[node];
        node.left == NIL && node.right == NIL
    }

    pub(super) fn is_top(&self, node: u32) -> bool {
        self.nodes[node].up == NIL
    }

    /// The parent, by depths, of `node`, which must be at the top; it is at the top afterwards too.
    pub(super) fn parent(&mut self, node: u32) -> Option<u32> {
        let depth = self.nodes[node].rise;
        let parent = self.last_below(self.nodes[node].left, depth)?;
        self.splay(parent);
        self.splay(node);
        Some(parent)
    }

    /// Whether `node`, at the top, has children. It is at the top afterwards too.
    pub(super) fn has_children(&mut self, node: u32) -> bool {
        let depth = self.nodes[node].rise;
        let right = self.take_right(node);
        if right == NIL {
            return false;
        }
        let next = self.first(right);
        let found = self.nodes[next].rise > depth;
        self.put_right(node, next);
        found
    }

    /// The first element under `top`, brought to the top.
    pub(super) fn first(&mut self, top: u32) -> u32 {
        let mut at = top;
        while self.nodes[at].left != NIL {
            at = self.nodes[at].left;
        }
        self.splay(at);
        at
    }

    /// The last element under `top`, brought to the top.
    fn last(&mut self, top: u32) -> u32 {
        let mut at = top;
        while self.nodes[at].right != NIL {
            at = self.nodes[at].right;
        }
        self.splay(at);
        at
    }

    /// Takes the subtree of `node` out into a sequence of its own, with `node` at the top. The answer is the top of what
    /// is left, `NIL` when nothing is.
    pub(super) fn cut(&mut self, node: u32) -> u32 {
        self.splay(node);
        let before = self.take_left(node);
        let depth = self.nodes[node].rise;
        let Some(end) = self.first_not_above(self.nodes[node].right, depth, depth) else {
            return before;
        };
        self.splay(end);
        self.take_left(end);
        self.splay(node);
        self.put_left(end, before);
        end
    }

    /// Puts the sequence of `child`, its first element and at the top, one deeper than `parent` and right behind it.
    /// Nothing says that the new child comes last among its siblings: their order means nothing. The answer is the top.
    pub(super) fn link(&mut self, child: u32, parent: u32) -> u32 {
        self.splay(parent);
        let after = self.take_right(parent);
        self.nodes[child].rise = self.nodes[parent].rise + 1;
        let last = self.last(child);
        self.put_right(last, after);
        let first = self.first(last);
        self.put_left(first, parent);
        first
    }

    /// Puts the sequence of `first`, its first element and at the top, behind all of `top`. The answer is the top.
    pub(super) fn append(&mut self, top: u32, first: u32, depth: i32) -> u32 {
        self.nodes[first].rise = depth;
        self.put_left(first, top);
        first
    }

    /// Puts the sequence of `first`, its first element and at the top, before all of `top`. The answer is the top.
    pub(super) fn prepend(&mut self, top: u32, first: u32, depth: i32) -> u32 {
        self.nodes[first].rise = depth;
        let last = self.last(first);
        self.put_right(last, top);
        last
    }

    /// Puts the sequence of `first`, its first element and at the top, before the first element of `top` that is less deep, or behind all.
    /// The answer is the top.
    pub(super) fn insert_before_less(&mut self, top: u32, first: u32, depth: i32) -> u32 {
        let Some(end) = self.first_not_above(top, 0, depth - 1) else {
            return self.append(top, first, depth);
        };
        self.splay(end);
        let before = self.take_left(end);
        let last = self.prepend(end, first, depth);
        let first = self.first(last);
        self.put_left(first, before);
        first
    }

    /// The first child of `node`, which must be at the top, brought to the top.
    pub(super) fn first_child(&mut self, node: u32) -> Option<u32> {
        if !self.has_children(node) {
            return None;
        }
        let mut at = self.nodes[node].right;
        while self.nodes[at].left != NIL {
            at = self.nodes[at].left;
        }
        self.splay(at);
        Some(at)
    }

    /// Takes `node`, at the top and without children, out of the sequence. The answer is the top of what is left.
    pub(super) fn take(&mut self, node: u32) -> u32 {
        let left = self.take_left(node);
        let right = self.take_right(node);
        if right == NIL {
            return left;
        }
        let next = self.first(right);
        self.put_left(next, left);
        next
    }

    /// The first element under `at` whose depth is at most `depth`. What `at` hangs from is at depth `above`.
    fn first_not_above(&self, mut at: u32, mut above: i32, depth: i32) -> Option<u32> {
        loop {
            if at == NIL || above + self.nodes[at].rise + self.nodes[at].low > depth {
                return None;
            }
            let node = &self.nodes[at];
            above += node.rise;
            let left = node.left;
            if left != NIL && above + self.nodes[left].rise + self.nodes[left].low <= depth {
                at = left;
            } else if above <= depth {
                return Some(at);
            } else {
                at = node.right;
            }
        }
    }

    /// The last element under `at`, a left child, whose depth is less than `depth`. `at` hangs from the top, at `depth`.
    fn last_below(&self, mut at: u32, depth: i32) -> Option<u32> {
        let mut above = depth;
        loop {
            if at == NIL || above + self.nodes[at].rise + self.nodes[at].low >= depth {
                return None;
            }
            let node = &self.nodes[at];
            above += node.rise;
            let right = node.right;
            if right != NIL && above + self.nodes[right].rise + self.nodes[right].low < depth {
                at = right;
            } else if above < depth {
                return Some(at);
            } else {
                at = node.left;
            }
        }
    }

    fn take_left(&mut self, top: u32) -> u32 {
        let left = std::mem::replace(&mut self.nodes[top].left, NIL);
        self.loosen(top, left)
    }

    fn take_right(&mut self, top: u32) -> u32 {
        let right = std::mem::replace(&mut self.nodes[top].right, NIL);
        self.loosen(top, right)
    }

    fn loosen(&mut self, top: u32, child: u32) -> u32 {
        if child != NIL {
            self.nodes[child].rise += self.nodes[top].rise;
            self.nodes[child].up = NIL;
            self.pull(top);
        }
        child
    }

    fn put_left(&mut self, top: u32, child: u32) {
        self.nodes[top].left = child;
        self.fasten(top, child);
    }

    fn put_right(&mut self, top: u32, child: u32) {
        self.nodes[top].right = child;
        self.fasten(top, child);
    }

    fn fasten(&mut self, top: u32, child: u32) {
        if child != NIL {
            self.nodes[child].rise -= self.nodes[top].rise;
            self.nodes[child].up = top;
            self.pull(top);
        }
    }

    /// Brings `node` to the top. The answer is what was at the top before.
    pub(super) fn splay(&mut self, node: u32) -> u32 {
        let mut top = node;
        loop {
            let up = self.nodes[node].up;
            if up == NIL {
                return top;
            }
            let above = self.nodes[up].up;
            if above == NIL {
                self.rotate(node);
                return up;
            }
            top = above;
            let is_straight = (self.nodes[up].left == node) == (self.nodes[above].left == up);
            self.rotate(if is_straight { up } else { node });
            self.rotate(node);
        }
    }

    /// Swaps `node` with the one above it, keeping the order.
    fn rotate(&mut self, node: u32) {
        let Node { up, left, right, rise, .. } = self.nodes[node];
        let parent = &mut self.nodes[up];
        let (above, parent_rise, low, high) = (parent.up, parent.rise, parent.low, parent.high);
        let is_left = parent.left == node;
        let inner = if is_left { right } else { left };
        *(if is_left { &mut parent.left } else { &mut parent.right }) = inner;
        (parent.up, parent.rise) = (node, -rise);
        if inner != NIL {
            let inner = &mut self.nodes[inner];
            (inner.up, inner.rise) = (up, inner.rise + rise);
        }
        self.pull(up);
        let this = &mut self.nodes[node];
        *(if is_left { &mut this.right } else { &mut this.left }) = up;
        // The same elements are under `node` now as were under its parent: the bounds move with the depth.
        (this.up, this.rise, this.low, this.high) = (above, rise + parent_rise, low - rise, high - rise);
        if above != NIL {
            let above = &mut self.nodes[above];
            *(if above.left == up { &mut above.left } else { &mut above.right }) = node;
        }
    }

    /// Works out the bounds of `node` from its children.
    #[inline]
    fn pull(&mut self, node: u32) {
        let Node { left, right, tag, .. } = self.nodes[node];
        let (mut low, mut high) = (0, if tag & 1 == 1 { 0 } else { DEAD });
        for child in [left, right] {
            if child != NIL {
                let child = &self.nodes[child];
                low = low.min(child.rise + child.low);
                high = high.max(child.rise + child.high);
            }
        }
        let node = &mut self.nodes[node];
        (node.low, node.high) = (low, high);
    }
}
