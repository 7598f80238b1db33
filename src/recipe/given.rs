//! What gives variables their values: `--var`, else a `--var-file`, else `HOSTKIT_VAR_name`, else
//! the recipe's default. The values of secret variables are kept apart.

use std::collections::BTreeMap;

use toml::Spanned;

use super::problem::{Place, Problem, Source, suggest};
use super::types::Variable;
use super::value::{Kind, Value};
use super::vars::{STAND_IN, Vars};
use crate::secret::Secrets;

/// The prefix of environment variables that set recipe variables.
pub const ENVIRONMENT_PREFIX: &str = "HOSTKIT_VAR_";

/// A secret that is shorter stands in too many places by chance to be looked for.
const SHORTEST_SECRET: usize = 8;

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

/// Gives every declared variable its value. `declared_at` says where a variable's key stands.
pub(super) fn resolve(
    declared: &BTreeMap<String, Variable>,
    given: &Given,
    declared_at: &dyn Fn(&str, &str) -> Option<Place>,
    problems: &mut Vec<Problem>,
) -> (Vars, Secrets) {
    let mut resolver = Resolver { declared, problems, values: BTreeMap::new() };
    resolver.defaults(declared_at);
    resolver.environment(&given.environment);
    for file in &given.files {
        resolver.file(file);
    }
    resolver.flags(&given.flags);
    let values = resolver.values;
    let mut vars = Vars::default();
    let mut secrets = Secrets::default();
    for (name, variable) in declared {
        let set =
            values.get(name).filter(|(_, origin)| !variable.required || *origin != Origin::Default);
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
                let place = declared_at(name, "default").map(Place::unseen);
                self.problems.push(problem.at(place).hint(format!("{hint}{name}")));
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

    /// A file of variables is never shown: even behind a key that is misspelt stands a secret.
    fn file(&mut self, file: &Source) {
        let place_of = |span| file.place(&span).unseen();
        let table = match toml::de::DeTable::parse(&file.text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let place = error.span().map(place_of);
                let message = error.message().lines().next().unwrap_or_default();
                self.problems
                    .push(Problem::error(format!("this is not TOML: {message}")).at(place));
                return;
            }
        };
        for (name, value) in table {
            let (place, at) = (place_of(name.span()), place_of(value.span()));
            let name = name.into_inner().into_owned();
            let Some(variable) = self.declared.get(&name) else {
                self.unknown(&name, Some(place));
                continue;
            };
            match value_of(value) {
                Ok(value) => self.take(&name, value, Origin::File(at.clone()), Some(at)),
                Err(_) if variable.secret => {
                    let message = format!("`{name}` must be {}", variable.r#type);
                    self.problems.push(Problem::error(message).at(at));
                }
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
        } else if stranger.is_some() && variable.secret {
            Problem::error(format!("`{name}` has a value that is not allowed{wherefrom}"))
                .hint(suggest("", allowed.iter().map(String::as_str)))
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
    use crate::recipe::vars::Syntax;

    const DECLARED: &str = "[java]\ndefault = '21'\n[efs_id]\ndescription = 'the file system'\n\
        [executors]\ntype = 'integer'\ndefault = 2\n[tools]\ntype = 'list'\ndefault = ['git']\n\
        [size]\ndefault = 'small'\nallowed = ['small', 'large']\n[token]\nsecret = true\n";

    fn resolve(given: &Given) -> (Vars, Secrets, Vec<Problem>) {
        let declared = toml::from_str(DECLARED).unwrap();
        let mut problems = Vec::new();
        let (vars, secrets) = super::resolve(&declared, given, &|_, _| None, &mut problems);
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
