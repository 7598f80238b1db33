//! Whether a condition holds for a client: yes, no, or nobody knows here.

use super::document::Condition;
use super::request::{Client, Fact};

/// What follows, where some of what is asked may not be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It depends on this, which is not known here.
    Depends(Vec<String>),
}

impl Holds {
    /// Whether it is so.
    pub const fn of(so: bool) -> Self {
        if so { Self::Yes } else { Self::No }
    }

    /// Both at once.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, it) | (it, Self::Yes) => it,
            (Self::Depends(mut on), Self::Depends(more)) => {
                on.extend(more);
                Self::Depends(on)
            }
        }
    }
}

/// How two texts are compared.
#[derive(Clone, Copy)]
enum Compare {
    Equal,
    EqualInAnyCase,
    Like,
    Arn,
}

/// Whether it holds.
pub fn holds(condition: &Condition, client: &Client) -> Holds {
    let Condition { operator, key, values } = condition;
    let depends = || Holds::Depends(vec![format!("{key} ({operator})")]);
    let lower = operator.to_ascii_lowercase();
    let (every, rest) = match lower.split_once(':') {
        Some(("forallvalues", rest)) => (true, rest),
        Some(("foranyvalue", rest)) => (false, rest),
        None => (false, lower.as_str()),
        Some(_) => return depends(),
    };
    let (rest, if_exists) = match rest.strip_suffix("ifexists") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let fact = client.fact(key);
    if rest == "null" {
        let absent = match fact {
            Fact::Unknown => return depends(),
            Fact::Absent => "true",
            Fact::Is(_) => "false",
        };
        return Holds::of(values.iter().any(|value| value.eq_ignore_ascii_case(absent)));
    }
    let (compare, negated) = match rest {
        "stringequals" => (Compare::Equal, false),
        "stringnotequals" => (Compare::Equal, true),
        "stringequalsignorecase" | "bool" => (Compare::EqualInAnyCase, false),
        "stringnotequalsignorecase" => (Compare::EqualInAnyCase, true),
        "stringlike" => (Compare::Like, false),
        "stringnotlike" => (Compare::Like, true),
        "arnequals" | "arnlike" => (Compare::Arn, false),
        "arnnotequals" | "arnnotlike" => (Compare::Arn, true),
        _ => return depends(),
    };
    let is = match fact {
        Fact::Unknown => return depends(),
        // Nothing is no match: so the opposite of a match is one.
        Fact::Absent => return Holds::of(if_exists || every || negated),
        Fact::Is(value) => value,
    };
    // What a variable stands for is the request's, too.
    if values.iter().any(|value| value.contains("${")) {
        return depends();
    }
    Holds::of(values.iter().any(|value| compare.fits(value, &is)) != negated)
}

impl Compare {
    fn fits(self, pattern: &str, value: &str) -> bool {
        match self {
            Self::Equal => pattern == value,
            Self::EqualInAnyCase => pattern.eq_ignore_ascii_case(value),
            Self::Like => glob(pattern, value),
            Self::Arn => {
                // Each of the six parts by itself: a star does not reach over a colon.
                let parts = |text| str::splitn(text, 6, ':').collect::<Vec<_>>();
                let (wanted, is) = (parts(pattern), parts(value));
                wanted.len() == is.len()
                    && wanted.iter().zip(is).all(|(one, other)| glob(one, other))
            }
        }
    }
}

/// Whether a text is as a pattern with `*` and `?` says. Takes no longer than their lengths
/// multiplied, whatever they are.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where to go on if what follows the last star does not fit: it takes one more.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, read) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}
