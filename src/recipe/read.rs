//! From the name of a recipe to one [`Recipe`] without holes, or to everything that is wrong.

use std::collections::BTreeMap;

use super::assets::Assets;
use super::check::{self, Noted, Pinned};
use super::fill::fill;
use super::given::{Given, resolve};
use super::load::chain;
use super::problem::{Place, Problem, Severity, Source};
use super::tree::{Document, Key};
use super::types::{Recipe, Variable};
use super::vars::Vars;
use crate::host;
use crate::secret::Secrets;

/// What came of reading a recipe.
#[derive(Debug, Default)]
pub struct Reading {
    /// The recipe on top of all its parents, its strings rendered; as much of it as is right.
    /// `None` where nothing could be read.
    pub recipe: Option<Recipe>,
    /// The values of its variables.
    pub vars: Vars,
    /// The values of its secret variables.
    pub secrets: Secrets,
    /// The keys that it pins, in all its files.
    pub pinned: Vec<Pinned>,
    /// The paths that it puts something at, and where it says so, in all its files.
    pub put: Vec<(String, Place)>,
    /// The files that it was read from, the youngest first.
    pub files: Vec<String>,
    /// All that is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

/// Reads the recipe `name` (a name, or a path that ends in `.toml`) with its parents.
pub fn read(name: &str, assets: &Assets, given: &Given) -> Reading {
    let mut problems = Vec::new();
    let sources = chain(name, assets, &mut problems);
    understand(&sources, assets, given, problems)
}

/// Reads a recipe without parents from its text.
pub fn read_text(text: &str, assets: &Assets, given: &Given) -> Reading {
    let source = Source { name: "recipe".to_owned(), text: text.to_owned() };
    understand(&[source], assets, given, Vec::new())
}

/// All that is wrong with a `host.toml` or a user-data, called `name`, and what it says as far as it
/// is right.
pub fn read_host(name: &str, text: &str) -> (host::HostConfig, Vec<Problem>) {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let mut problems = Vec::new();
    let mut document = Document::parse(&source, &mut problems);
    let mut config = host::HostConfig::default();
    if document.is_toml {
        config = document.decode(&mut problems).unwrap_or_default();
        check::host(&document, &config, &mut problems);
    }
    sort(&mut problems, std::slice::from_ref(&source));
    (config, problems)
}

impl Reading {
    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Itself, if there is no error.
    ///
    /// # Errors
    /// The first thing that is wrong, at its place, and how much more there is.
    pub fn sound(mut self) -> anyhow::Result<(Recipe, Self)> {
        let more = self.errors().saturating_sub(1);
        let first = self.problems.iter().position(|p| p.severity == Severity::Error);
        match (first, self.recipe.take()) {
            (None, Some(recipe)) => Ok((recipe, self)),
            (Some(first), _) => Err(self.problems.swap_remove(first).into_fault(more)),
            (None, None) => Err(Problem::error("there is no recipe").into_fault(0)),
        }
    }
}

fn understand(
    sources: &[Source],
    assets: &Assets,
    given: &Given,
    mut problems: Vec<Problem>,
) -> Reading {
    let mut documents: Vec<_> =
        sources.iter().map(|source| Document::parse(source, &mut problems)).collect();
    let declared = declarations(&mut documents, &mut problems);
    let declared_at = |name: &str, key: &str| variable_place(&documents, name, key);
    let (vars, secrets) = resolve(&declared, given, &declared_at, &mut problems);
    let numbers = vars.numbers();
    let header = documents.first().map(|document| document.place(&[Key::Name("recipe".into())]));
    let whole = documents.iter().all(|document| document.is_toml) && problems.is_empty();
    let (recipes, Noted { pinned, put }) =
        decode(documents, &numbers, assets, &vars, &mut problems);
    let recipe = recipes.into_iter().reduce(super::types::Recipe::on);
    if whole && recipe.as_ref().is_some_and(|recipe: &Recipe| recipe.base.is_none()) {
        let hint = "add [base] with `os = \"debian:trixie\"`, or `extends = \"base\"`".to_owned();
        problems.push(Problem::error("the recipe has no [base]").at(header).hint(hint));
    }
    sort(&mut problems, sources);
    let files = sources.iter().map(|source| source.name.clone()).collect();
    Reading { recipe, vars, secrets, pinned, put, files, problems }
}

/// The variables of all files: the youngest declaration of a name counts.
fn declarations(
    documents: &mut [Document<'_>],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Variable> {
    let mut declared = BTreeMap::new();
    for document in documents.iter_mut().rev().filter(|document| document.is_toml) {
        let vars: Option<BTreeMap<String, Variable>> = document.decode_section("vars", problems);
        declared.extend(vars.unwrap_or_default());
    }
    declared
}

/// Where the youngest file that declares a variable says so, or says `key` of it.
fn variable_place(documents: &[Document<'_>], name: &str, key: &str) -> Option<Place> {
    let mut path = vec![Key::Name("vars".into()), Key::Name(name.into())];
    let document = documents.iter().find(|document| document.get(&path).is_some())?;
    if !key.is_empty() {
        path.push(Key::Name(key.into()));
    }
    Some(document.place(&path))
}

/// Every file as a recipe of its own, the youngest first, with all that is wrong with it.
fn decode<'s>(
    documents: Vec<Document<'s>>,
    numbers: &'s [String],
    assets: &Assets,
    vars: &Vars,
    problems: &mut Vec<Problem>,
) -> (Vec<Recipe>, Noted) {
    let (mut recipes, mut all) = (Vec::new(), Noted::default());
    for mut document in documents {
        // Half a file would be wrong in a hundred ways that nobody wrote.
        if !document.is_toml {
            continue;
        }
        document.numbers = numbers;
        fill(&mut document, vars, problems);
        let settings: Option<host::HostConfig> = document.decode_section("host", problems);
        let Some(recipe) = document.decode::<Recipe>(problems) else { continue };
        let noted = check::recipe(&document, &recipe, settings.as_ref(), assets, vars, problems);
        all.pinned.extend(noted.pinned);
        all.put.extend(noted.put);
        recipes.push(recipe);
    }
    (recipes, all)
}

/// In the order of the files and of their lines; what has no place comes first.
fn sort(problems: &mut Vec<Problem>, sources: &[Source]) {
    let rank = |problem: &Problem| {
        let place = problem.place.as_ref()?;
        let file = sources.iter().position(|source| source.name == place.file);
        Some((file.unwrap_or(sources.len()), place.line, place.column))
    };
    problems.sort_by_key(rank);
    problems.dedup();
}
