//! `hostkit recipes`: what can be baked.

use std::process::ExitCode;

use camino::Utf8Path;
use serde::Serialize;

use super::which::absolute;
use crate::recipe::assets::{Assets, Listed};
use crate::ui::{self, Format};

/// Lists the recipes that can be baked.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    recipes: &'a [Listed],
}

/// `hostkit recipes`.
pub fn run(_: &Args, format: Format) -> anyhow::Result<ExitCode> {
    let recipes = Assets::new(absolute(Utf8Path::new("."))?).list();
    match format {
        Format::Human => ui::text(&describe(&recipes)),
        Format::Json => ui::json(&Line { version: crate::report::VERSION, recipes: &recipes }),
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(recipes: &[Listed]) -> String {
    let width = |of: fn(&Listed) -> &str, least: usize| {
        recipes.iter().map(|recipe| of(recipe).chars().count()).max().unwrap_or(0).max(least)
    };
    let name = width(|recipe| &recipe.name, 4);
    let version = width(|recipe| &recipe.version, 7);
    let extends = width(|recipe| &recipe.extends, 7);
    let mut text = format!(
        "{:name$}  {:version$}  {:extends$}  FROM     DESCRIPTION\n",
        "NAME", "VERSION", "EXTENDS"
    );
    for recipe in recipes {
        let from = if recipe.shipped { "shipped" } else { "project" };
        let Listed { name: n, version: v, extends: e, description, .. } = recipe;
        let line = format!("{n:name$}  {v:version$}  {e:extends$}  {from}  {description}");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_a_table() {
        let listed = |name: &str, version: &str, extends: &str, shipped| Listed {
            name: name.into(),
            version: version.into(),
            extends: extends.into(),
            description: "What it is".into(),
            shipped,
        };
        insta::assert_snapshot!(describe(&[
            listed("base", "", "", true),
            listed("acme-controller", "2026.11", "jenkins-controller", false),
        ]));
    }
}
