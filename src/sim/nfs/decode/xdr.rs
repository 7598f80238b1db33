//! External Data Representation (RFC 4506): big-endian words, and opaque bytes padded to four.

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The bytes end before it does: there may be more later.
    Short,
    /// It is not what the protocol allows, or what this decoder knows; whatever follows cannot be
    /// found.
    Wrong(&'static str),
}

/// What reading gives.
pub type Read<T> = Result<T, Flaw>;

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the beginning of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Flaw::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Passes over `length` bytes.
    pub fn skip(&mut self, length: usize) -> Read<()> {
        self.take(length).map(|_| ())
    }

    /// As many bytes as an array has.
    pub fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Flaw::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Four bytes: a number, an enumeration.
    pub fn word(&mut self) -> Read<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes: an offset, a length, a client's id.
    pub fn long(&mut self) -> Read<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A truth value.
    pub fn flag(&mut self) -> Read<bool> {
        match self.word()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Flaw::Wrong("a truth value is neither 0 nor 1")),
        }
    }

    /// A length, and so many bytes with their padding; more than `most` is wrong.
    pub fn opaque(&mut self, most: usize) -> Read<&'a [u8]> {
        let length = self.length(most)?;
        let bytes = self.take(length)?;
        self.skip(padding(length))?;
        Ok(bytes)
    }

    /// A length or a count.
    pub fn length(&mut self, most: usize) -> Read<usize> {
        match usize::try_from(self.word()?) {
            Ok(length) if length <= most => Ok(length),
            _ => Err(Flaw::Wrong("a length beyond its limit")),
        }
    }

    /// A list of words, as the attributes that are meant (RFC 8881 §3.3.7).
    pub fn bitmap(&mut self) -> Read<Bitmap> {
        let count = self.length(MAX_BITMAP_WORDS)?;
        let mut words = [0; MAX_BITMAP_WORDS];
        for word in &mut words[..count] {
            *word = self.word()?;
        }
        Ok(Bitmap(words))
    }
}

/// NFSv4.2 has attributes in three words; a few more are read and mean nothing.
const MAX_BITMAP_WORDS: usize = 8;

/// A set of attribute numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitmap([u32; MAX_BITMAP_WORDS]);

impl Bitmap {
    /// Whether it has `number`.
    pub fn has(&self, number: usize) -> bool {
        self.0.get(number / 32).is_some_and(|word| word >> (number % 32) & 1 == 1)
    }

    /// Its numbers, in their order.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (0..MAX_BITMAP_WORDS * 32).filter(move |number| self.has(*number))
    }
}

/// How many bytes fill `length` up to a multiple of four.
pub const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_bytes_are_padded_to_words() {
        let mut reader = Reader::new(b"\0\0\0\x05abcde\0\0\0\0\0\0\x07");
        assert_eq!(reader.opaque(5), Ok(&b"abcde"[..]));
        assert_eq!((reader.word(), reader.left()), (Ok(7), 0));
        assert_eq!(
            Reader::new(b"\0\0\0\x05abcde").opaque(4),
            Err(Flaw::Wrong("a length beyond its limit"))
        );
        assert_eq!(Reader::new(b"\0\0\0\x05abcde").opaque(5), Err(Flaw::Short));
    }

    #[test]
    fn a_bitmap_tells_its_numbers() {
        let bitmap = Reader::new(b"\0\0\0\x02\0\0\0\x10\0\0\0\x02").bitmap().unwrap();
        assert_eq!(bitmap.numbers().collect::<Vec<_>>(), [4, 33]);
        assert!(!bitmap.has(9999));
    }
}
