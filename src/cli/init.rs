//! `hostkit init`: a project whose recipe extends a shipped one.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::error::Fault;
use crate::recipe::assets::Assets;
use crate::recipe::problem::suggest;
use crate::ui::{self, Format};

/// Begins a project: a folder with a recipe that extends a shipped one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; it is made if it is not there
    #[arg(default_value = ".")]
    folder: Utf8PathBuf,
    /// The recipe that yours builds on
    #[arg(long, value_name = "RECIPE", default_value = "jenkins-controller")]
    extends: String,
    /// What yours is called
    #[arg(long, default_value = "ci")]
    name: String,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    wrote: &'a [String],
}

/// `hostkit init`.
pub fn run(args: &Args, format: Format) -> anyhow::Result<ExitCode> {
    check(args)?;
    let files = files(args);
    let taken = files.iter().map(|(path, _)| args.folder.join(path)).find(|path| path.exists());
    if let Some(path) = taken {
        return Err(Fault::usage(format!("{path} is there already"))
            .hint("nothing was written: another --name, or another folder")
            .into());
    }
    let mut wrote = Vec::new();
    for (path, text) in &files {
        let path = args.folder.join(path);
        write(&path, text)
            .with_context(|| Fault::environment(format!("{path} cannot be written")))?;
        wrote.push(path.into_string());
    }
    match format {
        Format::Human => ui::text(&describe(args, &wrote)),
        Format::Json => ui::json(&Line { version: crate::report::VERSION, wrote: &wrote }),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Args) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if args.name.is_empty() || args.name.starts_with('-') || !args.name.chars().all(plain) {
        return Err(Fault::usage(format!("a recipe cannot be called `{}`", args.name))
            .hint("small letters, digits and `-`"));
    }
    if args.name == args.extends {
        return Err(Fault::usage(format!("`{}` cannot extend itself", args.name))
            .hint("give yours a name of its own with --name"));
    }
    let recipes = Assets::new(args.folder.as_path()).recipes();
    if recipes.contains(&args.extends) {
        return Ok(());
    }
    let fault = Fault::usage(format!("there is no recipe `{}`", args.extends));
    Err(match suggest(&args.extends, recipes.iter().map(String::as_str)) {
        Some(hint) => fault.hint(hint),
        None => fault,
    })
}

/// The files of a project, by their path in it.
fn files(args: &Args) -> Vec<(String, String)> {
    // `base` alone does not say what its host is.
    let role = if args.extends == "base" { ROLE } else { "" };
    let fill = |text: &str| {
        let text = text.replace("@NAME@", &args.name).replace("@EXTENDS@", &args.extends);
        text.replace("@ROLE@", role)
    };
    let mut files = vec![
        (format!("image-recipes/{}.toml", args.name), fill(RECIPE)),
        (format!("templates/{}-motd.tera", args.name), fill(MOTD)),
        ("image-recipes/recipe.schema.json".to_owned(), super::docs::recipe_schema()),
    ];
    for (path, text) in [(".gitignore", GITIGNORE), (".taplo.toml", TAPLO), ("README.md", README)] {
        // What a project has of these already is better than ours.
        if !args.folder.join(path).exists() {
            files.push((path.to_owned(), fill(text)));
        }
    }
    files.retain(|(path, _)| !path.ends_with(".schema.json") || !args.folder.join(path).exists());
    files
}

/// Writes a file that is not there, and its folder.
fn write(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn describe(args: &Args, wrote: &[String]) -> String {
    let mut text: String = wrote.iter().map(|path| format!("wrote {path}\n")).collect();
    let name = &args.name;
    text += &format!("\nnext, in {}:\n", args.folder);
    for (command, what) in [
        (format!("hostkit check {name}"), "finds what is wrong"),
        (format!("hostkit plan {name}"), "shows what a bake would do"),
        (format!("sudo hostkit bake {name} -o out"), "does it"),
    ] {
        text += &format!("  {command:<34} {what}\n");
    }
    text
}

const RECIPE: &str = r#"#:schema recipe.schema.json
# What is in the image `@NAME@`: everything of `@EXTENDS@`, and what is said here.
# All sections and keys: https://github.com/hostkit/hostkit/blob/main/docs/reference.md
[recipe]
name = "@NAME@"
version = "1"
description = "Our @EXTENDS@"
extends = "@EXTENDS@"

# What a bake may set: `--var team=platform`, a --var-file, or HOSTKIT_VAR_team.
[vars.team]
default = "us"
description = "whom to ask about this machine"

# Added to what `@EXTENDS@` installs.
[packages]
install = ["htop"]

[[file]]
path = "/etc/motd"
template = "templates/@NAME@-motd.tera"

# What must hold before an image counts as baked.
[[test]]
name = "people are told whom to ask"
file = "/etc/motd"
contains = "{{ team }}"

@ROLE@# A file of your own, a unit, a script: uncomment what you need.
#
# [[unit]]
# name = "example.service"
# state = "enabled"
#
# [[script]]
# name = "git"
# hook = "late"
# run = "git config --system init.defaultBranch main"
"#;

const ROLE: &str =
    "# What the host is when it boots: controller, agent or ecs.\n[host]\nrole = \"agent\"\n\n";

const MOTD: &str =
    "This is @NAME@, an image of hostkit. It is replaced, not patched.\nAsk {{ team }}.\n";

const GITIGNORE: &str = "/out/\n";

/// Taplo, and the editors that use it, check and complete recipes with this.
const TAPLO: &str = "[[rule]]\ninclude = [\"image-recipes/*.toml\"]\n[rule.schema]\npath = \"image-recipes/recipe.schema.json\"\n";

const README: &str = "# Machine images\n\n`hostkit check` finds what is wrong, `hostkit plan @NAME@` shows what a bake would do, and\n`sudo hostkit bake @NAME@ -o out` does it.\n";
