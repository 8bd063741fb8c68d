//! Names of objects.
//!
//! ```text
//!   a file that grows:  FILE/START-END    its bytes from START to END, for ever; all of it is what goes on from 0 without a gap
//!   a small one:        FILE
//! ```
//!
//! Ranges may overlap, since who goes on with a file of another cuts it elsewhere: the bytes are the same.

use std::ops::Range;

use super::super::Held;

pub fn claim(generation: u64) -> String {
    format!("{}.claim", self::generation(generation))
}

pub fn manifest(generation: u64) -> String {
    format!("{}.json", self::generation(generation))
}

/// What a generation writes is below.
pub fn generation(generation: u64) -> String {
    format!("generation-{generation:06}")
}

pub fn process(generation: u64, process: usize) -> String {
    format!("{}/process-{process}", self::generation(generation))
}

/// What a generation goes on from.
pub fn held(generation: u64, held: &Held) -> String {
    format!("{}/old-{:06}/process-{}", self::generation(generation), held.generation, held.process)
}

/// Texts that a generation read.
pub fn texts(generation: u64) -> String {
    format!("texts-{generation:06}")
}

/// Those of a worker of a process.
pub fn texts_of(generation: u64, process: usize, worker: usize) -> String {
    format!("{}/process-{process}/texts-{worker}", texts(generation))
}

pub fn part(file: &str, range: &Range<u64>) -> String {
    format!("{file}/{:020}-{:020}", range.start, range.end)
}

/// The file that an object is of, and which of its bytes; none: all of it.
pub fn of_part(name: &str) -> (&str, Option<Range<u64>>) {
    let range = |last: &str| {
        let (start, end) = last.split_once('-').filter(|(start, end)| start.len() == 20 && end.len() == 20)?;
        Some(start.parse().ok()?..end.parse().ok()?)
    };
    match name.rsplit_once('/').map(|(file, last)| (file, range(last))) {
        Some((file, Some(range))) => (file, Some(range)),
        _ => (name, None),
    }
}

/// Of the ranges of a file those that make it, each with how many of its first bytes are in the one before it. None where its start is not
/// there: it is being removed.
pub fn whole(mut ranges: Vec<Range<u64>>) -> Option<Vec<(Range<u64>, u64)>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let (mut parts, mut end) = (vec![], 0);
    let mut rest = ranges.into_iter().peekable();
    rest.peek().filter(|first| first.start == 0)?;
    loop {
        let mut farthest: Option<Range<u64>> = None;
        while let Some(range) = rest.next_if(|range| range.start <= end) {
            farthest = Some(farthest.filter(|farthest| farthest.end >= range.end).unwrap_or(range));
        }
        match farthest.filter(|range| range.end > end) {
            Some(range) => {
                let before = end - range.start;
                end = range.end;
                parts.push((range, before));
            }
            None => return Some(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_as_far_as_its_ranges_without_a_gap() {
        assert_eq!(whole(vec![]), None);
        let one = |range| whole(std::iter::once(range).collect());
        assert_eq!(one(5..9), None, "its start has been removed");
        assert_eq!(one(0..0), Some(vec![]));
        assert_eq!(whole(vec![7..9, 0..4, 4..6]), Some(vec![(0..4, 0), (4..6, 0)]));
        assert_eq!(whole(vec![0..4, 2..9, 3..5, 0..2, 9..10]), Some(vec![(0..4, 0), (2..9, 2), (9..10, 0)]));
        assert_eq!(whole(vec![0..0, 0..3]), Some(vec![(0..3, 0)]));
    }

    #[test]
    fn names_of_parts_are_taken_apart_again() {
        let name = part(&texts_of(7, 1, 0), &(3..12));
        assert_eq!(of_part(&name), ("texts-000007/process-1/texts-0", Some(3..12)));
        assert_eq!(of_part("generation-000002/process-0/snapshots/snapshot.json").1, None);
        assert_eq!(of_part("forgotten.json"), ("forgotten.json", None));
    }
}
