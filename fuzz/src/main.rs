//! A fuzzer that needs no nightly compiler: changes real recipes at random, and reads them.
//!
//!     cargo run --release -- SECONDS [SEED]
//!
//! An input that panics is kept in `crash.toml`, and the seed says how to find it again.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// The folders of real recipes, right ones and wrong ones.
const CORPUS: [&str; 2] = ["../image-recipes", "../tests/fixtures/broken"];

/// Bits of the language that chance would not find.
const WORDS: [&str; 16] = [
    "{{ ", " }}", "{% if x %}", "{% endif %}", "[[file]]\n", "[host]\n", "'''", "\"\"\"", "secret = true\n",
    "type = 'list'\n", "when = { ", "\u{fffc}", "0o", "\\u0000", "ß", "extends = 'base'\n",
];

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = arguments.next().unwrap_or(60);
    let clock = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = arguments.next().unwrap_or_else(clock) | 1;
    let corpus = corpus();
    let mut random = Random(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut runs = 0_u64;
    while Instant::now() < end {
        let input = mutate(&corpus, &mut random);
        if catch_unwind(|| hostkit_fuzz::read(&input)).is_err() {
            std::fs::write("crash.toml", &input).expect("the folder is writable");
            eprintln!("seed {seed}, run {runs}: see crash.toml");
            std::process::exit(1);
        }
        runs += 1;
    }
    println!("{runs} recipes read in {seconds} s, none panicked (seed {seed})");
}

fn corpus() -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = CORPUS.iter().flat_map(|folder| std::fs::read_dir(here.join(folder)).expect(folder));
    let paths = files.map(|entry| entry.expect("a folder can be read").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a recipe can be read")).collect()
}

/// One of the corpus with a few changes: bytes and words put in, cut out, and swapped with others.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let length = random.below(40).min(input.len() - at);
        match random.below(5) {
            0 => drop(input.drain(at..at + length)),
            1 => input.insert(at, random.below(256) as u8),
            2 => {
                let word = WORDS[random.below(WORDS.len())].bytes();
                drop(input.splice(at..at, word));
            }
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                let piece = &other[from..(from + 200).min(other.len())];
                drop(input.splice(at..at + length, piece.iter().copied()));
            }
            _ => {
                let piece = input[at..at + length].to_vec();
                drop(input.splice(at..at, piece));
            }
        }
    }
    input
}

/// Marsaglia's xorshift: quick, and the same everywhere for one seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
