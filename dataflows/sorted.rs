//! A sorted multiset in chunks: small as a slice when it is small, and never moving more than a chunk when it is not.
//!
//! ```text
//!   up to 32:   Few  [ 1 4 4 9 ]                      one vector, nothing at all when empty
//!
//!   more:       Many  lasts   [  9 |  40 |  97 ]      searched first, side by side
//!                     lens    [  4 |   5 |   3 ]      added up for a rank,
//!                     blocks  [       12       ]      64 of them at a time
//!                     chunks  [ 1 4 4 9 ] [ 12 .. 40 ] [ 41 .. 97 ]      at most 256 each
//! ```
//!
//! # Invariants
//! 1. Elements ascend within a chunk and from chunk to chunk; equal ones may cross from one chunk into the next.
//! 2. No chunk is empty. `lasts[i]` is the last element of `chunks[i]` and `lens[i]` how many it has;
//!    `blocks[i]` is the sum of the `i`-th 64 of `lens`. (`rank` relies on it to walk 64 times less.)
//! 3. The first chunk whose last element is at least `x` holds the first `x`, if any chunk does: all before it is less.
//! 4. A bag in `Many` form has more than `FEW_MAX / 2` elements, so a bag that grows and shrinks about one size does not
//!    change form each time.

use std::slice;

use eddy_schemas::prefetch;

/// Moving this many costs no more than finding the place in a chunk.
const FEW_MAX: usize = 32;
/// Half of 512 is a quarter faster at a million `u32`, out of cache, for 4 % more memory.
const CHUNK_MAX: usize = 256;
/// A chunk that shrinks to this looks for a neighbour to merge with.
const CHUNK_MIN: usize = 64;
/// Merged chunks stay under this, so that the next few inserts do not split them again.
const MERGED_MAX: usize = 192;
/// Chunk lengths whose sum is kept.
const BLOCK: usize = 64;
/// Chunks grow by so much: a half-full one then does not hold the memory of a full one.
const CHUNK_STEP: usize = 32;

/// Twenty-four bytes: an impossible capacity says `Many`.
#[derive(Clone, Debug)]
enum Form<T> {
    Few(Vec<T>),
    Many(Box<Many<T>>),
}

#[derive(Clone, Debug)]
struct Many<T> {
    lasts: Vec<T>,
    lens: Vec<u16>,
    blocks: Vec<u32>,
    chunks: Vec<Vec<T>>,
    len: usize,
}

/// A sorted multiset.
///
/// # Contract
/// - **Cost.** `insert` and `remove` move at most a chunk and, once in some 100 times, the directory of chunks (its size is
///   about `len / 180`). Inserting at the end searches nothing. `rank` and `count_range` add up what is before, a block of
///   chunks at a time.
/// - **Memory.** Nothing when empty, at most twice the elements up to 32, and at most about 1.3 times them above.
#[derive(Clone, Debug)]
pub struct SortedBag<T>(Form<T>);

impl<T: Ord + Copy> Default for SortedBag<T> {
    fn default() -> Self {
        SortedBag::new()
    }
}

impl<T: Ord + Copy> SortedBag<T> {
    /// An empty bag. Allocates nothing.
    pub fn new() -> Self {
        SortedBag(Form::Few(Vec::new()))
    }

