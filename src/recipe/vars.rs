//! The variables of a recipe: what gives them their values, and the rendering of text with them.
//!
//! A value comes from `--var`, else a `--var-file`, else `HOSTKIT_VAR_name`, else the recipe's
//! default. The values of secret variables are kept apart: text is never rendered with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tera::{Context, ErrorKind, Tera};
use toml::Spanned;

use super::problem::{Place, Problem, Source, nearest, suggest};
use super::types::Variable;
use super::value::{Kind, Value};
use crate::secret::Secrets;

/// The prefix of environment variables that set recipe variables.
pub const ENVIRONMENT_PREFIX: &str = "HOSTKIT_VAR_";

/// A secret that is shorter stands in too many places by chance to be looked for.
const SHORTEST_SECRET: usize = 8;

/// Begins the value of a variable that nobody has set, where a recipe is only looked at. What
/// holds it is not checked.
pub const STAND_IN: char = '\u{fffc}';

/// What was given for the variables of a recipe.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--var NAME=VALUE`.
    pub flags: Vec<(String, String)>,
    /// The files of `--var-file`. A later one wins.
    pub files: Vec<Source>,
    /// The environment variables that begin with [`ENVIRONMENT_PREFIX`], without it.
    pub environment: BTreeMap<String, String>,
    /// Whether a variable that nobody has set gets a stand-in, or is an error.
    pub stand_in: bool,
}

/// The values of a recipe's variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vars {
    values: BTreeMap<String, Value>,
    secrets: BTreeSet<String>,
    stand_ins: BTreeSet<String>,
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
    /// Gives every declared variable its value. `declared_at` says where a variable's key stands.
    pub(super) fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &Given,
        declared_at: &dyn Fn(&str, &str) -> Option<Place>,
        problems: &mut Vec<Problem>,
    ) -> (Self, Secrets) {
        let mut resolver = Resolver { declared, problems, values: BTreeMap::new() };
        resolver.defaults(declared_at);
        resolver.environment(&given.environment);
        for file in &given.files {
            resolver.file(file);
        }
        resolver.flags(&given.flags);
        let values = resolver.values;
        let mut vars = Self::default();
        let mut secrets = Secrets::default();
        for (name, variable) in declared {
            let set = values
                .get(name)
                .filter(|(_, origin)| !variable.required || *origin != Origin::Default);
            match set {
                Some((Value::String(value), _)) if variable.secret => {
                    secrets.insert(name, value.clone());
                }
                Some((value, _)) => drop(vars.values.insert(name.clone(), value.clone())),
                None if variable.secret => {}
                None => {
                    if given.stand_in {
                        vars.stand_ins.insert(name.clone());
                    } else {
                        problems.push(without_value(name, variable, declared_at(name, "")));
                    }
                    vars.values.insert(name.clone(), stand_in(name, variable));
                }
            }
            if variable.secret {
                vars.secrets.insert(name.clone());
            }
        }
        (vars, secrets)
    }

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
    fn known(&self, name: &str) -> Option<String> {
        let names = || self.values.keys().map(String::as_str);
        let all = names().collect::<Vec<_>>().join(", ");
        match nearest(name, names()) {
            Some(near) => Some(format!("did you mean `{near}`? The variables are: {all}")),
            None if all.is_empty() => Some("the recipe has no variables: declare [vars.…]".into()),
            None => Some(format!("the variables are: {all}")),
        }
    }

    fn wrong(&self, error: &tera::Error, undefined: Option<&str>, text: &str) -> Wrong {
        let (message, range) = match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                (report.message().to_owned(), report.span().range.clone())
            }
            other => (other.to_string(), 0..text.len()),
        };
        let (message, hint) = match undefined {
            Some(name) if self.is_secret(name) => secret_here(name),
            Some(name) => {
                let hint = self.known(name);
                (format!("there is no variable `{name}`"), hint)
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

fn without_value(name: &str, variable: &Variable, place: Option<Place>) -> Problem {
    let about = match variable.description.as_str() {
        "" => String::new(),
        text => format!("  ({text})"),
    };
    Problem::error(format!("the variable `{name}` has no value"))
        .at(place)
        .hint(format!("--var {name}=…{about}"))
}

fn stand_in(name: &str, variable: &Variable) -> Value {
    if let Some(value) = variable.allowed.first()
        && value.kind() == variable.r#type
    {
        return value.clone();
    }
    match variable.r#type {
        Kind::String => Value::String(format!("{STAND_IN}{name}")),
        Kind::Integer => Value::Integer(1),
        Kind::Boolean => Value::Boolean(true),
        Kind::List => Value::List(vec![format!("{STAND_IN}{name}")]),
    }
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    Environment,
    File(Place),
    Flag,
}

struct Resolver<'a> {
    declared: &'a BTreeMap<String, Variable>,
    problems: &'a mut Vec<Problem>,
    values: BTreeMap<String, (Value, Origin)>,
}

