//! The parameters of one request, as a tree: `Filter.1.Value.2=x` is `Filter` → `1` → `Value` → `2`.
//!
//! Whoever reads a parameter takes it out. [`Query::finish`] refuses what nobody has taken: a
//! client that asks for what is not modelled must not believe that it was done.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::refusal::{Answer, Refusal};
use crate::sim::random::to_hex;

/// What does not count when two requests are compared.
const ASIDE: [&str; 4] = ["ClientToken", "DryRun", "MaxResults", "NextToken"];

/// See the module.
#[derive(Debug, Default)]
pub struct Query {
    path: String,
    text: Option<String>,
    fields: BTreeMap<String, Query>,
}

/// Whether the request only asks whether it would be allowed.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct DryRun(bool);

impl DryRun {
    /// Ends the request here if it is only a rehearsal of one.
    pub fn end(self) -> Answer<()> {
        if !self.0 {
            return Ok(());
        }
        let message = "Request would have succeeded, but DryRun flag is set.".to_owned();
        Err(Refusal { status: 412, code: "DryRunOperation", message })
    }
}

/// What two requests have in common that ask for the same.
pub fn fingerprint(parameters: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for (name, value) in parameters {
        if !ASIDE.contains(&name.as_str()) {
            digest.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
        }
    }
    to_hex(&digest.finalize())[..32].to_owned()
}

impl Query {
    /// The tree of all parameters.
    pub fn of(parameters: BTreeMap<String, String>) -> Self {
        let mut top = Self::default();
        for (name, value) in parameters {
            let mut at = &mut top;
            for part in name.split('.') {
                let dot = if at.path.is_empty() { "" } else { "." };
                let path = format!("{}{dot}{part}", at.path);
                let fresh = || Self { path, ..Self::default() };
                at = at.fields.entry(part.to_owned()).or_insert_with(fresh);
            }
            at.text = Some(value);
        }
        top
    }

    /// Refuses what nobody has taken.
    pub fn finish(mut self) -> Answer<DryRun> {
        let dry_run = DryRun(self.flag("DryRun")?.unwrap_or_default());
        self.done()?;
        Ok(dry_run)
    }

    /// The same for a structure inside of a request.
    pub fn done(&self) -> Answer<()> {
        match self.first_left() {
            None => Ok(()),
            Some(path) => {
                let message = format!("The parameter {path} is not recognized");
                Err(Refusal::new("UnknownParameter", message))
            }
        }
    }

    fn first_left(&self) -> Option<&str> {
        let own = self.text.is_some().then_some(self.path.as_str());
        own.or_else(|| self.fields.values().find_map(Self::first_left))
    }

    /// The full name of a field, as the client wrote it.
    pub fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// A text.
    pub fn text(&mut self, field: &str) -> Option<String> {
        self.fields.get_mut(field)?.text.take()
    }

    /// A text that must be there and not be empty.
    pub fn required(&mut self, field: &str) -> Answer {
        let found = self.text(field).filter(|text| !text.is_empty());
        found.ok_or_else(|| Refusal::missing(&self.name(field)))
    }