    /// Asks for the memory of the first and last items.
    #[inline]
    pub fn fetch(&self) {
        match &self.0 {
            Form::Few(few) => {
                few.first().map(prefetch);
                few.last().map(prefetch);
            }
            Form::Many(many) => prefetch(&**many),
        }
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Few(few) => few.len(),
            Form::Many(many) => many.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn insert(&mut self, item: T) {
        let few = match &mut self.0 {
            Form::Many(many) => return many.insert(item),
            Form::Few(few) => few,
        };
        // In order of time most items come last.
        let at = if few.last().is_none_or(|last| *last <= item) { few.len() } else { place(few, &item) };
        if few.len() < FEW_MAX {
            few.insert(at, item);
        } else {
            let mut items = std::mem::take(few);
            items.reserve_exact(CHUNK_STEP);
            items.insert(at, item);
            self.0 = Form::Many(Box::new(Many::from_chunk(items)));
        }
    }

    /// Takes one copy of `item` out. The answer is whether there was one.
    pub fn remove(&mut self, item: &T) -> bool {
        match &mut self.0 {
            Form::Few(few) => {
                let Ok(at) = few.binary_search(item) else { return false };
                few.remove(at);
                true
            }
            Form::Many(many) => {
                let found = many.remove(item);
                if found && many.len <= FEW_MAX / 2 {
                    self.0 = Form::Few(many.chunks.concat());
                }
                found
            }
        }
    }

    /// Puts `new` in the place of `old`, which must be there: between `old` and `new` there must be none.
    pub fn replace(&mut self, old: &T, new: T) {
        let (items, chunk) = match &mut self.0 {
            Form::Few(few) => (few, None),
            Form::Many(many) => {
                let chunk = place(&many.lasts, old);
                (&mut many.chunks[chunk], Some((&mut many.lasts, chunk)))
            }
        };
        let at = items.binary_search(old).expect("what is replaced is there");
        items[at] = new;
        if let Some((lasts, chunk)) = chunk
            && at + 1 == items.len()
        {
            lasts[chunk] = new;
        }
    }

    /// Adds one copy (`diff` 1) or takes one away (-1), which must be there.
    pub fn change(&mut self, item: T, diff: i64) {
        match diff {
            1 => self.insert(item),
            -1 => assert!(self.remove(&item), "retractions follow assertions"),
            _ => unreachable!("a change is one copy"),
        }
    }

    pub fn first(&self) -> Option<T> {
        self.chunk(0).first().copied()
    }

    pub fn last(&self) -> Option<T> {
        match &self.0 {
            Form::Few(few) => few.last().copied(),
            Form::Many(many) => many.lasts.last().copied(),
        }
    }

    pub fn contains(&self, item: &T) -> bool {
        self.chunk(self.chunk_of(item)).binary_search(item).is_ok()
    }

    /// The greatest element less than `item`.
    pub fn before(&self, item: &T) -> Option<T> {
        let chunk = self.chunk_of(item);
        let items = self.chunk(chunk);
        match items.partition_point(|other| other < item) {
            0 => self.chunk(chunk.checked_sub(1)?).last().copied(),
            at => Some(items[at - 1]),
        }
    }

    /// The least element greater than `item`.
    pub fn after(&self, item: &T) -> Option<T> {
        let chunk = match &self.0 {
            Form::Few(_) => 0,
            Form::Many(many) => many.lasts.partition_point(|last| last <= item),
        };
        let items = self.chunk(chunk);
        items.get(items.partition_point(|other| other <= item)).copied()
    }

    /// How many elements are less than `item`.
    pub fn rank(&self, item: &T) -> usize {
        self.count_before(self.chunk_of(item), |other| other < item)
    }

    /// How many elements are at least `low` and at most `high`.
    pub fn count_range(&self, low: &T, high: &T) -> usize {
        let end = match &self.0 {
            Form::Few(_) => 0,
            Form::Many(many) => many.lasts.partition_point(|last| last <= high),
        };
        self.count_before(end, |other| other <= high).saturating_sub(self.rank(low))
    }

    /// The element that `at` others stand before.
    pub fn nth(&self, at: usize) -> Option<T> {
        match &self.0 {
            Form::Few(few) => few.get(at).copied(),
            Form::Many(many) => (at < many.len).then(|| many.nth(at)),
        }
    }

    /// All elements in ascending order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_at(0, 0)
    }

