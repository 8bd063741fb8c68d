//! Random files: the reader against `rules`, and against itself under other limits.
//!
//! One file again: `EDDY_SEED=<seed> cargo test --lib dumps::tests::naive`. More of them: `EDDY_RUNS=100000`.

use super::rules::{self, Item};
use super::*;
use serde_json::Value;

/// Random files in the test command.
const RUNS: u64 = 4_000;

#[test]
fn random_files_read_as_the_rules_say() {
    for seed in seeds() {
        let (mut random, text) = file_of(seed);
        let limits = small([1 << 18, 1 + random.below(16), 1 + random.below(400)][random.below(3)]);
        let expected = rules::items(text.as_bytes());
        let read = given(read(text.as_bytes(), limits));
        let at = expected.iter().zip(&read).position(|(a, b)| a != b).unwrap_or(expected.len().min(read.len()));
        assert!(
            expected == read,
            "item {at}: {:?} was read, not {:?}\nEDDY_SEED={seed} cargo test --lib dumps::tests::naive, blocks of {}\n{text}",
            read.get(at),
            expected.get(at),
            limits.block_bytes
        );
    }
}

#[test]
fn where_random_files_are_split_makes_no_difference_under_any_limit() {
    for seed in seeds() {
        let (mut random, text) = file_of(seed);
        // Most of what is in the file is beyond some of these.
        let record_bytes_max = [20, 40, 60, 100, 150][random.below(5)];
        let limits = |block_bytes| Limits { block_bytes, record_bytes_max, depth_max: 8 };
        let whole = read(text.as_bytes(), limits(1 << 18));
        let split = read(text.as_bytes(), limits(1 + random.below(60)));
        assert!(
            (&whole.records, &whole.rejected) == (&split.records, &split.rejected),
            "{whole:?}\n{split:?}\nEDDY_SEED={seed} cargo test --lib dumps::tests::naive, records of {record_bytes_max}\n{text}"
        );
    }
}

fn seeds() -> std::ops::Range<u64> {
    let variable = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().expect("a number"));
    let seeds = variable("EDDY_SEED").map_or(0..variable("EDDY_RUNS").unwrap_or(RUNS), |seed| seed..seed + 1);
    println!("seeds {seeds:?}");
    seeds
}

fn given(read: Read) -> Vec<Item> {
    assert!(read.errors.is_empty());
    let records = read.records.into_iter().map(|(text, _, offset)| (offset as usize, serde_json::from_str(&text).ok()));
    let mut items: Vec<Item> = records.chain(read.rejected.into_iter().map(|rejected| (rejected.2 as usize, None))).collect();
    rules::sort(&mut items);
    items
}

/// Parts of all kinds, whole and cut, one behind the other, and what the next numbers come from.
fn file_of(seed: u64) -> (Random, String) {
    let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut text = String::new();
    for id in 0..1 + random.below(8) {
        let mut part = part(&mut random, id);
        if random.below(3) == 0 {
            part.truncate(random.below(part.len() + 1));
        }
        text.push_str(&part);
        text.push_str(["\n", "\n", "\n", "\n", "\n", "\r\n", "\n\n", "\n  \n", ""][random.below(9)]);
    }
    if random.below(3) == 0 {
        text.truncate(random.below(text.len() + 1));
    }
    (random, text)
}

fn part(random: &mut Random, id: usize) -> String {
    const OTHERS: [&str; 14] =
        ["17", "null", "\"body\"", "not json", "{}", "{\"a\":1}}", "]", "}", ",", "[", "{", "[1,", "{\"a\":[2]},", "  {\"a\":3}"];
    let way = random.below(10);
    let mut elements = |way: fn(String) -> String| -> Vec<String> {
        let count = random.below(4);
        (0..count).map(|index| way(format!("{id}_{index}"))).collect()
    };
    let (before, records, after) = match way {
        0 | 1 => return format!("{{\"id\":\"{id}\",\"body\":\"[{{\\\"\",\"score\": 3}}"),
        2 => return format!("{{\"update_id\":{id},\"message\":{{\"text\":\"x\"}}}}"),
        3 | 4 => return OTHERS[random.below(OTHERS.len())].into(),
        5 => return lay_out(random, &format!("{{\"other\":{id},\"x\":[{{\"y\":[1,{{\"z\":2}}]}},3]}}")),
        6 | 7 => {
            let update = |id| format!("{{\"update_id\":1,\"message\":{{\"text\":\"{id}\"}}}}");
            ("{\"ok\":true,\"result\":[", elements(update), "]}")
        }
        8 => {
            let thing = |id| format!("{{\"kind\":\"t1\",\"data\":{{\"id\":\"{id}\"}}}}");
            ("{\"kind\":\"Listing\",\"data\":{\"children\":[", elements(thing), "],\"before\":null}}")
        }
        _ => {
            let message = |id| format!("{{\"id\":1,\"date\":\"x\",\"text\":[\"{id}\"]}}");
            ("{\"name\":\"n\",\"type\":\"t\",\"id\":5,\"messages\":[", elements(message), "]}")
        }
    };
    match random.below(4) {
        0 => format!("{before}\n{}\n{after}", records.join(",\n")),
        1 => format!("{before}{}{after}", records.join(",\n")),
        2 => format!("{before}{}{after}", records.join(",")),
        _ => lay_out(random, &format!("{before}{}{after}", records.join(","))),
    }
}

/// Indented, or over lines without.
fn lay_out(random: &mut Random, text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    if random.below(4) == 0 { pretty.replace("\n ", "\n").replace("  ", "") } else { pretty }
}
