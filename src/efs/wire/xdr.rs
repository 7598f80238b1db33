//! Numbers and strings, as RFC 4506 writes them: four bytes at a time, the first is the largest.

use std::fmt;

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They end too early.
    Short,
    /// Something is longer than it may be.
    Long(u32),
    /// Something is what it cannot be.
    Wrong(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends in the middle"),
            Self::Long(length) => write!(f, "something in it is {length} bytes long"),
            Self::Wrong(what) => write!(f, "it has {what}"),
        }
    }
}

/// What was read, or why not.
pub(super) type Read<T> = Result<T, Flaw>;

/// Reads from the beginning of some bytes.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Flaw::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn word(&mut self) -> Read<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Read<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// Bytes of a length that stands before them, `most` at most; they are filled up to four.
    pub(super) fn opaque(&mut self, most: u32) -> Read<&'a [u8]> {
        let length = self.word()?;
        if length > most {
            return Err(Flaw::Long(length));
        }
        let length = length as usize;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Flaw::Short)?;
        self.0 = rest.get(length.next_multiple_of(4) - length..).ok_or(Flaw::Short)?;
        Ok(bytes)
    }
}

/// Writes one call.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    #[must_use]
    pub(super) fn words(mut self, words: &[u32]) -> Self {
        self.0.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        self
    }

    #[must_use]
    pub(super) fn long(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    #[must_use]
    pub(super) fn opaque(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("what is sent is a few bytes");
        self.0.extend(length.to_be_bytes());
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// All of it, as one record that has one fragment.
    pub(super) fn record(self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("what is sent is a few bytes");
        let mark = (super::LAST_FRAGMENT | length).to_be_bytes();
        [&mark[..], &self.0].concat()
    }
}