    /// The elements that are at least `item`, in ascending order.
    pub fn from(&self, item: &T) -> Iter<'_, T> {
        let chunk = self.chunk_of(item);
        self.iter_at(chunk, place(self.chunk(chunk), item))
    }

    fn iter_at(&self, chunk: usize, at: usize) -> Iter<'_, T> {
        let rest: &[Vec<T>] = match &self.0 {
            Form::Few(_) => &[],
            Form::Many(many) => many.chunks.get(chunk + 1..).unwrap_or_default(),
        };
        Iter { items: self.chunk(chunk)[at..].iter(), chunks: rest.iter() }
    }

    /// How many elements the chunks before `chunk` have, and how many of its own `is_before` holds for.
    fn count_before(&self, chunk: usize, is_before: impl Fn(&T) -> bool) -> usize {
        let whole = match &self.0 {
            Form::Few(_) => 0,
            Form::Many(many) => many.count_before(chunk),
        };
        whole + self.chunk(chunk).partition_point(is_before)
    }

    /// The chunk that holds the first element that is at least `item`, one past the last chunk when there is none.
    fn chunk_of(&self, item: &T) -> usize {
        match &self.0 {
            Form::Few(_) => 0,
            Form::Many(many) => place(&many.lasts, item),
        }
    }

    /// The elements of a chunk, none past the last. The few are one chunk.
    fn chunk(&self, chunk: usize) -> &[T] {
        match &self.0 {
            Form::Few(few) => {
                if chunk == 0 {
                    few
                } else {
                    &[]
                }
            }
            Form::Many(many) => many.chunks.get(chunk).map_or(&[], Vec::as_slice),
        }
    }
}

impl<T: Ord + Copy> Many<T> {
    fn from_chunk(items: Vec<T>) -> Self {
        let len = items.len();
        let (lasts, lens, blocks) = (vec![items[len - 1]], vec![len as u16], vec![len as u32]);
        Many { lasts, lens, blocks, chunks: vec![items], len }
    }

    fn insert(&mut self, item: T) {
        self.len += 1;
        let end = self.chunks.len() - 1;
        if self.lasts[end] <= item {
            return self.append(end, item);
        }
        let mut chunk = place(&self.lasts, &item);
        if self.chunks[chunk].len() == CHUNK_MAX {
            self.split(chunk);
            chunk += usize::from(self.lasts[chunk] < item);
        }
        let items = &mut self.chunks[chunk];
        let at = place(items, &item);
        make_room(items);
        items.insert(at, item);
        self.set_len(chunk, self.lens[chunk] + 1);
    }

    /// Puts `item`, no less than any other, at the end. A full last chunk is left full: ascending inserts pack the bag.
    fn append(&mut self, end: usize, item: T) {
        if self.chunks[end].len() == CHUNK_MAX {
            self.put_chunk(end + 1, vec![item]);
            return;
        }
        let items = &mut self.chunks[end];
        make_room(items);
        items.push(item);
        self.lasts[end] = item;
        self.set_len(end, self.lens[end] + 1);
    }

    fn split(&mut self, chunk: usize) {
        let items = &mut self.chunks[chunk];
        let upper = items[CHUNK_MAX / 2..].to_vec();
        items.truncate(CHUNK_MAX / 2);
        items.shrink_to_fit();
        self.refresh(chunk);
        self.put_chunk(chunk + 1, upper);
    }

    fn remove(&mut self, item: &T) -> bool {
        let chunk = place(&self.lasts, item);
        let Some(items) = self.chunks.get_mut(chunk) else { return false };
        let at = place(items, item);
        if items[at] != *item {
            return false;
        }
        items.remove(at);
        if items.capacity() >= items.len() + 2 * CHUNK_STEP {
            items.shrink_to(items.len() + CHUNK_STEP / 2);
        }
        self.len -= 1;
        match items.len() {
            0 => self.take_chunk(chunk),
            len => {
                self.refresh(chunk);
                if len <= CHUNK_MIN {
                    self.merge(chunk);
                }
            }
        }
        true
    }

    /// Merges a small chunk with the smaller of its neighbours, unless the two are too many.
    fn merge(&mut self, chunk: usize) {
        let len_of = |at: usize| self.lens.get(at).map_or(CHUNK_MAX, |&len| usize::from(len));
        let is_with_previous = chunk > 0 && len_of(chunk - 1) <= len_of(chunk + 1);
        let lower = if is_with_previous { chunk - 1 } else { chunk };
        if len_of(lower) + len_of(lower + 1) > MERGED_MAX {
            return;
        }
        let upper = std::mem::take(&mut self.chunks[lower + 1]);
        self.take_chunk(lower + 1);
        self.chunks[lower].reserve_exact(upper.len());
        self.chunks[lower].extend_from_slice(&upper);
        self.refresh(lower);
    }