    /// A text of at most so many characters.
    pub fn short(&mut self, field: &str, limit: usize) -> Answer<Option<String>> {
        let text = self.text(field);
        match &text {
            Some(text) if text.chars().count() > limit => Err(Refusal::value(format!(
                "Value for parameter {} is invalid. It has more than {limit} characters",
                self.name(field)
            ))),
            _ => Ok(text),
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, field: &str) -> Answer<Option<bool>> {
        match self.text(field).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let name = self.name(field);
                Err(Refusal::value(format!("Invalid value '{other}' for {name}")))
            }
        }
    }

    /// A whole number.
    pub fn number(&mut self, field: &str) -> Answer<Option<u64>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.invalid(field, &text, "a whole number is expected"))
    }

    /// One of several words.
    pub fn word(&mut self, field: &str, words: &[&'static str]) -> Answer<Option<&'static str>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Ok(Some(word));
        }
        let words = words.join(", ");
        Err(self.invalid(field, &text, &format!("valid values are {words}")))
    }

    /// A moment.
    pub fn time(&mut self, field: &str) -> Answer<Option<Timestamp>> {
        let Some(text) = self.text(field) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.invalid(field, &text, "a time is expected"))
    }

    /// The values of `Field.1`, `Field.2`, …, in the order of their numbers.
    pub fn list(&mut self, field: &str) -> Vec<String> {
        let Some(list) = self.fields.get_mut(field) else { return Vec::new() };
        let mut numbered: Vec<(u32, String)> = list
            .fields
            .iter_mut()
            .filter_map(|(number, one)| Some((number.parse().ok()?, one.text.take()?)))
            .collect();
        numbered.sort();
        numbered.into_iter().map(|(_, text)| text).collect()
    }

    /// The structures `Field.1.…`, `Field.2.…`, …, in the order of their numbers. Each is to be
    /// [`done`](Self::done) by who takes them.
    pub fn structures(&mut self, field: &str) -> Vec<Self> {
        let Some(list) = self.fields.get_mut(field) else { return Vec::new() };
        let (numbered, odd) = std::mem::take(&mut list.fields)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(number, _)| number.parse::<u32>().is_ok());
        list.fields = odd;
        let mut numbered: Vec<(u32, Self)> = numbered
            .into_iter()
            .filter_map(|(number, one)| Some((number.parse().ok()?, one)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, one)| one).collect()
    }

    /// The structure `Field.…`, to be [`done`](Self::done) by who takes it.
    pub fn structure(&mut self, field: &str) -> Option<Self> {
        self.fields.remove(field)
    }

    fn invalid(&self, field: &str, text: &str, why: &str) -> Refusal {
        let name = self.name(field);
        Refusal::value(format!("Value ({text}) for parameter {name} is invalid: {why}"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The parameters of a query string.
    pub(in crate::sim::ec2) fn query(text: &str) -> Query {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Query::of(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        let mut query = query("Id.10=j&Id.2=b&Id.1=a");
        assert_eq!(query.list("Id"), ["a", "b", "j"]);
        query.done().unwrap();
    }

    #[test]
    fn structures_are_taken_one_by_one() {
        let mut query = query("Filter.1.Name=a&Filter.1.Value.1=x&Filter.2.Name=b&Ebs.Size=3");
        let mut filters = query.structures("Filter");
        assert_eq!(filters[0].text("Name").as_deref(), Some("a"));
        assert_eq!(filters[0].list("Value"), ["x"]);
        assert_eq!(filters[1].text("Name").as_deref(), Some("b"));
        assert_eq!(query.structure("Ebs").unwrap().number("Size").unwrap(), Some(3));
        query.done().unwrap();
    }

    #[test]
    fn what_nobody_takes_is_refused_by_its_full_name() {
        let mut query = query("Filter.1.Name=a&Filter.1.Vlaue.1=x");
        let mut filters = query.structures("Filter");
        filters[0].text("Name");
        let refusal = filters[0].done().unwrap_err();
        assert_eq!(refusal.code, "UnknownParameter");
        assert_eq!(refusal.message, "The parameter Filter.1.Vlaue.1 is not recognized");
    }

    #[test]
    fn a_dry_run_ends_with_its_own_status() {
        let refusal = query("DryRun=true").finish().unwrap().end().unwrap_err();
        assert_eq!((refusal.status, refusal.code), (412, "DryRunOperation"));
        query("DryRun=false").finish().unwrap().end().unwrap();
    }

    #[test]
    fn the_same_request_with_another_token_is_the_same_request() {
        let print = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            fingerprint(&owned.collect())
        };
        assert_eq!(print(&[("A", "1"), ("ClientToken", "x")]), print(&[("A", "1")]));
        assert_ne!(print(&[("A", "1")]), print(&[("A", "2")]));
        assert_ne!(print(&[("A", "1"), ("B", "")]), print(&[("A", "1B")]));
    }
}
