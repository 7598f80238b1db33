//! A fuzzer that needs no nightly compiler: changes real inputs at random, and reads them.
//!
//!     cargo run --release -- SECONDS [SEED]
//!
//! The seconds are shared by the targets. An input that panics is kept in `crash-TARGET`, and the
//! seed says how to find it again.

use std::io::Read as _;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Something that reads what others wrote.
struct Target {
    name: &'static str,
    /// Real inputs.
    corpus: fn() -> Vec<Vec<u8>>,
    /// Bits of the language that chance would not find.
    words: &'static [&'static [u8]],
    read: fn(&[u8]),
}

const TARGETS: [Target; 5] = [
    Target { name: "recipe", corpus: recipes, words: &WORDS, read: hostkit_fuzz::read },
    Target { name: "nfs", corpus: connections, words: &NUMBERS, read: hostkit_fuzz::decode },
    Target { name: "record", corpus: records, words: &KEYS, read: hostkit_fuzz::read_record },
    Target { name: "stats", corpus: counts, words: &COUNTS, read: hostkit_fuzz::read_stats },
    Target { name: "policy", corpus: policies, words: &SAYINGS, read: hostkit_fuzz::read_policy },
];

/// The folders of real recipes, right ones and wrong ones.
const RECIPES: [&str; 2] = ["../image-recipes", "../tests/fixtures/broken"];
/// What a guest and its server said; its README says how it is written.
const CAPTURE: &str = "../tests/fixtures/nfs/controller.stream.gz";

const WORDS: [&[u8]; 16] = [
    b"{{ ",
    b" }}",
    b"{% if x %}",
    b"{% endif %}",
    b"[[file]]\n",
    b"[host]\n",
    b"'''",
    b"\"\"\"",
    b"secret = true\n",
    b"type = 'list'\n",
    b"when = { ",
    b"\xef\xbf\xbc",
    b"0o",
    b"\\u0000",
    b"\xc3\x9f",
    b"extends = 'base'\n",
];

/// Records of every form.
const RECORDS: [&str; 1] = ["../tests/fixtures/lease"];

const KEYS: [&[u8]; 10] = [
    b"\"state\": \"released\",",
    b"\"version\": 2,",
    b"\"generation\": 18446744073709551616,",
    b"\"task\": {",
    b"\"fs_id\": \"\",",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e400",
    b"[[[[[[[[[[[[[[[[",
];

/// What kernels counted of their mounts.
const MOUNTSTATS: [&str; 1] = ["../tests/fixtures/mountstats"];

const COUNTS: [&[u8]; 10] = [
    b"device x:/ mounted on /x with fstype nfs4 statvers=1.1\n",
    b"\\040",
    b"18446744073709551615 ",
    b"18446744073709551616 ",
    b"-1 ",
    b"\txprt:\ttcp ",
    b"READ: ",
    b",lease_time=90,lease_expired=",
    b"\n",
    b"\xff",
];

/// Policies of file systems, right ones and wrong ones.
const POLICIES: [&str; 2] = ["../tests/fixtures/policies", "../tests/fixtures/policies/broken"];

const SAYINGS: [&[u8]; 16] = [
    b"\"Effect\": \"Deny\",",
    b"\"NotAction\": \"*\",",
    b"\"Principal\": \"*\",",
    b"\"NotPrincipal\": {\"AWS\": []},",
    b"\"Condition\": {\"Bool\": {\"aws:SecureTransport\": \"false\"}},",
    b"{\"ForAnyValue:ArnLike\": ",
    b"ForAllValues:",
    b"IfExists",
    b"\"Null\": ",
    b"arn:aws:iam::123456789012:root",
    b":::::",
    b"${aws:",
    b"**",
    b"??",
    b"[[[[[[[[[[[[[[[[",
    b"\xc3\x9f",
];

/// Lengths, counts and operations that the protocol knows.
const NUMBERS: [&[u8]; 12] = [
    &[0, 0, 0, 0],
    &[0, 0, 0, 1],
    &[0, 0, 0, 6],
    &[0, 0, 0, 18],
    &[0, 0, 0, 26],
    &[0, 0, 0, 38],
    &[0, 0, 0, 42],
    &[0, 0, 0, 55],
    &[0, 0, 1, 0],
    &[0, 32, 0, 0],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
];

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = arguments.next().unwrap_or(60);
    let clock = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = arguments.next().unwrap_or_else(clock) | 1;
    for target in TARGETS {
        fuzz(&target, Duration::from_secs(seconds) / TARGETS.len() as u32, seed);
    }
}

fn fuzz(target: &Target, time: Duration, seed: u64) {
    let Target { name, corpus, words, read } = target;
    let corpus = corpus();
    let mut random = Random(seed);
    let end = Instant::now() + time;
    let mut runs = 0_u64;
    while Instant::now() < end {
        let input = mutate(&corpus, words, &mut random);
        if catch_unwind(|| read(&input)).is_err() {
            std::fs::write(format!("crash-{name}"), &input).expect("the folder is writable");
            eprintln!("{name}: seed {seed}, run {runs}: see crash-{name}");
            std::process::exit(1);
        }
        runs += 1;
    }
    let seconds = time.as_secs_f64();
    println!("{name}: {runs} inputs read in {seconds:.0} s, none panicked (seed {seed})");
}

fn recipes() -> Vec<Vec<u8>> {
    files(&RECIPES, "toml")
}

fn records() -> Vec<Vec<u8>> {
    files(&RECORDS, "json")
}

fn counts() -> Vec<Vec<u8>> {
    files(&MOUNTSTATS, "txt")
}

fn policies() -> Vec<Vec<u8>> {
    files(&POLICIES, "json")
}

/// What is in the files of these folders whose names end so.
fn files(folders: &[&str], extension: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(here.join(folder)).expect(folder));
    let paths = files.map(|entry| entry.expect("a folder can be read").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file can be read")).collect()
}

/// Some messages of a direction of a real connection each.
fn connections() -> Vec<Vec<u8>> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURE);
    let packed = std::fs::File::open(capture).expect("the capture is there");
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut all).expect("the capture is whole");
    let (mut directions, mut rest) = ([const { Vec::new() }; 2], &all[..]);
    while let Some((&[_, way, length @ ..], tail)) = rest.split_first_chunk::<6>() {
        let (piece, tail) = tail.split_at(u32::from_be_bytes(length) as usize);
        directions[usize::from(way)].extend_from_slice(piece);
        rest = tail;
    }
    directions.iter().flat_map(|direction| some_messages(direction)).collect()
}

/// A stream in parts of some messages.
fn some_messages(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    while let Some(mark) = stream.first_chunk() {
        let length = 4 + (u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize;
        let (message, rest) = stream.split_at(length.min(stream.len()));
        let last = parts.last_mut().expect("there is always one");
        last.extend_from_slice(message);
        if last.len() > 2000 {
            parts.push(Vec::new());
        }
        stream = rest;
    }
    parts
}

/// One of the corpus with a few changes: bytes and words put in, cut out, and swapped with others.
fn mutate(corpus: &[Vec<u8>], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let length = random.below(40).min(input.len() - at);
        match random.below(5) {
            0 => drop(input.drain(at..at + length)),
            1 => input.insert(at, random.below(256) as u8),
            2 => {
                let word = words[random.below(words.len())];
                drop(input.splice(at..at, word.iter().copied()));
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