    fn put_chunk(&mut self, at: usize, items: Vec<T>) {
        self.lasts.insert(at, items[items.len() - 1]);
        self.lens.insert(at, items.len() as u16);
        self.chunks.insert(at, items);
        self.add_up(at);
    }

    fn take_chunk(&mut self, at: usize) {
        self.lasts.remove(at);
        self.lens.remove(at);
        self.chunks.remove(at);
        self.add_up(at);
    }

    /// Writes what the directory says of a chunk again.
    fn refresh(&mut self, chunk: usize) {
        let items = &self.chunks[chunk];
        self.lasts[chunk] = items[items.len() - 1];
        self.set_len(chunk, items.len() as u16);
    }

    fn set_len(&mut self, chunk: usize, len: u16) {
        let old = std::mem::replace(&mut self.lens[chunk], len);
        let block = &mut self.blocks[chunk / BLOCK];
        *block = *block - u32::from(old) + u32::from(len);
    }

    /// Adds up the blocks again, from the one whose chunks have moved.
    fn add_up(&mut self, chunk: usize) {
        let moved = chunk / BLOCK;
        self.blocks.truncate(moved);
        self.blocks.extend(self.lens[moved * BLOCK..].chunks(BLOCK).map(sum));
    }

    fn nth(&self, mut at: usize) -> T {
        let is_before = |at: &mut usize, len: usize| {
            at.checked_sub(len).is_some_and(|rest| {
                *at = rest;
                true
            })
        };
        let block = self.blocks.iter().take_while(|len| is_before(&mut at, **len as usize)).count();
        let chunk = self.lens[block * BLOCK..].iter().take_while(|len| is_before(&mut at, usize::from(**len))).count();
        self.chunks[block * BLOCK + chunk][at]
    }

    fn count_before(&self, chunk: usize) -> usize {
        let block = chunk / BLOCK;
        (self.blocks[..block].iter().sum::<u32>() + sum(&self.lens[block * BLOCK..chunk])) as usize
    }
}

/// Where `item` goes: before all that are not less.
fn place<T: Ord>(items: &[T], item: &T) -> usize {
    items.partition_point(|other| other < item)
}

fn make_room<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(CHUNK_STEP.min(CHUNK_MAX - items.len()));
    }
}

fn sum(lens: &[u16]) -> u32 {
    lens.iter().map(|&len| u32::from(len)).sum()
}

/// Elements in ascending order.
#[derive(Clone, Debug)]
pub struct Iter<'a, T> {
    items: slice::Iter<'a, T>,
    chunks: slice::Iter<'a, Vec<T>>,
}

impl<T: Copy> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if let Some(&item) = self.items.next() {
                return Some(item);
            }
            self.items = self.chunks.next()?.iter();
        }
    }
}

