//! The values of a recipe's variables, and the rendering of text with them.
//!
//! The values of secret variables are not among them: text is never rendered with those.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tera::{Context, ErrorKind, Tera};

use super::problem::{Problem, Source, nearest};
use super::value::{Kind, Value};

/// Begins the value of a variable that nobody has set, where a recipe is only looked at. What
/// holds it is not checked.
pub const STAND_IN: char = '\u{fffc}';

/// The values of a recipe's variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vars {
    pub(super) values: BTreeMap<String, Value>,
    /// The names of those that are secret.
    pub(super) secrets: BTreeSet<String>,
    /// The names of those that nobody has set.
    pub(super) stand_ins: BTreeSet<String>,
}

/// What is wrong with a template, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) range: Range<usize>,
    pub(super) hint: Option<String>,
}

/// Which text is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// A string of a recipe. There `{#` is no comment: shell scripts are full of it.
    String,
    /// A template file.
    File,
}

impl Vars {
    /// The value of a variable that is no secret.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether a variable is secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secrets.contains(name)
    }

    /// The secret variables.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// The variables that have a stand-in for a value.
    pub fn stand_ins(&self) -> impl Iterator<Item = &str> {
        self.stand_ins.iter().map(String::as_str)
    }

    /// The values of all variables that are whole numbers, as text.
    pub(super) fn numbers(&self) -> Vec<String> {
        let numbers = self.values.values().filter(|value| value.kind() == Kind::Integer);
        numbers.map(ToString::to_string).collect()
    }

    /// Renders a template file.
    ///
    /// # Errors
    /// Everything that is wrong with it, at its places.
    pub(super) fn render_file(&self, file: &Source) -> Result<String, Vec<Problem>> {
        self.render(&file.text, Syntax::File).map_err(|all| {
            let problem = |wrong: Wrong| {
                Problem::error(wrong.message).at(file.place(&wrong.range)).hint(wrong.hint)
            };
            all.into_iter().map(problem).collect()
        })
    }

    /// Renders the text of a template file called `name`.
    ///
    /// # Errors
    /// The first thing that is wrong with it, at its place.
    pub fn render_template(&self, text: &str, name: &str) -> anyhow::Result<String> {
        let file = Source { name: name.to_owned(), text: text.to_owned() };
        self.render_file(&file).map_err(|mut problems| {
            let more = problems.len().saturating_sub(1);
            problems.swap_remove(0).into_fault(more)
        })
    }

    /// Renders text. Of what is not defined, every name is found.
    pub(super) fn render(&self, text: &str, syntax: Syntax) -> Result<String, Vec<Wrong>> {
        if !text.contains("{{") && !text.contains("{%") && syntax == Syntax::String {
            return Ok(text.to_owned());
        }
        let engine = engine(syntax);
        let mut context = Context::new();
        for (name, value) in &self.values {
            match value {
                Value::String(text) => context.insert(name.clone(), text),
                Value::Integer(number) => context.insert(name.clone(), number),
                Value::Boolean(yes) => context.insert(name.clone(), yes),
                Value::List(items) => context.insert(name.clone(), items),
            }
        }
        let mut all = Vec::new();
        loop {
            let error = match engine.render_str(text, &context, false) {
                Ok(_) if !all.is_empty() => return Err(all),
                Ok(rendered) => return Ok(rendered),
                Err(error) => error,
            };
            let undefined = undefined(&error);
            all.push(self.wrong(&error, undefined.as_deref(), text));
            match undefined {
                // With something in its place, the next one is found.
                Some(name) if !context.contains_key(&name) => context.insert(name, ""),
                _ => return Err(all),
            }
        }
    }

    /// A hint for a name that is no variable's.
    fn known(&self, name: &str) -> String {
        let names = || self.values.keys().map(String::as_str);
        let all = names().collect::<Vec<_>>().join(", ");
        match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`? The variables are: {all}"),
            None if all.is_empty() => "the recipe has no variables: declare [vars.…]".to_owned(),
            None => format!("the variables are: {all}"),
        }
    }

    fn wrong(&self, error: &tera::Error, undefined: Option<&str>, text: &str) -> Wrong {
        let (message, range) = match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                (report.message().to_owned(), report.span().range.clone())
            }
            other => located(&other.to_string(), text),
        };
        let (message, hint) = match undefined {
            Some(name) if self.is_secret(name) => secret_here(name),
            Some(name) => {
                let hint = self.known(name);
                (format!("there is no variable `{name}`"), Some(hint))
            }
            None => (format!("the template is not right: {message}"), None),
        };
        Wrong { message, range, hint }
    }
}

/// What is said of a secret in the wrong place.
pub(super) fn secret_here(name: &str) -> (String, Option<String>) {
    (
        format!("the secret variable `{name}` cannot stand here"),
        Some(format!(
            "a plan and an image hold no secret: `{{{{ {name} }}}}` may only be a whole value of \
             [[script]] env or of [[fetch]] headers"
        )),
    )
}

/// What is wrong with `text` by one of the engine's own reports, `error: … --> NAME:LINE:COLUMN`
/// with an excerpt, which ours replaces.
fn located(report: &str, text: &str) -> (String, Range<usize>) {
    let message = report.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let range = || {
        let (_, place) = report.split_once("--> ")?;
        let mut numbers = place.lines().next()?.rsplit(':').map(str::trim);
        let column: usize = numbers.next()?.parse().ok()?;
        let line: usize = numbers.next()?.parse().ok()?;
        let before: usize =
            text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
        let rest = text.get(before..)?;
        let start = before + rest.char_indices().nth(column.checked_sub(1)?)?.0;
        let name = message.split('`').nth(1).unwrap_or_default();
        let width = if text[start..].starts_with(name) { name.len() } else { 1 };
        Some(start..start + width)
    };
    (message.to_owned(), range().unwrap_or(0..text.len()))
}

fn engine(syntax: Syntax) -> Tera {
    let mut engine = Tera::default();
    if syntax == Syntax::String {
        let no_comments = tera::Delimiters {
            comment_start: "\u{1}{".into(),
            comment_end: "}\u{1}".into(),
            ..tera::Delimiters::default()
        };
        engine.set_delimiters(no_comments).expect("the delimiters are constants");
    }
    engine
}

/// The variable that a template uses and that is not there.
fn undefined(error: &tera::Error) -> Option<String> {
    let ErrorKind::RenderingError(report) = error.kind() else { return None };
    let name = report.message().strip_prefix("Variable `")?;
    let (name, rest) = name.split_once('`')?;
    rest.starts_with(" is not defined").then(|| name.to_owned())
}
