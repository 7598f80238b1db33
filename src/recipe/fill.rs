//! Replaces variables in every string of a recipe file, where it stands.

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Place, Problem, Source};
use super::tree::{Document, Key, Node};
use super::value::{Kind, Value};
use super::vars::{STAND_IN, Syntax, Vars, Wrong};
use crate::secret::REFERENCE;

/// Renders every string of `document`, but for the recipe's name, its parent's name and the
/// variables themselves. An element of a list that is nothing but a list variable becomes the
/// elements of that; a secret becomes a reference.
pub(super) fn fill(document: &mut Document<'_>, vars: &Vars, problems: &mut Vec<Problem>) {
    let mut filler = Filler { source: document.source, vars, problems, typed: Vec::new() };
    filler.value(&mut document.root, &mut Vec::new());
    document.typed = filler.typed;
}

struct Filler<'a> {
    source: &'a Source,
    vars: &'a Vars,
    problems: &'a mut Vec<Problem>,
    typed: Vec<usize>,
}

impl Filler<'_> {
    fn value(&mut self, node: &mut Node<'_>, path: &mut Vec<Key>) {
        if is_fixed(path) {
            return;
        }
        let span = node.span();
        match node.get_mut() {
            DeValue::String(text) => {
                *text = self.string(text, &span, path).into();
            }
            DeValue::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items.iter() {
                    if let Some(expanded) = self.expand(item) {
                        filled.extend(expanded);
                        continue;
                    }
                    let mut item = item.clone();
                    path.push(Key::Index(filled.len()));
                    self.value(&mut item, path);
                    path.pop();
                    filled.push(item);
                }
                *items = filled.into_iter().collect();
            }
            DeValue::Table(table) => {
                for (key, value) in table.iter_mut() {
                    path.push(Key::Name(key.get_ref().to_string()));
                    self.value(value, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// The elements that an element of a list stands for, if it is nothing but a list variable.
    fn expand<'s>(&self, item: &Node<'s>) -> Option<Vec<Node<'s>>> {
        let name = item.get_ref().as_str().and_then(whole)?;
        let Some(Value::List(list)) = self.vars.get(name) else { return None };
        let element = |text: &String| DeValue::String(text.clone().into());
        Some(list.iter().map(|text| Spanned::new(item.span(), element(text))).collect())
    }

    /// What a string becomes.
    fn string(&mut self, text: &str, span: &std::ops::Range<usize>, path: &[Key]) -> String {
        let holds_secrets = may_hold_secrets(path);
        if let Some(name) = whole(text) {
            if self.vars.is_secret(name) && holds_secrets {
                return format!("{REFERENCE}{name}");
            }
            match self.vars.get(name).map(Value::kind) {
                Some(Kind::Integer | Kind::Boolean) => self.typed.push(span.start),
                Some(Kind::List) => {
                    let message = format!("`{name}` is a list, and here is no place for one");
                    let hint = format!(
                        "let it be an element of a list, or join it: {{{{ {name} | join(sep=\" \") }}}}"
                    );
                    let place = self.source.place(span);
                    self.problems.push(Problem::error(message).at(place).hint(hint));
                    return STAND_IN.to_string();
                }
                Some(Kind::String) | None => {}
            }
        }
        match self.vars.render(text, Syntax::String) {
            Ok(rendered) => {
                if holds_secrets && rendered.starts_with(REFERENCE) {
                    let message = format!("a value here cannot begin with `{REFERENCE}`");
                    let hint = "that is how a plan refers to a secret variable: use {{ name }}";
                    let problem = Problem::error(message).at(self.source.place(span));
                    self.problems.push(problem.hint(hint.to_owned()));
                }
                rendered
            }
            Err(all) => {
                for wrong in all {
                    let place = self.place(text, &wrong, span);
                    let problem = Problem::error(wrong.message).at(place);
                    self.problems.push(problem.hint(wrong.hint));
                }
                // That it is wrong has been said.
                STAND_IN.to_string()
            }
        }
    }

    /// Where in the file that is which is wrong in a string. The string may have been written with
    /// escapes: what is sought is the same words, as often repeated.
    fn place(&self, text: &str, wrong: &Wrong, span: &std::ops::Range<usize>) -> Place {
        let written = self.source.text.get(span.clone()).unwrap_or_default();
        let words = text.get(wrong.range.clone()).unwrap_or_default();
        let before = text.get(..wrong.range.start).unwrap_or_default();
        let nth = before.matches(words).count();
        match written.match_indices(words).nth(nth) {
            Some((at, words)) if !words.is_empty() => {
                let start = span.start + at;
                self.source.place(&(start..start + words.len()))
            }
            _ => self.source.place(span),
        }
    }
}

/// What is not rendered: it must be known before the variables are.
fn is_fixed(path: &[Key]) -> bool {
    let name = |at: usize| match path.get(at) {
        Some(Key::Name(name)) => name.as_str(),
        _ => "",
    };
    match name(0) {
        "vars" => true,
        "recipe" => matches!(name(1), "name" | "extends"),
        _ => false,
    }
}

/// `[[script]] env` and `[[fetch]] headers`: their values are resolved when they are used.
fn may_hold_secrets(path: &[Key]) -> bool {
    match path {
        [Key::Name(section), Key::Index(_), Key::Name(table), Key::Name(_)] => {
            matches!((section.as_str(), table.as_str()), ("script", "env") | ("fetch", "headers"))
        }
        _ => false,
    }
}

/// The variable that `text` is nothing but.
fn whole(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}