impl<'a, T: Ord + Copy> IntoIterator for &'a SortedBag<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_MAX, Form, SortedBag};

    /// splitmix64: seeded, so that a failing history can be run again.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (bits ^ bits >> 31) % bound
        }
    }

    /// The invariants 1, 2 and 4 of the module.
    fn check_form(bag: &SortedBag<u32>) {
        let Form::Many(many) = &bag.0 else { return };
        assert!(many.len > super::FEW_MAX / 2);
        assert_eq!(many.len, many.chunks.iter().map(Vec::len).sum::<usize>());
        assert!(many.lasts.len() == many.chunks.len() && many.lens.len() == many.chunks.len());
        assert_eq!(many.blocks, many.lens.chunks(super::BLOCK).map(super::sum).collect::<Vec<_>>());
        for (at, items) in many.chunks.iter().enumerate() {
            assert!(!items.is_empty() && items.len() <= CHUNK_MAX);
            assert_eq!((many.lasts[at], usize::from(many.lens[at])), (items[items.len() - 1], items.len()));
        }
    }

    fn check_answers(bag: &SortedBag<u32>, model: &[u32], (low, high): (u32, u32), again: &str) {
        let (less, not_greater) = (model.partition_point(|&x| x < low), model.partition_point(|&x| x <= low));
        let in_range = model.iter().filter(|&&x| low <= x && x <= high).count();
        assert_eq!(bag.contains(&low), less < not_greater, "{again}");
        assert_eq!((bag.rank(&low), bag.count_range(&low, &high)), (less, in_range), "{again}");
        let around = (model[..less].last().copied(), model.get(not_greater).copied());
        assert_eq!((bag.before(&low), bag.after(&low)), around, "{again}");
        assert_eq!((bag.first(), bag.last()), (model.first().copied(), model.last().copied()), "{again}");
        assert_eq!((bag.len(), bag.is_empty()), (model.len(), model.is_empty()), "{again}");
        assert_eq!(bag.nth(less), model.get(less).copied(), "{again}");
        assert_eq!((bag.nth(model.len() / 2), bag.nth(model.len())), (model.get(model.len() / 2).copied(), None), "{again}");
        assert!(bag.from(&low).take(700).eq(model[less..].iter().copied().take(700)), "{again}");
    }

    /// Grows to about `size`, shrinks to nothing and so on: inserts and removes take turns at being likelier.
    fn check(seed: u64, steps: usize, size: usize, values: u64) {
        let again = format!("run again with check({seed}, {steps}, {size}, {values})");
        let mut random = Random(seed);
        let (mut bag, mut model, mut grows) = (SortedBag::new(), Vec::new(), true);
        for step in 0..steps {
            grows = if grows { model.len() < size } else { model.is_empty() };
            let item = random.below(values) as u32;
            let at = model.partition_point(|&x| x < item);
            if (random.below(4) == 0) != grows {
                bag.insert(item);
                model.insert(at, item);
            } else {
                // Half of the items to remove are there.
                let at = if random.below(2) == 0 { at } else { random.below(model.len() as u64 + 1) as usize };
                let item = model.get(at).copied().unwrap_or(item);
                let found = model.binary_search(&item).map(|at| model.remove(at)).is_ok();
                assert_eq!(bag.remove(&item), found, "step {step}: {again}");
            }
            let (low, high) = (random.below(values) as u32, random.below(values) as u32);
            check_answers(&bag, &model, (low, high), &again);
            if step % 64 == 0 {
                check_form(&bag);
                assert!(bag.iter().eq(model.iter().copied()), "step {step}: {again}");
            }
        }
    }

    #[test]
    fn any_history_answers_as_a_sorted_vec() {
        for seed in 0..60 {
            check(seed, 400, 50, 1 + seed * 3);
        }
        for seed in 0..4 {
            check(seed, 20_000, 4_000, [3, 100, 5_000, 1 << 20][seed as usize]);
        }
    }

    #[test]
    fn ascending_inserts_pack_the_chunks() {
        let mut bag = SortedBag::new();
        (0..10_240).for_each(|item| bag.insert(item));
        check_form(&bag);
        let Form::Many(many) = &bag.0 else { panic!("10,240 are many") };
        assert_eq!(many.chunks.len(), 40);
        assert!(bag.iter().eq(0..10_240));
    }

    #[test]
    fn a_bag_of_several_blocks_counts_right() {
        let (mut random, mut bag, mut model) = (Random(3), SortedBag::new(), [0; 1_000]);
        for step in 0..120_000 {
            let item = random.below(1_000) as u32;
            let count = &mut model[item as usize];
            if step > 80_000 && *count > 0 {
                *count -= 1;
                assert!(bag.remove(&item));
            } else {
                *count += 1;
                bag.insert(item);
            }
        }
        check_form(&bag);
        for low in 0..1_000 {
            assert_eq!(bag.rank(&low), model[..low as usize].iter().sum::<usize>());
            assert_eq!(bag.count_range(&low, &low), model[low as usize]);
            if model[low as usize] > 0 {
                assert_eq!(bag.nth(bag.rank(&low)), Some(low));
            }
        }
    }

    #[test]
    fn removing_all_gives_the_memory_back() {
        let mut bag = SortedBag::new();
        (0..5_000).for_each(|item| bag.insert(item));
        assert!((0..5_000).all(|item| bag.remove(&item)));
        assert!(matches!(&bag.0, Form::Few(few) if few.is_empty()));
    }

    #[test]
    fn a_bag_is_two_words() {
        assert_eq!(size_of::<SortedBag<u32>>(), 24);
        assert_eq!(size_of::<SortedBag<(u64, u64)>>(), 24);
    }
}