impl Resolver<'_> {
    fn defaults(&mut self, declared_at: &dyn Fn(&str, &str) -> Option<Place>) {
        for (name, variable) in self.declared {
            if !is_name(name) {
                let problem = Problem::error(format!("a variable cannot be called `{name}`"));
                let wanted = "letters, digits and `_`, beginning with a letter".to_owned();
                self.problems.push(problem.at(declared_at(name, "")).hint(wanted));
            }
            let kind = variable.r#type;
            if variable.secret && kind != Kind::String {
                let problem =
                    Problem::error(format!("the secret variable `{name}` must be a string"));
                self.problems.push(problem.at(declared_at(name, "type")));
            }
            for value in &variable.allowed {
                let fits = match kind {
                    Kind::List => value.kind() == Kind::String,
                    kind => value.kind() == kind,
                };
                if !fits {
                    let message = format!("`{name}` is {kind}, and `{value}` in `allowed` is not");
                    self.problems.push(Problem::error(message).at(declared_at(name, "allowed")));
                }
            }
            let Some(default) = &variable.default else { continue };
            if variable.secret {
                let problem = Problem::error(format!("the secret variable `{name}` has a default"));
                let hint = "a recipe is no place for a secret: give it in a --var-file, or in HOSTKIT_VAR_";
                self.problems
                    .push(problem.at(declared_at(name, "default")).hint(format!("{hint}{name}")));
                continue;
            }
            self.take(name, default.clone(), Origin::Default, declared_at(name, "default"));
        }
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) {
        for (name, text) in environment {
            // Another recipe may have a variable of that name.
            if self.declared.contains_key(name) {
                self.text(name, text, Origin::Environment);
            }
        }
    }

    fn file(&mut self, file: &Source) {
        let table = match toml::de::DeTable::parse(&file.text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let place = error.span().map(|span| file.place(&span));
                let message = error.message().lines().next().unwrap_or_default();
                self.problems
                    .push(Problem::error(format!("this is not TOML: {message}")).at(place));
                return;
            }
        };
        for (name, value) in table {
            let place = file.place(&name.span());
            let at = file.place(&value.span());
            let name = name.into_inner().into_owned();
            if !self.declared.contains_key(&name) {
                self.unknown(&name, Some(place));
                continue;
            }
            match value_of(value) {
                Ok(value) => self.take(&name, value, Origin::File(at.clone()), Some(at)),
                Err(message) => self.problems.push(Problem::error(message).at(at)),
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (name, text) in flags {
            match self.declared.get(name) {
                None => self.unknown(name, None),
                Some(variable) if variable.secret => {
                    let message =
                        format!("the secret variable `{name}` cannot be given with --var");
                    let hint = format!(
                        "everybody on this machine can read a command line: use --var-file FILE or \
                         the environment variable {ENVIRONMENT_PREFIX}{name}"
                    );
                    self.problems.push(Problem::error(message).hint(hint));
                }
                Some(_) => self.text(name, text, Origin::Flag),
            }
        }
    }

    /// A value that could be given as text only.
    fn text(&mut self, name: &str, text: &str, origin: Origin) {
        let kind = self.declared[name].r#type;
        let value = Value::parse(text, kind).unwrap_or_else(|| Value::String(text.to_owned()));
        self.take(name, value, origin, None);
    }

    fn take(&mut self, name: &str, value: Value, origin: Origin, place: Option<Place>) {
        let variable = &self.declared[name];
        let wherefrom = match origin {
            Origin::Default => " as its default",
            Origin::Environment => " from the environment",
            Origin::File(_) => "",
            Origin::Flag => " from --var",
        };
        let allowed: Vec<_> = variable.allowed.iter().map(ToString::to_string).collect();
        let stranger = match &value {
            _ if allowed.is_empty() => None,
            Value::List(items) => items.iter().find(|item| !allowed.contains(item)).cloned(),
            value => Some(value.to_string()).filter(|value| !allowed.contains(value)),
        };
        // The value of a secret is in no message.
        let shown = if variable.secret { "another type".to_owned() } else { format!("`{value}`") };
        let problem = if value.kind() != variable.r#type {
            let kind = variable.r#type;
            Problem::error(format!("`{name}` must be {kind}, got {shown}{wherefrom}"))
        } else if variable.secret && value.to_string().len() < SHORTEST_SECRET {
            let message =
                format!("the secret variable `{name}` has a value that is too short{wherefrom}");
            Problem::error(message).hint(format!(
                "what is shorter than {SHORTEST_SECRET} characters cannot be looked for in an image"
            ))
        } else if let Some(stranger) = stranger {
            Problem::error(format!("`{name}` cannot be `{stranger}`{wherefrom}"))
                .hint(suggest(&stranger, allowed.iter().map(String::as_str)))
        } else {
            self.values.insert(name.to_owned(), (value, origin));
            return;
        };
        self.problems.push(problem.at(place));
        // It was given: that it was wrong is enough to say.
        self.values.insert(name.to_owned(), (stand_in(name, variable), origin));
    }

    fn unknown(&mut self, name: &str, place: Option<Place>) {
        let hint = suggest(name, self.declared.keys().map(String::as_str))
            .unwrap_or_else(|| "it has no variables at all".to_owned());
        let problem = Problem::error(format!("the recipe has no variable `{name}`"));
        self.problems.push(problem.at(place).hint(hint));
    }
}

