//! `hostkit shell`: a shell in what a recipe comes to, or in what an image boots to.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::process::ExitCode;

use camino::Utf8Path;
use clap::Args;

use super::bake;
use super::cache::Place;
use super::lock::LockFile;
use super::which::{Planned, Which};
use crate::error::Fault;
use crate::image::shell::Tree;
use crate::ui::{self, Format};

/// Opens a shell in the tree of a recipe, or in an image that is booted
#[derive(Debug, Args)]
#[command(after_help = "A recipe is built as far as the cache does not have it, and its tree \
    opened.\nAn image (a path that ends in .raw or .qcow2) is booted as `hostkit vm` does it, and \
    logged in to.\nIn both, what is changed is lost when the shell ends.")]
pub struct Shell {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Place,
    #[cfg(feature = "sim")]
    #[command(flatten)]
    machine: super::vm::Machine,
}

/// Whether an argument names a disk and not a recipe.
pub fn is_image(name: &str) -> bool {
    matches!(Utf8Path::new(name).extension(), Some("raw" | "qcow2" | "img"))
}

/// Runs it; the shell's exit status becomes ours.
pub async fn run(args: Shell, format: Format) -> anyhow::Result<ExitCode> {
    if !can_be_told() {
        return Err(Fault::usage("a shell needs a terminal")
            .hint("or commands on its standard input: echo 'dpkg -l' | hostkit shell RECIPE")
            .into());
    }
    let status = if is_image(&args.which.recipe) {
        in_machine(args, format).await?
    } else {
        in_tree(&args, format).await?
    };
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

/// Whether somebody can type, or something was given to read: `/dev/null` is neither.
fn can_be_told() -> bool {
    let input = std::io::stdin();
    let kind = input.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    input.is_terminal() || kind.is_ok_and(|meta| !meta.file_type().is_char_device())
}

async fn in_tree(args: &Shell, format: Format) -> anyhow::Result<i32> {
    let Planned { plan, secrets, .. } = args.which.plan()?.complete()?;
    let locked = LockFile::of(&args.which.recipe)?.read()?.entry(&plan).cloned();
    let places = bake::places(&args.place)?;
    let (events, printer) = ui::start(format);
    let end = tokio::select! {
        end = Tree::build(&plan, locked.as_ref(), &places, &secrets, &events) => end,
        () = super::stop_signal() => Err(Fault::interrupted().into()),
    };
    drop(events);
    printer.finish().await;
    let tree = end?;
    ui::note(&format!("A shell in the tree of `{}`. What is changed here is lost.", plan.recipe));
    tree.open().await
}

#[cfg(feature = "sim")]
async fn in_machine(args: Shell, format: Format) -> anyhow::Result<i32> {
    use crate::sim::vm::{self, Options, Session};
    let (events, printer) = ui::start(format);
    let image = std::path::PathBuf::from(args.which.recipe);
    let options = Options { session: Session::Shell, ..args.machine.options(image) };
    let end = Box::pin(vm::run(&options, &events)).await;
    drop(events);
    printer.finish().await;
    Ok(end?.command_status.unwrap_or(0))
}

#[cfg(not(feature = "sim"))]
async fn in_machine(_: Shell, _: Format) -> anyhow::Result<i32> {
    Err(Fault::usage("this hostkit was built without `sim`: it cannot boot an image").into())
}
