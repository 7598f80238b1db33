//! A fuzzer that needs no nightly compiler: changes real recipes and records of the lease at random,
//! and reads them.
//!
//!     cargo run --release -- SECONDS [SEED]
//!
//! Half of the time goes to each. An input that panics is kept in `crash.toml` or `crash.json`, and
//! the seed says how to find it again.

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What is read, where real ones are, and bits of its language that chance would not find.
struct Target {
    what: &'static str,
    read: fn(&[u8]),
    corpus: &'static [&'static str],
    extension: &'static str,
    words: &'static [&'static str],
}

const TARGETS: [Target; 2] = [
    Target {
        what: "recipes",
        read: hostkit_fuzz::read,
        corpus: &["../image-recipes", "../tests/fixtures/broken"],
        extension: "toml",
        words: &WORDS,
    },
    Target {
        what: "records",
        read: hostkit_fuzz::read_record,
        corpus: &["../tests/fixtures/lease"],
        extension: "json",
        words: &RECORD_WORDS,
    },
];

const WORDS: [&str; 16] = [
    "{{ ", " }}", "{% if x %}", "{% endif %}", "[[file]]\n", "[host]\n", "'''", "\"\"\"", "secret = true\n",
    "type = 'list'\n", "when = { ", "\u{fffc}", "0o", "\\u0000", "ß", "extends = 'base'\n",
];

const RECORD_WORDS: [&str; 10] = [
    "\"state\": \"released\",", "\"version\": 2,", "\"generation\": 18446744073709551616,", "\"task\": {",
    "\"fs_id\": \"\",", "\\ud800", "null", "-1", "1e400", "[[[[[[[[[[[[[[[[",
];

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = arguments.next().unwrap_or(60);
    let clock = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = arguments.next().unwrap_or_else(clock) | 1;
    for target in &TARGETS {
        let seconds = Duration::from_secs(seconds) / TARGETS.len() as u32;
        fuzz(target, seed, seconds);
    }
}

fn fuzz(target: &Target, seed: u64, time: Duration) {
    let Target { what, extension, .. } = target;
    let corpus = corpus(target);
    let mut random = Random(seed);
    let end = Instant::now() + time;
    let mut runs = 0_u64;
    while Instant::now() < end {
        let input = mutate(&corpus, target.words, &mut random);
        if catch_unwind(|| (target.read)(&input)).is_err() {
            let file = format!("crash.{extension}");
            std::fs::write(&file, &input).expect("the folder is writable");
            eprintln!("seed {seed}, run {runs}: see {file}");
            std::process::exit(1);
        }
        runs += 1;
    }
    println!("{runs} {what} read in {} s, none panicked (seed {seed})", time.as_secs());
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder| std::fs::read_dir(here.join(folder)).expect(folder);
    let files = target.corpus.iter().flat_map(|folder| files(folder));
    let paths = files.map(|entry| entry.expect("a folder can be read").path());
    let is_one = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == target.extension);
    let mut paths: Vec<_> = paths.filter(is_one).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("one of the corpus can be read")).collect()
}

/// One of the corpus with a few changes: bytes and words put in, cut out, and swapped with others.
fn mutate(corpus: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let length = random.below(40).min(input.len() - at);
        match random.below(5) {
            0 => drop(input.drain(at..at + length)),
            1 => input.insert(at, random.below(256) as u8),
            2 => {
                let word = words[random.below(words.len())].bytes();
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
