//! A recipe file as parsed and not yet understood: every key and value knows where it stands.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problem::{Place, Problem, Source, nearest, suggest};
use super::vars::STAND_IN;

/// A value and where it stands.
pub(super) type Node<'s> = Spanned<DeValue<'s>>;

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Of a table.
    Name(String),
    /// Of an array.
    Index(usize),
}

/// How often a file is tried before it is given up: every try removes one mistake.
const MAX_TRIES: usize = 200;

/// One parsed file.
#[derive(Debug)]
pub(super) struct Document<'s> {
    /// The file.
    pub(super) source: &'s Source,
    /// What is in it. What could not be understood is taken out.
    pub(super) root: Node<'s>,
    /// Strings that were nothing but a whole number or a boolean before they were rendered, by
    /// where they begin.
    pub(super) typed: Vec<usize>,
    /// The values of all variables that are whole numbers, as text.
    pub(super) numbers: &'s [String],
    /// Where the tables begin that something was taken out of, because it was wrong.
    pub(super) torn: Vec<usize>,
    /// Whether it is TOML at all.
    pub(super) is_toml: bool,
}

impl<'s> Document<'s> {
    /// Parses a file. All that is not TOML goes to `problems`.
    pub(super) fn parse(source: &'s Source, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let span = table.span();
        let root = Spanned::new(span, DeValue::Table(table.into_inner()));
        for error in &errors {
            let place = error.span().map(|span| source.place(&span));
            let message = error.message().lines().next().unwrap_or_default();
            problems.push(Problem::error(format!("this is not TOML: {message}")).at(place));
        }
        Self {
            source,
            root,
            typed: Vec::new(),
            numbers: &[],
            torn: Vec::new(),
            is_toml: errors.is_empty(),
        }
    }

    /// Understands the file as a `T`, or as much of it as is right. `None` if nothing is.
    pub(super) fn decode<T: DeserializeOwned>(&mut self, problems: &mut Vec<Problem>) -> Option<T> {
        let mut decoder = Decoder::new(self.source, &self.typed, self.numbers);
        let decoded = decoder.run(&mut self.root, &[], problems);
        self.torn.extend(decoder.removed.into_iter().map(|(start, _)| start));
        decoded
    }

    /// Understands one of its sections, of this name, in the same way.
    pub(super) fn decode_section<T: DeserializeOwned>(
        &mut self,
        name: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let DeValue::Table(table) = self.root.get_mut() else { return None };
        let section = table.get_mut(name)?;
        let mut decoder = Decoder::new(self.source, &self.typed, self.numbers);
        let decoded = decoder.run(section, &[Key::Name(name.to_owned())], problems);
        self.torn.extend(decoder.removed.into_iter().map(|(start, _)| start));
        decoded
    }

    /// The value at the end of `path`.
    pub(super) fn get(&self, path: &[Key]) -> Option<&Node<'s>> {
        let mut node = &self.root;
        for key in path {
            node = inside(node, key)?;
        }
        Some(node)
    }

    /// The string at the end of `path`.
    pub(super) fn text(&self, path: &[Key]) -> Option<&str> {
        self.get(path)?.get_ref().as_str()
    }

    /// Where the end of `path` stands, or as much of the way as there is.
    pub(super) fn place(&self, path: &[Key]) -> Place {
        let mut node = &self.root;
        for key in path {
            let Some(next) = inside(node, key) else { break };
            node = next;
        }
        self.source.place(&node.span())
    }
}

fn inside<'n, 's>(node: &'n Node<'s>, key: &Key) -> Option<&'n Node<'s>> {
    match key {
        Key::Name(name) => node.get_ref().get(name.as_str()),
        Key::Index(index) => node.get_ref().get(*index),
    }
}

fn inside_mut<'n, 's>(node: &'n mut Node<'s>, key: &Key) -> Option<&'n mut Node<'s>> {
    match (node.get_mut(), key) {
        (DeValue::Table(table), Key::Name(name)) => table.get_mut(name.as_str()),
        (DeValue::Array(array), Key::Index(index)) => array.get_mut(*index),
        _ => None,
    }
}