fn value_of(value: Spanned<toml::de::DeValue<'_>>) -> Result<Value, String> {
    use serde::Deserialize as _;
    let deserializer = toml::de::ValueDeserializer::from(value);
    Value::deserialize(deserializer).map_err(|error| error.message().to_owned())
}

/// What a template can name.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &str = "[java]\ndefault = '21'\n[efs_id]\ndescription = 'the file system'\n\
        [executors]\ntype = 'integer'\ndefault = 2\n[tools]\ntype = 'list'\ndefault = ['git']\n\
        [size]\ndefault = 'small'\nallowed = ['small', 'large']\n[token]\nsecret = true\n";

    fn resolve(given: &Given) -> (Vars, Secrets, Vec<Problem>) {
        let declared = toml::from_str(DECLARED).unwrap();
        let mut problems = Vec::new();
        let (vars, secrets) = Vars::resolve(&declared, given, &|_, _| None, &mut problems);
        (vars, secrets, problems)
    }

    fn flags(given: &[(&str, &str)]) -> Given {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Given { flags: given.iter().map(pair).collect(), ..Given::default() }
    }

    fn render(vars: &Vars, text: &str) -> String {
        vars.render(text, Syntax::String).unwrap()
    }

    #[test]
    fn a_flag_beats_a_file_and_that_the_environment_and_that_the_default() {
        let mut given = flags(&[("efs_id", "fs-1")]);
        let (vars, ..) = resolve(&given);
        assert_eq!(render(&vars, "jdk-{{ java }} on {{ efs_id }}"), "jdk-21 on fs-1");
        given.environment.insert("java".into(), "22".into());
        assert_eq!(render(&resolve(&given).0, "{{ java }}"), "22");
        for java in ["23", "24"] {
            given.files.push(Source { name: "f".into(), text: format!("java = '{java}'\n") });
        }
        assert_eq!(render(&resolve(&given).0, "{{ java }}"), "24");
        given.flags.push(("java".into(), "25".into()));
        assert_eq!(render(&resolve(&given).0, "{{ java }}"), "25");
    }

    #[test]
    fn values_have_their_type_in_templates() {
        let (vars, ..) = resolve(&flags(&[("efs_id", "x"), ("executors", "3"), ("tools", "a,b")]));
        let text = "{% if executors > 2 %}{{ executors * 2 }}{% endif %} {{ tools | join(sep='+') }} ${#x}";
        assert_eq!(render(&vars, text), "6 a+b ${#x}");
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_and_where_it_was_set() {
        let mut given =
            flags(&[("executors", "many"), ("jaav", "1"), ("token", "hunter2-hunter2")]);
        given.environment.insert("size".into(), "larg".into());
        let text = "executors = 'x'\nnope = 1\n".to_owned();
        given.files.push(Source { name: "vars.toml".into(), text });
        let (_, secrets, problems) = resolve(&given);
        assert!(secrets.is_empty());
        let all: Vec<_> = problems
            .iter()
            .map(|p| {
                format!(
                    "{} | {:?} | {:?}",
                    p.message,
                    p.place.as_ref().map(ToString::to_string),
                    p.hint
                )
            })
            .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_secret_is_kept_apart_and_long_enough() {
        let mut given = flags(&[("efs_id", "x")]);
        given.environment.insert("token".into(), "hunter2-hunter2".into());
        let (vars, secrets, problems) = resolve(&given);
        assert!(problems.is_empty() && vars.is_secret("token"));
        assert_eq!(secrets.resolve("secret:token"), Some("hunter2-hunter2"));
        let wrong = vars.render("a {{ token }}", Syntax::String).unwrap_err();
        assert!(wrong[0].message.contains("cannot stand here"), "{wrong:?}");
        given.environment.insert("token".into(), "hunter2".into());
        let (.., problems) = resolve(&given);
        assert!(problems[0].message.contains("too short"), "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn every_undefined_name_of_a_text_is_found() {
        let (vars, ..) = resolve(&flags(&[("efs_id", "x")]));
        let wrong = vars.render("{{ jva }} {{ java }} {{ nope }}", Syntax::String).unwrap_err();
        let said: Vec<_> = wrong.iter().map(|w| (w.message.as_str(), w.range.clone())).collect();
        assert_eq!(
            said,
            [("there is no variable `jva`", 3..6), ("there is no variable `nope`", 24..28)]
        );
        assert!(wrong[0].hint.as_deref().unwrap().starts_with("did you mean `java`?"));
    }
}
