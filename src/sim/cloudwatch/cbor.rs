//! CBOR (RFC 8949), as far as AWS's protocol has it: what SDKs of today send to CloudWatch.

use std::collections::BTreeMap;

/// How deep what is sent may be.
const DEPTH: u32 = 32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number without a fraction.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// Members by name.
    Map(BTreeMap<String, Value>),
    /// A moment, in seconds since 1970.
    Moment(f64),
}

impl Value {
    /// A member that is there.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.get(name).filter(|it| **it != Self::Null),
            _ => None,
        }
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Its number.
    pub(super) fn whole(&self) -> Option<i64> {
        if let Self::Whole(number) = self { Some(*number) } else { None }
    }

    /// Its moment, in whole seconds.
    pub(super) fn moment(&self) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second")]
        match self {
            Self::Moment(seconds) | Self::Number(seconds) => Some(seconds.floor() as i64),
            // JSON has no other word for it.
            Self::Whole(seconds) => Some(*seconds),
            _ => None,
        }
    }

    /// Its items.
    pub(super) fn list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// As it is sent.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0xf6),
            Self::Bool(yes) => out.push(if *yes { 0xf5 } else { 0xf4 }),
            Self::Whole(number) => match u64::try_from(*number) {
                Ok(number) => head(out, 0, number),
                Err(_) => head(out, 1, number.unsigned_abs() - 1),
            },
            Self::Number(number) => {
                out.push(0xfb);
                out.extend(number.to_be_bytes());
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend(text.as_bytes());
            }
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend(bytes);
            }
            Self::List(items) => {
                head(out, 4, items.len() as u64);
                for item in items {
                    item.write(out);
                }
            }
            Self::Map(members) => {
                head(out, 5, members.len() as u64);
                for (name, value) in members {
                    Self::Text(name.clone()).write(out);
                    value.write(out);
                }
            }
            Self::Moment(seconds) => {
                head(out, 6, 1);
                Self::Number(*seconds).write(out);
            }
        }
    }
}

/// The kind and the length of what follows.
fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    let bytes = number.to_be_bytes();
    match number {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 0x18, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 0x1a);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend(bytes);
        }
    }
}

/// What was sent; nothing if it is not CBOR, or goes on after its end.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { bytes };
    let value = reader.value(DEPTH)?;
    reader.bytes.is_empty().then_some(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

/// The argument of a head: a number, or that the end is marked.
enum Length {
    Known(u64),
    Marked,
}

impl Reader<'_> {
    fn take(&mut self, count: u64) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(count).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    /// The end of something whose length was not said.
    fn ends(&mut self) -> bool {
        let ends = self.bytes.first() == Some(&0xff);
        if ends {
            self.bytes = &self.bytes[1..];
        }
        ends
    }

    fn number(&mut self, low: u8) -> Option<Length> {
        let wide = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Length::Known(match low {
            0..=23 => u64::from(low),
            24 => wide(self.take(1)?),
            25 => wide(self.take(2)?),
            26 => wide(self.take(4)?),
            27 => wide(self.take(8)?),
            31 => return Some(Length::Marked),
            _ => return None,
        }))
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let first = self.take(1)?[0];
        let (major, low) = (first >> 5, first & 31);
        if major == 7 {
            return self.simple(low);
        }
        let length = self.number(low)?;
        match (major, length) {
            (0, Length::Known(number)) => Some(Value::Whole(number.try_into().ok()?)),
            (1, Length::Known(number)) => Some(Value::Whole(-1 - i64::try_from(number).ok()?)),
            (2, Length::Known(length)) => Some(Value::Bytes(self.take(length)?.to_vec())),
            (3, Length::Known(length)) => {
                Some(Value::Text(String::from_utf8(self.take(length)?.to_vec()).ok()?))
            }
            (4, length) => self.list(&length, depth).map(Value::List),
            (5, length) => self.map(&length, depth),
            (6, Length::Known(1)) => match self.value(depth)? {
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are few")]
                Value::Whole(seconds) => Some(Value::Moment(seconds as f64)),
                Value::Number(seconds) => Some(Value::Moment(seconds)),
                _ => None,
            },
            _ => None,
        }
    }

    fn simple(&mut self, low: u8) -> Option<Value> {
        Some(match low {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 | 23 => Value::Null,
            26 => Value::Number(f32::from_be_bytes(self.take(4)?.try_into().ok()?).into()),
            27 => Value::Number(f64::from_be_bytes(self.take(8)?.try_into().ok()?)),
            _ => return None,
        })
    }

    fn list(&mut self, length: &Length, depth: u32) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        match length {
            Length::Known(count) => {
                for _ in 0..*count {
                    items.push(self.value(depth)?);
                }
            }
            Length::Marked => {
                while !self.ends() {
                    items.push(self.value(depth)?);
                }
            }
        }
        Some(items)
    }

    fn map(&mut self, length: &Length, depth: u32) -> Option<Value> {
        // Names and values in turn, as a list of twice the length.
        let length = match length {
            Length::Known(count) => Length::Known(count.checked_mul(2)?),
            Length::Marked => Length::Marked,
        };
        let mut parts = self.list(&length, depth)?.into_iter();
        let mut members = BTreeMap::new();
        while let Some(name) = parts.next() {
            let Value::Text(name) = name else { return None };
            members.insert(name, parts.next()?);
        }
        Some(Value::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Whole),
            (-1e300..1e300).prop_map(Value::Number),
            ".{0,30}".prop_map(Value::Text),
            (0_u32..2_000_000_000).prop_map(|it| Value::Moment(f64::from(it))),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::btree_map("[A-Za-z]{1,9}", inner, 0..8).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in any_value()) {
            prop_assert_eq!(decode(&value.encoded()), Some(value));
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_is_cut_short_is_nothing(value in any_value(), cut in 1_usize..50) {
            let whole = value.encoded();
            let cut = whole.len().saturating_sub(cut);
            prop_assert_eq!(decode(&whole[..cut]), None);
        }
    }

    #[test]
    fn lengths_may_be_marked_at_the_end() {
        // {_ "a": [_ 1, 2], "b": 1(1700000000)}
        let bytes = b"\xbfaa\x9f\x01\x02\xffab\xc1\x1a\x65\x53\xf1\x00\xff";
        let read = decode(bytes).unwrap();
        assert_eq!(read.get("a").unwrap().list().unwrap(), [Value::Whole(1), Value::Whole(2)]);
        assert_eq!(read.get("b").unwrap().moment(), Some(1_700_000_000));
    }
}