/// What a path is called in messages: `[[file]]`, `[host.efs]`, `when` of `[[file]]`.
pub(super) fn label(path: &[Key]) -> String {
    let names = |path: &[Key]| {
        let names = path.iter().filter_map(|key| match key {
            Key::Name(name) => Some(name.as_str()),
            Key::Index(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    };
    let inside = path.iter().rposition(|key| matches!(key, Key::Index(_)));
    match inside.map(|at| path.split_at(at + 1)) {
        Some((list, [])) => format!("[[{}]]", names(list)),
        Some((list, rest)) => format!("`{}` of [[{}]]", names(rest), names(list)),
        None if path.is_empty() => "a recipe".to_owned(),
        None => format!("[{}]", names(path)),
    }
}

/// Finds every mistake of a value: takes out what the types refuse, and tries again.
struct Decoder<'a, 's> {
    source: &'s Source,
    typed: &'a [usize],
    numbers: &'s [String],
    /// Keys that were taken out: the start of their table, and their name. That they are missing
    /// then is no second mistake.
    removed: Vec<(usize, String)>,
}

impl<'a, 's> Decoder<'a, 's> {
    const fn new(source: &'s Source, typed: &'a [usize], numbers: &'s [String]) -> Self {
        Self { source, typed, numbers, removed: Vec::new() }
    }

    fn run<T: DeserializeOwned>(
        &mut self,
        root: &mut Node<'s>,
        above: &[Key],
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        for _ in 0..MAX_TRIES {
            let error = match T::deserialize(ValueDeserializer::from(root.clone())) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            let Some(span) = error.span() else {
                problems.push(Problem::error(message));
                return None;
            };
            let mut found = Vec::new();
            paths(root, &span, &mut Vec::new(), &mut found);
            let path = Self::pick(root, &message, &found);
            if self.convert(root, &path, &span) {
                continue;
            }
            if let Some(problem) = self.problem(root, &[above, &path].concat(), &message, &path) {
                problems.push(problem.at(self.source.place(&span)));
            }
            if !self.remove(root, &path, &message) {
                return None;
            }
        }
        None
    }

    /// Of the values that stand at one place, the one that is meant: tables that are opened by one
    /// header begin where it does.
    fn pick(root: &Node<'_>, message: &str, found: &[Vec<Key>]) -> Vec<Key> {
        let lacks = |path: &Vec<Key>, name: &str| {
            let node = path.iter().try_fold(root, |node, key| inside(node, key));
            let table = node.and_then(|node| node.get_ref().as_table());
            table.is_some_and(|table| !table.contains_key(name))
        };
        let named = match quoted(message, "missing field `") {
            Some(name) => found.iter().rev().find(|path| lacks(path, name)).cloned(),
            None => found.last().cloned(),
        };
        named.or_else(|| found.last().cloned()).unwrap_or_default()
    }

    /// Makes a number or a boolean of text that came from a variable of that type.
    fn convert(&self, root: &mut Node<'s>, path: &[Key], span: &Range<usize>) -> bool {
        if !self.typed.contains(&span.start) {
            return false;
        }
        let Some(node) = path.iter().try_fold(root, |node, key| inside_mut(node, key)) else {
            return false;
        };
        let value = match node.get_ref().as_str() {
            Some("true") => DeValue::Boolean(true),
            Some("false") => DeValue::Boolean(false),
            text => {
                let number = self.numbers.iter().find(|number| Some(number.as_str()) == text);
                let Some(Ok(value)) = number.map(|number| DeValue::parse(number)) else {
                    return false;
                };
                value.into_inner()
            }
        };
        *node.get_mut() = value;
        true
    }

    fn problem(
        &self,
        root: &Node<'_>,
        full: &[Key],
        message: &str,
        path: &[Key],
    ) -> Option<Problem> {
        let owner = &full[..full.len().saturating_sub(1)];
        if let Some(name) = quoted(message, "unknown field `") {
            let section = if owner.is_empty() { "section" } else { "key" };
            let place =
                if owner.is_empty() { String::new() } else { format!(" in {}", label(owner)) };
            let hint = suggest(name, expected(message).into_iter());
            return Some(Problem::error(format!("unknown {section} `{name}`{place}")).hint(hint));
        }
        if let Some(name) = quoted(message, "missing field `") {
            let node = path.iter().try_fold(root, |node, key| inside(node, key))?;
            let known = (node.span().start, name.to_owned());
            let again = self.removed.contains(&known);
            let what = if full.is_empty() && name == "recipe" {
                "[recipe] is missing, with the recipe's `name`".to_owned()
            } else {
                format!("{} needs `{name}`", label(full))
            };
            return (!again).then(|| Problem::error(what));
        }
        let what = match full.last() {
            Some(Key::Name(name)) => format!("`{name}`"),
            Some(Key::Index(_)) => format!("an element of {}", label(owner)),
            None => "a recipe".to_owned(),
        };
        if let Some(value) = quoted(message, "unknown variant `") {
            if value.contains(STAND_IN) {
                return None;
            }
            let hint = suggest(value, expected(message).into_iter());
            return Some(Problem::error(format!("{what} cannot be `{value}`")).hint(hint));
        }
        let value = path.iter().try_fold(root, |node, key| inside(node, key));
        let text = value.and_then(|value| value.get_ref().as_str());
        if text.is_some_and(|text| text.contains(STAND_IN)) {
            return None;
        }
        // What serde says of a value that cannot be one of a set of words.
        if message == "wanted string or table" {
            let got = value.map_or("that", |value| value.get_ref().type_str());
            let hint = "wanted is one word, in quotes".to_owned();
            return Some(Problem::error(format!("{what} cannot be of type {got}")).hint(hint));
        }
        let (got, wanted) = in_words(message);
        Some(Problem::error(format!("{what} cannot be {got}")).hint(wanted))
    }

    /// Takes out what was refused, so that the next mistake can be found.
    fn remove(&mut self, root: &mut Node<'s>, path: &[Key], message: &str) -> bool {
        let Some((last, owner)) = path.split_last() else {
            return quoted(message, "missing field `").is_some_and(|name| stub(root, name));
        };
        let Some(owner) = owner.iter().try_fold(root, |node, key| inside_mut(node, key)) else {
            return false;
        };
        let start = owner.span().start;
        match (owner.get_mut(), last) {
            (DeValue::Table(table), Key::Name(name)) => {
                self.removed.push((start, name.clone()));
                // A key that was meant is not missing as well.
                let meant = nearest(name, expected(message).into_iter());
                self.removed.extend(meant.map(|meant| (start, meant.to_owned())));
                table.remove(name.as_str()).is_some()
            }
            (DeValue::Array(array), Key::Index(index)) if *index < array.len() => {
                let kept = array.iter().enumerate().filter(|(at, _)| at != index);
                *array = kept.map(|(_, item)| item.clone()).collect();
                true
            }
            _ => false,
        }
    }
}

/// Puts an empty header where there is none, so that the rest can be looked at.
fn stub(root: &mut Node<'_>, name: &str) -> bool {
    let DeValue::Table(table) = root.get_mut() else { return false };
    if name != "recipe" {
        return false;
    }
    let text = || Spanned::new(0..0, DeValue::String("".into()));
    let header = std::iter::once((Spanned::new(0..0, "name".into()), text())).collect();
    table.insert(Spanned::new(0..0, "recipe".into()), Spanned::new(0..0, DeValue::Table(header)));
    true
}

/// The ways to what stands at exactly `span`, the shorter ways first.
fn paths(node: &Node<'_>, span: &Range<usize>, way: &mut Vec<Key>, found: &mut Vec<Vec<Key>>) {
    if node.span() == *span {
        found.push(way.clone());
    }
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                way.push(Key::Name(key.get_ref().to_string()));
                if key.span() == *span && value.span() != *span {
                    found.push(way.clone());
                }
                paths(value, span, way, found);
                way.pop();
            }
        }
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                way.push(Key::Index(index));
                paths(value, span, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

/// The name that stands in backquotes after `prefix`.
fn quoted<'m>(message: &'m str, prefix: &str) -> Option<&'m str> {
    message.strip_prefix(prefix)?.split('`').next()
}

/// The names in "…, expected one of `a`, `b`".
fn expected(message: &str) -> Vec<&str> {
    let list = message.split_once("`, expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).collect()
}

/// serde's words for what it got and what it wanted in ours.
fn in_words(message: &str) -> (String, Option<String>) {
    let plain = message.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let (got, wanted) = match plain.split_once(", expected ") {
        Some((got, wanted)) => (got, Some(wanted)),
        None => (plain, None),
    };
    let got = match got.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer" | "boolean" | "floating", rest)) => {
            rest.trim_start_matches("point ").to_owned()
        }
        _ => match got {
            "map" => "a table".to_owned(),
            "sequence" => "a list".to_owned(),
            other => other.to_owned(),
        },
    };
    let wanted = wanted.map(|wanted| match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" => "a whole number, not below 0",
        "i64" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list, in [ ]",
        table if table.starts_with("struct ") => "a table",
        "a map" => "a table",
        other => other,
    });
    (got, wanted.map(|wanted| format!("wanted is {wanted}")))
}
