//! `hostkit test`: boots an image in the rehearsal account and asks it what its recipe promised.

use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde::Serialize;

use super::images::{self, Found};
use super::vm::Machine;
use crate::error::Fault;
use crate::event::Events;
use crate::image::Manifest;
use crate::image::checks::{self, Checked};
use crate::plan::Test;
use crate::plan::test::On;
use crate::sim::vm::{self, Goal, Options, Session};
use crate::ui::{self, Format};

/// Boots an image and runs its tests over SSH
#[derive(Debug, Args)]
#[command(after_help = "The tests are those of the recipe ([[test]]), which the image's manifest \
    keeps.\nEnds with 0 when all passed, with 5 when one did not.")]
pub struct Run {
    /// The name of an image, or the path of it; its manifest (NAME.json) is beside it
    image: String,
    /// Where images are looked for by name
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Serialize)]
struct Line<'a> {
    recipe: &'a str,
    digest: &'a str,
    passed: usize,
    failed: usize,
    tests: &'a [Checked],
}

/// Runs it.
pub async fn run(args: Run, format: Format) -> anyhow::Result<ExitCode> {
    let path = Utf8Path::new(&args.image);
    let (image, manifest) = if images::is_path(path) {
        (path.to_owned(), manifest_of(path)?)
    } else {
        named(&args.image, &args.output)?
    };
    let options = args.machine.options(image.into_std_path_buf());
    let (events, printer) = ui::start(format);
    let end = boot(options, &manifest, &events).await;
    drop(events);
    printer.finish().await;
    let checked = end?;
    let passed = checked.iter().filter(|one| one.passed).count();
    match format {
        Format::Json => ui::json(&Line {
            recipe: &manifest.recipe,
            digest: &manifest.digest,
            passed,
            failed: checked.len() - passed,
            tests: &checked,
        }),
        Format::Human => ui::text(&table(&checked)),
    }
    let code = if passed == checked.len() { 0 } else { crate::error::Blame::Step.exit_code() };
    Ok(ExitCode::from(code))
}

/// Boots an image with `options` and runs all its tests.
pub async fn boot(
    options: Options,
    manifest: &Manifest,
    events: &Events,
) -> anyhow::Result<Vec<Checked>> {
    let tests: Vec<&Test> = manifest.tests.iter().collect();
    // An image with the agent is ready when the agent says so; another when it lets us in.
    let until = if manifest.agent { vec![Goal::Ready] } else { Vec::new() };
    let session = Session::Script(checks::script(&tests, On::Boot));
    let ended = Box::pin(vm::run(&Options { until, session, ..options }, events)).await?;
    match ended.command_status {
        Some(0) => Ok(checks::results(&tests, &ended.said)),
        status => {
            let text = format!("the tests did not run to their end (exit status {status:?})");
            Err(Fault::step(text).into())
        }
    }
}

/// The disk of an image by its name, and its manifest.
fn named(name: &str, folder: &Utf8Path) -> anyhow::Result<(Utf8PathBuf, Manifest)> {
    let Found { folder, manifest } = images::find(name, folder)?;
    let Some(disk) = &manifest.disk else {
        let what = format!("{name} is a container image: there is nothing to boot");
        return Err(Fault::usage(what).into());
    };
    Ok((folder.join(&disk.file), manifest))
}

/// The manifest beside an image.
fn manifest_of(image: &Utf8Path) -> anyhow::Result<Manifest> {
    if !image.exists() {
        let fault = Fault::usage(format!("there is no image {image}"));
        return Err(fault
            .hint("an image is a file that `hostkit bake` wrote: out/NAME.raw")
            .into());
    }
    let path = image.with_extension("json");
    Manifest::load(&path).with_context(|| {
        Fault::usage(format!("{image} has no manifest beside it"))
            .hint("bake it with this hostkit; the tests are in the manifest")
    })
}

fn table(checked: &[Checked]) -> String {
    let width = |of: fn(&Checked) -> usize| checked.iter().map(of).max().unwrap_or_default();
    let (name, what) = (width(|one| one.name.chars().count()), width(|one| one.what.len()));
    let mut text = String::from("\n");
    for one in checked {
        let word = if one.passed { "passed" } else { "FAILED" };
        let Checked { name: title, what: asked, seconds, .. } = one;
        text += &format!("{word}  {title:<name$}  {asked:<what$}  {seconds:>3} s\n");
        if !one.passed {
            let lines = one.said.lines().map(|line| format!("        {line}\n"));
            text.extend(lines);
        }
    }
    let passed = checked.iter().filter(|one| one.passed).count();
    let verb = if passed == 1 { "test" } else { "tests" };
    text + &match checked.len() {
        0 => "the image has no tests\n".to_owned(),
        all if all == passed => format!("\n{passed} {verb} passed\n"),
        all => format!("\n{passed} of {all} tests passed\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_failed_and_why() {
        let one = |name: &str, what: &str, passed, said: &str, seconds| Checked {
            name: name.into(),
            what: what.into(),
            on: On::Boot,
            passed,
            said: said.into(),
            seconds,
        };
        let checked = [
            one("java is 21", "command", true, "openjdk 21", 0),
            one("Jenkins serves", "port 8080", false, "nothing listens there", 60),
            one("ssh", "unit ssh.service active", true, "", 3),
        ];
        insta::assert_snapshot!(table(&checked), @r"
        passed  java is 21      command                    0 s
        FAILED  Jenkins serves  port 8080                 60 s
                nothing listens there
        passed  ssh             unit ssh.service active    3 s

        2 of 3 tests passed
        ");
        assert_eq!(table(&[]), "\nthe image has no tests\n");
    }
}
