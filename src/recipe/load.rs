//! Reads a recipe with its parents into one.

use anyhow::Context as _;
use camino::Utf8Path;

use super::assets::Assets;
use super::types::Recipe;
use crate::error::Fault;

/// How deep `extends` may go; a deeper chain is a loop.
const MAX_PARENTS: usize = 16;

/// A recipe and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The recipe on top of all its parents.
    pub recipe: Recipe,
    /// The files that it was read from, the youngest first.
    pub files: Vec<String>,
}

/// Reads the recipe `name` (a name, or a path that ends in `.toml`) and its parents.
///
/// # Errors
/// An unknown recipe; an unknown key, section or a wrong type, at its line and column; a loop.
pub fn load(name: &str, assets: &Assets) -> anyhow::Result<Loaded> {
    let mut files = Vec::new();
    let mut chain = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next.take() {
        if chain.len() == MAX_PARENTS {
            return Err(
                Fault::recipe(format!("`{name}` extends itself: {}", files.join(" -> "))).into()
            );
        }
        let (file, recipe) = read(&name, assets)?;
        next.clone_from(&recipe.recipe.extends);
        files.push(file);
        chain.push(recipe);
    }
    let oldest_first = chain.into_iter().rev();
    let recipe = oldest_first.reduce(|parent, child| child.on(parent)).context("no recipe")?;
    Ok(Loaded { recipe, files })
}

fn read(name: &str, assets: &Assets) -> anyhow::Result<(String, Recipe)> {
    let path = if Utf8Path::new(name).extension() == Some("toml") {
        name.to_owned()
    } else {
        format!("image-recipes/{name}.toml")
    };
    let asset = assets.find(&path).with_context(|| format!("reading {path}"))?;
    let Some(asset) = asset else { return Err(unknown(name, assets).into()) };
    let text = String::from_utf8(asset.bytes)
        .map_err(|_| Fault::recipe(format!("{} is not UTF-8 text", asset.name)))?;
    let recipe = parse(&text).map_err(|error| {
        let fault = Fault::recipe(format!("{} is not a recipe", asset.name));
        let fault = match suggestion(error.message()) {
            Some(right) => fault.hint(format!("did you mean `{right}`?")),
            None => fault,
        };
        anyhow::Error::new(error).context(fault)
    })?;
    Ok((asset.name, recipe))
}

/// Parses the text of one recipe file.
pub fn parse(text: &str) -> Result<Recipe, toml::de::Error> {
    toml::from_str(text)
}

fn unknown(name: &str, assets: &Assets) -> Fault {
    let names = assets.recipes();
    let fault = Fault::recipe(format!("there is no recipe `{name}`"));
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!("there are: {}", names.join(", "))),
    }
}

/// For "unknown field `x`, expected one of `a`, `b`": the expected name nearest to the unknown.
fn suggestion(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (wrong, rest) = rest.split_once('`')?;
    let expected = rest.split('`').skip(1).step_by(2);
    nearest(wrong, expected).map(str::to_owned)
}

/// The candidate that is one or two slips of the finger away from `word`.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored =
        candidates.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    scored.filter(|(d, c)| *d <= 2 && *d < c.len()).min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Assets) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("image-recipes")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("image-recipes").join(name), text).unwrap();
        }
        let path = camino::Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, Assets::new(path))
    }

    #[test]
    fn a_projects_recipe_extends_a_shipped_one() {
        let (_dir, assets) =
            project(&[("mine.toml", "[recipe]\nname = 'mine'\nextends = 'base'\n")]);
        let loaded = load("mine", &assets).unwrap();
        assert_eq!(loaded.recipe.recipe.name, "mine");
        assert!(loaded.recipe.base.is_some());
        assert_eq!(loaded.files.len(), 2);
    }

    #[test]
    fn a_misspelt_key_is_shown_where_it_is_and_the_right_one_named() {
        let text = "[recipe]\nname = 'x'\n\n[[file]]\npath = '/a'\ncontnet = 'b'\n";
        let (_dir, assets) = project(&[("x.toml", text)]);
        let error = load("x", &assets).unwrap_err();
        let shown = crate::error::render(&error);
        assert!(shown.contains("line 6, column 1"), "{shown}");
        assert!(shown.contains("hint: did you mean `content`?"), "{shown}");
        assert_eq!(crate::error::blame(&error).exit_code(), 3);
    }

    #[test]
    fn an_unknown_recipe_names_the_nearest_and_a_loop_is_an_error() {
        let looping = [("a.toml", "[recipe]\nname = 'a'\nextends = 'a'\n")];
        let (_dir, assets) = project(&looping);
        let hint = load("bse", &assets).unwrap_err();
        assert!(crate::error::render(&hint).contains("did you mean `base`?"));
        assert!(load("a", &assets).unwrap_err().to_string().contains("extends itself"));
    }

    #[test]
    fn every_shipped_recipe_loads() {
        let assets = Assets::new("/nonexistent");
        assert!(assets.recipes().len() >= 2);
        for name in assets.recipes() {
            load(&name, &assets).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }
}
