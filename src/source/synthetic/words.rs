//! Texts from a short list of words: long enough to count, some asking, some hard to write as JSON.

use rand::Rng;

const WORDS: [&str; 96] = [
    "the",
    "a",
    "it",
    "is",
    "to",
    "and",
    "of",
    "in",
    "for",
    "that",
    "you",
    "with",
    "on",
    "this",
    "my",
    "but",
    "not",
    "have",
    "was",
    "so",
    "just",
    "what",
    "if",
    "one",
    "about",
    "some",
    "after",
    "really",
    "works",
    "mirror",
    "garden",
    "router",
    "bread",
    "saddle",
    "lens",
    "cable",
    "tomato",
    "kernel",
    "switch",
    "gravel",
    "stew",
    "focus",
    "weather",
    "again",
    "yesterday",
    "morning",
    "old",
    "cheap",
    "better",
    "tried",
    "found",
    "broke",
    "fixed",
    "looks",
    "sounds",
    "maybe",
    "never",
    "always",
    "tonight",
    "eyepiece",
    "sourdough",
    "firmware",
    "compost",
    "chain",
    "template",
    "clouds",
    "signal",
    "recipe",
    "pump",
    "soil",
    "bolt",
    "page",
    "cache",
    "link",
    "build",
    "light",
    "café",
    "naïve",
    "спасибо",
    "привет",
    "木星",
    "🚲",
    "🌒",
    "don't",
    "\"quoted\"",
    "C:\\temp",
    "50%",
    "<b>",
    "&amp;",
    "e.g.",
    "thanks",
    "agree",
    "wow",
    "same",
    "here",
    "luck",
];
const ASKS: [&str; 6] = [
    "has anyone tried this?",
    "what would you use instead?",
    "is it worth it?",
    "how do you clean it?",
    "why does it do that？",
    "(any ideas?)",
];

/// A text of about `mean` words; about one in `ask` asks something.
pub fn text(rng: &mut impl Rng, mean: usize, ask: u32) -> String {
    let words = 1 + (-(1.0 - rng.random::<f64>()).ln() * mean as f64) as usize;
    let mut text = String::with_capacity(words.min(200) * 7);
    for at in 0..words.min(200) {
        if at > 0 {
            text.push(if rng.random_ratio(1, 40) { '\n' } else { ' ' });
        }
        // Squaring favours the front of the list, as in speech.
        let x: f64 = rng.random();
        text.push_str(WORDS[(x * x * WORDS.len() as f64) as usize]);
    }
    if rng.random_ratio(1, ask) {
        text.push_str(". ");
        text.push_str(ASKS[rng.random_range(0..ASKS.len())]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn texts_are_bounded_and_never_a_tombstone() {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        for _ in 0..2000 {
            let text = text(&mut rng, 15, 8);
            assert!(!text.is_empty() && text.chars().count() < 4096 && !text.starts_with('['));
        }
    }
}
