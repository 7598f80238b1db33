//! `Filter.N`: what of all that there is an answer lists.
//!
//! Filters are joined by "and", the values of one by "or"; `*` and `?` stand for any characters
//! and for one, a backslash takes that meaning away.

use super::query::Query;
use super::refusal::{Answer, Refusal};
use crate::sim::region::Tags;

/// One filter may have so many values. AWS: 200.
const VALUES_LIMIT: usize = 200;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Takes them from a request. `known` are the names that the operation has, without those of
    /// tags.
    pub fn of(query: &mut Query, known: &[&str]) -> Answer<Self> {
        let mut filters = Vec::new();
        for mut filter in query.structures("Filter") {
            let name = filter.required("Name")?;
            let values = filter.list("Value");
            filter.done()?;
            if !(known.contains(&name.as_str()) || name.starts_with("tag:")) {
                return Err(Refusal::value(format!("The filter '{name}' is invalid")));
            }
            if values.len() > VALUES_LIMIT {
                let message = format!("The maximum number of filter values is {VALUES_LIMIT}");
                return Err(Refusal::new("FilterLimitExceeded", message));
            }
            filters.push((name, values));
        }
        Ok(Self(filters))
    }

    /// Whether all let something through. `values` gives what the thing has under a filter's name.
    pub fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, wanted)| match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).is_some_and(|value| any(wanted, value)),
            None if name == "tag-key" => tags.keys().any(|key| any(wanted, key)),
            None => values(name).iter().any(|value| any(wanted, value)),
        })
    }
}

fn any(wanted: &[String], value: &str) -> bool {
    wanted.iter().any(|pattern| like(pattern.as_bytes(), value.as_bytes()))
}

/// Whether a value is as a pattern says: in one pass, with one way back to the last star.
fn like(pattern: &[u8], value: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < value.len() {
        let (step, fits) = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some(b'?') => (1, true),
            Some(b'\\') if at + 1 < pattern.len() => (2, pattern[at + 1] == value[from]),
            Some(byte) => (1, *byte == value[from]),
            None => (0, false),
        };
        if fits {
            at += step;
            from += 1;
        } else if let Some((star_at, star_from)) = star {
            at = star_at + 1;
            from = star_from + 1;
            star = Some((star_at, from));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The word of a filter for a flag.
pub fn truth(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::ec2::query::tests::query;

    #[test]
    fn wildcards_mean_what_they_mean_in_aws() {
        let cases = [
            ("a", "a", true),
            ("a", "A", false),
            ("jenkins-*", "jenkins-controller-1", true),
            ("*-1", "jenkins-controller-1", true),
            ("*ab*ab", "abxabab", true),
            ("j?nkins", "jenkins", true),
            ("j?nkins", "jnkins", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("2021-09-29T*", "2021-09-29T11:04:43.305Z", true),
        ];
        for (pattern, value, fits) in cases {
            assert_eq!(like(pattern.as_bytes(), value.as_bytes()), fits, "{pattern} {value}");
        }
    }

    #[test]
    fn values_are_joined_by_or_and_filters_by_and() {
        let text = "Filter.1.Name=state&Filter.1.Value.1=a&Filter.1.Value.2=b\
                    &Filter.2.Name=tag:Team&Filter.2.Value.1=x*&Filter.3.Name=tag-key\
                    &Filter.3.Value.1=Te?m";
        let filters = Filters::of(&mut query(text), &["state", "tag-key"]).unwrap();
        let tags = Tags::from([("Team".into(), "xy".into())]);
        assert!(filters.pass(&tags, |_| vec!["b".into()]));
        assert!(!filters.pass(&tags, |_| vec!["c".into()]));
        assert!(!filters.pass(&Tags::new(), |_| vec!["b".into()]));
    }

    #[test]
    fn a_filter_that_the_operation_does_not_have_is_refused() {
        let refusal = Filters::of(&mut query("Filter.1.Name=stat"), &["state"]).unwrap_err();
        assert_eq!(refusal.message, "The filter 'stat' is invalid");
    }
}
