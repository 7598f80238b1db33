//! The variables of a recipe and their values, and the rendering of text with them.
//!
//! A value comes from `--var`, else `HOSTKIT_VAR_name`, else the recipe's default.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tera::{Context, Tera};

use super::load::nearest;
use super::types::{Header, Recipe, Variable};
use crate::error::Fault;

/// The prefix of environment variables that set recipe variables.
const ENVIRONMENT_PREFIX: &str = "HOSTKIT_VAR_";

/// The values of a recipe's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vars(BTreeMap<String, String>);

impl Vars {
    /// Gives every declared variable its value.
    ///
    /// # Errors
    /// A value for a variable that the recipe does not have; a variable without a value.
    pub fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &[(String, String)],
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let from_environment = environment
            .filter_map(|(name, v)| Some((name.strip_prefix(ENVIRONMENT_PREFIX)?.to_owned(), v)))
            .filter(|(name, _)| declared.contains_key(name));
        let mut values: BTreeMap<_, _> = declared
            .iter()
            .filter_map(|(name, variable)| {
                Some((name.clone(), variable.default.as_ref()?.to_string()))
            })
            .collect();
        values.extend(from_environment);
        for (name, value) in given {
            if !declared.contains_key(name) {
                return Err(unknown(name, declared).into());
            }
            values.insert(name.clone(), value.clone());
        }
        for (name, variable) in declared {
            if !values.contains_key(name) {
                return Err(Fault::recipe(format!("the variable `{name}` has no value"))
                    .hint(format!("--var {name}=…  ({})", variable.description))
                    .into());
            }
        }
        Ok(Self(values))
    }

    /// The recipe with every string of it rendered, but for its name, its parent's name and the
    /// variables themselves.
    pub fn fill(&self, recipe: &Recipe) -> anyhow::Result<Recipe> {
        let mut table = toml::Table::try_from(recipe).context("a recipe is plain data")?;
        for (section, value) in &mut table {
            if section != "vars" {
                self.fill_value(value, &format!("[{section}]"))?;
            }
        }
        let header = Header {
            version: self.render(&recipe.recipe.version, "[recipe] version")?,
            ..recipe.recipe.clone()
        };
        let filled: Recipe = table.try_into().context("rendering changes only text")?;
        Ok(Recipe { recipe: header, ..filled })
    }

    fn fill_value(&self, value: &mut toml::Value, at: &str) -> anyhow::Result<()> {
        match value {
            toml::Value::String(text) => *text = self.render(text, at)?,
            toml::Value::Array(items) => {
                for item in items {
                    let name =
                        ["name", "path", "url"].iter().find_map(|key| item.get(key)?.as_str());
                    let at = name.map_or_else(|| at.to_owned(), |name| format!("[{at}] {name}"));
                    self.fill_value(item, &at)?;
                }
            }
            toml::Value::Table(table) => {
                for (key, value) in table {
                    self.fill_value(value, &format!("{at} {key}"))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Renders a string of the recipe. There `{#` is no comment: shell scripts are full of it.
    pub fn render(&self, text: &str, wherefrom: &str) -> anyhow::Result<String> {
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(text.to_owned());
        }
        self.render_template(&text.replace("{#", "{{ \"{#\" }}"), wherefrom)
    }

    /// Renders a template file.
    pub fn render_template(&self, text: &str, wherefrom: &str) -> anyhow::Result<String> {
        let mut context = Context::new();
        for (name, value) in &self.0 {
            context.insert(name.clone(), value);
        }
        Tera::default()
            .render_str(text, &context, false)
            .with_context(|| Fault::recipe(format!("{wherefrom} cannot be rendered")))
    }
}

fn unknown(name: &str, declared: &BTreeMap<String, Variable>) -> Fault {
    let fault = Fault::recipe(format!("the recipe has no variable `{name}`"));
    match nearest(name, declared.keys().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if declared.is_empty() => fault.hint("it has no variables at all"),
        None => {
            let names: Vec<_> = declared.keys().map(String::as_str).collect();
            fault.hint(format!("it has: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Variable> {
        toml::from_str("[java]\ndefault = '21'\n[efs_id]\ndescription = 'the file system'\n")
            .unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_given_value_beats_the_environment_and_that_beats_the_default() {
        let environment =
            || vec![pair("HOSTKIT_VAR_java", "25"), pair("HOME", "/root")].into_iter();
        let efs = pair("efs_id", "fs-1");
        let vars = Vars::resolve(&declared(), std::slice::from_ref(&efs), environment()).unwrap();
        assert_eq!(vars.render("jdk-{{ java }} on {{ efs_id }}", "x").unwrap(), "jdk-25 on fs-1");
        let given = [efs, pair("java", "26")];
        let vars = Vars::resolve(&declared(), &given, environment()).unwrap();
        assert_eq!(vars.render("{{ java }}", "x").unwrap(), "26");
    }

    #[test]
    fn every_string_is_rendered_and_a_shell_script_is_not_taken_for_a_template() {
        let recipe: Recipe = toml::from_str(
            "[recipe]\nname = 'x'\nversion = '{{ java }}'\n[[unit]]\nname = '{{ java }}.service'\nstate = 'enabled'\n\
             [[script]]\nname = 's'\nhook = 'late'\nrun = 'echo ${#x} {{ java }} # #}'\n\
             [[directory]]\npath = '/opt/{{ java }}'\nmode = 0o700\n[host.efs]\nid = '{{ efs_id }}'\n",
        )
        .unwrap();
        let vars =
            Vars::resolve(&declared(), &[pair("efs_id", "fs-1")], std::iter::empty()).unwrap();
        let filled = vars.fill(&recipe).unwrap();
        assert_eq!(filled.recipe.version, "21");
        assert_eq!(filled.unit[0].name, "21.service");
        assert_eq!(filled.script[0].run, "echo ${#x} 21 # #}");
        assert_eq!(
            (filled.directory[0].path.as_str(), filled.directory[0].mode),
            ("/opt/21", 0o700)
        );
        assert_eq!(filled.host["efs"]["id"].as_str(), Some("fs-1"));
        let error = Vars::default().fill(&recipe).unwrap_err();
        assert!(
            format!("{error:#}").contains("[recipe]") || format!("{error:#}").contains("[["),
            "{error:#}"
        );
    }

    #[test]
    fn a_misspelt_a_missing_and_an_undefined_variable_are_errors() {
        let none = std::iter::empty;
        let misspelt = Vars::resolve(&declared(), &[pair("jaav", "1")], none()).unwrap_err();
        assert!(crate::error::render(&misspelt).contains("did you mean `java`?"));
        let missing = Vars::resolve(&declared(), &[], none()).unwrap_err();
        assert!(crate::error::render(&missing).contains("`efs_id` has no value"));
        let vars = Vars::resolve(&declared(), &[pair("efs_id", "x")], none()).unwrap();
        assert!(vars.render("{{ nope }}", "[packages]").is_err());
    }
}
