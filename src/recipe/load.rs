//! Finds a recipe and its parents: the files, not yet understood.

use camino::Utf8Path;
use toml::de::DeTable;

use super::assets::Assets;
use super::problem::{Problem, Source, suggest};
use super::tree::{Document, Key};

/// The files of the recipe `name` (a name, or a path that ends in `.toml`) and of its parents, the
/// youngest first. What cannot be found goes to `problems`.
pub(super) fn chain(name: &str, assets: &Assets, problems: &mut Vec<Problem>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next.take() {
        let source = match find(&name, assets) {
            Ok(source) => source,
            Err(problem) => {
                problems.push(problem.at(sources.last().map(extends_place)));
                break;
            }
        };
        names.push(name);
        if let Some(first) = sources.iter().position(|seen| seen.name == source.name) {
            let circle = names[first..].join(" -> ");
            let problem = Problem::error(format!("a recipe extends itself: {circle}"));
            problems.push(problem.at(sources.last().map(extends_place)));
            break;
        }
        next = extends(&source.text);
        sources.push(source);
    }
    sources
}

/// The path of a recipe, as it is looked up.
pub(super) fn path_of(name: &str) -> String {
    if Utf8Path::new(name).extension() == Some("toml") {
        name.to_owned()
    } else {
        format!("image-recipes/{name}.toml")
    }
}

#[expect(clippy::result_large_err, reason = "happens once for each file")]
fn find(name: &str, assets: &Assets) -> Result<Source, Problem> {
    let path = path_of(name);
    let asset = match assets.find(&path) {
        Ok(Some(asset)) => asset,
        Ok(None) => return Err(unknown(name, assets)),
        Err(error) => return Err(Problem::error(format!("{path} cannot be read: {error}"))),
    };
    let text = String::from_utf8(asset.bytes)
        .map_err(|_| Problem::error(format!("{} is not UTF-8 text", asset.name)))?;
    Ok(Source { name: asset.name, text })
}

fn unknown(name: &str, assets: &Assets) -> Problem {
    let names = assets.recipes();
    let hint = suggest(name, names.iter().map(String::as_str));
    Problem::error(format!("there is no recipe `{name}`")).hint(hint)
}

/// What the text of a recipe extends. Whatever else is wrong with it is found later.
pub(super) fn extends(text: &str) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let header = table.get_ref().get("recipe")?.get_ref();
    Some(header.get("extends")?.get_ref().as_str()?.to_owned())
}

fn extends_place(source: &Source) -> super::problem::Place {
    let document = Document::parse(source, &mut Vec::new());
    document.place(&[Key::Name("recipe".into()), Key::Name("extends".into())])
}
