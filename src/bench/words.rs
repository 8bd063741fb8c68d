//! What the comments of a workload say: words of an everyday kind, some with characters that JSON escapes or that are not ASCII.

use rand::Rng;
use rand_distr::{Distribution, LogNormal};

/// Share of bodies that JSON writes with a backslash, in percent: quotes and line feeds, `\u` escapes.
const QUOTED: u32 = 6;
const ESCAPED: u32 = 7;
/// Share of bodies with characters beyond ASCII as they are, in percent.
const RAW: u32 = 8;

/// Words of a body: median, and the spread of its logarithm. Together about 180 characters on average, 2,000 at most.
const WORDS_MEDIAN: f64 = 26.0;
const WORDS_SIGMA: f64 = 0.85;
const WORDS_MAX: usize = 400;

pub const WORDS: [&str; 96] = [
    "about", "after", "again", "always", "an", "answer", "are", "away", "because", "been", "before", "best", "better", "book", "build",
    "but", "buy", "car", "change", "city", "coffee", "cold", "could", "day", "does", "dog", "easy", "even", "every", "fast", "feel",
    "find", "first", "for", "free", "from", "fun", "garden", "get", "go", "great", "guess", "had", "hard", "has", "have", "help", "here",
    "home", "hope", "house", "how", "if", "in", "is", "it", "just", "keep", "know", "last", "less", "like", "long", "lot", "made", "many",
    "maybe", "mean", "money", "more", "most", "music", "need", "never", "new", "night", "no", "not", "of", "old", "on", "only", "other",
    "people", "place", "quite", "read", "right", "same", "see", "still", "take", "than", "that", "the", "years",
];

const QUOTES: [&str; 4] = [r#"\"well\""#, r"\n\n", r"either\/or", r"&gt; said\n\n"];
const ESCAPES: [&str; 4] = [r"caf\u00e9", r"\ud83d\ude00", r"na\u00efve", r"\u2019til"];
const RAWS: [&str; 4] = ["Straße", "déjà", "привет", "🎉"];

/// Lengths of bodies, made once.
pub struct Bodies(LogNormal<f64>);

impl Default for Bodies {
    fn default() -> Self {
        Bodies(LogNormal::new(WORDS_MEDIAN.ln(), WORDS_SIGMA).expect("a positive spread"))
    }
}

impl Bodies {
    /// Appends a body as it stands between the quotes of a JSON string.
    pub fn write(&self, random: &mut impl Rng, out: &mut Vec<u8>) {
        let words = (self.0.sample(random) as usize).clamp(1, WORDS_MAX);
        let kind = random.random_range(0..100);
        let rare: &[&str] = match kind {
            _ if kind < QUOTED => &QUOTES,
            _ if kind < QUOTED + ESCAPED => &ESCAPES,
            _ if kind < QUOTED + ESCAPED + RAW => &RAWS,
            _ => &[],
        };
        // One draw is enough for the words: they carry no meaning.
        let mut bits = random.random::<u64>() | 1;
        for at in 0..words {
            if at > 0 {
                out.push(b' ');
            }
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let draw = (bits >> 33) as usize;
            let word = if !rare.is_empty() && (at == 0 || draw.is_multiple_of(11)) {
                rare[draw / 16 % rare.len()]
            } else {
                WORDS[draw % WORDS.len()]
            };
            out.extend_from_slice(word.as_bytes());
        }
    }
}
