//! Record marking (RFC 5531 §11): a message is one or more fragments, each after its length.

/// The bit of a fragment's length that says that no other follows.
const LAST: u32 = 1 << 31;

/// A piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some bytes of the message.
    Bytes(&'a [u8]),
    /// The message is over.
    End,
}

/// Finds the messages in one direction of a connection, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Framing {
    /// The bytes of a fragment's length that have come.
    mark: [u8; 4],
    marked: usize,
    /// How much of the fragment is still to come.
    left: usize,
    last: bool,
}

impl Framing {
    /// The next piece of `bytes`, which is made shorter by it; none when they are used up.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        loop {
            if self.left > 0 {
                let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
                *bytes = rest;
                self.left -= piece.len();
                return (!piece.is_empty()).then_some(Piece::Bytes(piece));
            }
            if std::mem::take(&mut self.last) {
                return Some(Piece::End);
            }
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            self.mark[self.marked] = *byte;
            self.marked = (self.marked + 1) % self.mark.len();
            if self.marked == 0 {
                let mark = u32::from_be_bytes(self.mark);
                self.left = (mark & !LAST) as usize;
                self.last = mark & LAST != 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that comes `size` bytes at a time.
    fn messages(stream: &[u8], size: usize) -> Vec<Vec<u8>> {
        let (mut framing, mut found, mut current) = (Framing::default(), Vec::new(), Vec::new());
        for mut bytes in stream.chunks(size) {
            while let Some(piece) = framing.next(&mut bytes) {
                match piece {
                    Piece::Bytes(piece) => current.extend(piece),
                    Piece::End => found.push(std::mem::take(&mut current)),
                }
            }
        }
        found
    }

    #[test]
    fn fragments_are_one_message_and_an_empty_one_is_a_message() {
        let stream = b"\0\0\0\x02ab\0\0\0\0\x80\0\0\x01c\x80\0\0\0\x80\0\0\x01d\x80\0\0\x09unfi";
        for size in 1..=stream.len() {
            assert_eq!(messages(stream, size), [b"abc".to_vec(), vec![], b"d".to_vec()]);
        }
    }
}
