//! `hostkit images`: what lies in an output folder or is registered on AWS, what differs between two
//! images, and which ones may go.

mod prune;
mod remote;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use indicatif::HumanBytes;

use super::regions::Regions;
use super::table::table;
use crate::error::Fault;
use crate::image::blocks::{self, Table};
use crate::image::compare::{Changed, Comparison, Files, Packages, Sized};
use crate::image::{Manifest, files, manifest};
use crate::ui::{self, Format};

/// So many files of a kind are shown to people, unless they ask for all.
const SHOWN: usize = 40;

/// The verbs of `hostkit images`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// List the images in a folder, or those on AWS
    Ls(Ls),
    /// Show what an image is and which packages it has
    Show(Show),
    /// Show what differs between two images: packages, files, sizes, blocks
    Diff(Diff),
    /// Remove images from AWS that nobody needs any more
    ///
    /// Shows what would be removed and why the rest stays, and removes nothing without --yes.
    Prune(prune::Prune),
}

/// `hostkit images ls`
#[derive(Debug, Args)]
pub struct Ls {
    /// The folder
    #[arg(default_value = "out", conflicts_with_all = ["aws", "regions"])]
    folder: Utf8PathBuf,
    /// Those on AWS; --region says the same
    #[arg(long)]
    aws: bool,
    #[command(flatten)]
    regions: Regions,
}

/// `hostkit images show`
#[derive(Debug, Args)]
pub struct Show {
    /// The name of an image, the path of it or of its manifest, or the id of an AMI
    image: String,
    /// Where images are looked for by name
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    #[command(flatten)]
    regions: Regions,
}

/// `hostkit images diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// The first image: a name, a path, or the id of an AMI
    from: String,
    /// The second image: a name, a path, or the id of an AMI
    to: String,
    /// Where images are looked for by name
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    /// Show all files, however many they are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    regions: Regions,
}

impl Diff {
    /// So many files of a kind are shown.
    const fn limit(&self) -> usize {
        if self.all { usize::MAX } else { SHOWN }
    }
}

/// A manifest and the folder that it is in.
#[derive(Debug)]
pub(super) struct Found {
    /// The folder.
    pub(super) folder: Utf8PathBuf,
    /// What the image is.
    pub(super) manifest: Manifest,
}

/// Runs a verb.
pub async fn run(verb: &Images, format: Format) -> anyhow::Result<ExitCode> {
    match verb {
        Images::Ls(args) if args.aws || !args.regions.regions.is_empty() => {
            remote::list(&args.regions, format).await?;
        }
        Images::Ls(args) => list(&args.folder, format)?,
        Images::Show(args) if remote::is_remote(&args.image) => {
            remote::show(&args.image, &args.output, &args.regions, format).await?;
        }
        Images::Show(args) => {
            let found = find(&args.image, &args.output)?;
            match format {
                Format::Human => ui::text(&describe(&found.manifest)),
                Format::Json => ui::json(&found.manifest),
            }
        }
        Images::Diff(args)
            if [&args.from, &args.to].into_iter().any(|it| remote::is_remote(it)) =>
        {
            remote::diff(args, format).await?;
        }
        Images::Diff(args) => {
            let (from, to) = (find(&args.from, &args.output)?, find(&args.to, &args.output)?);
            let comparison = compare(&from, &to)?;
            match format {
                Format::Human => {
                    ui::text(&render(&from.manifest, &to.manifest, &comparison, args.limit()));
                }
                Format::Json => ui::json(&comparison),
            }
        }
        Images::Prune(args) => return prune::run(args, format).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(folder: &Utf8Path, format: Format) -> anyhow::Result<()> {
    let images: Vec<_> = manifests(folder)?.into_iter().map(|found| found.manifest).collect();
    match format {
        Format::Json => images.iter().for_each(ui::json),
        Format::Human if images.is_empty() => ui::text(&format!("no images in {folder}")),
        Format::Human => ui::text(&as_table(&images)),
    }
    Ok(())
}

/// All images in a folder, by the names of their manifests.
fn manifests(folder: &Utf8Path) -> anyhow::Result<Vec<Found>> {
    let entries = folder
        .read_dir_utf8()
        .with_context(|| Fault::environment(format!("{folder} cannot be read")))?;
    let mut images = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {folder}"))?.into_path();
        // Other programs keep their JSON there, too.
        if path.extension() == Some("json")
            && let Ok(manifest) = Manifest::load(&path)
        {
            images.push((path, manifest));
        }
    }
    images.sort_by(|a, b| a.0.cmp(&b.0));
    let found = |(_, manifest)| Found { folder: folder.to_owned(), manifest };
    Ok(images.into_iter().map(found).collect())
}

/// What lies in a folder of the image with this digest: the disk, if there is more.
fn local(digest: &str, folder: &Utf8Path) -> Option<Found> {
    let mut found = manifests(folder).ok()?;
    found.retain(|found| !digest.is_empty() && found.manifest.digest == digest);
    found.sort_by_key(|found| found.manifest.disk.is_none());
    found.into_iter().next()
}

fn as_table(images: &[Manifest]) -> String {
    let rows: Vec<_> = images
        .iter()
        .map(|image| {
            [
                image.recipe.clone(),
                image.image_version.clone(),
                image.arch.clone(),
                image.target.to_string(),
                short(&image.digest).to_owned(),
                HumanBytes(size(image)).to_string(),
                image.created.strftime("%Y-%m-%d %H:%M").to_string(),
            ]
        })
        .collect();
    table(["NAME", "VERSION", "ARCH", "TARGET", "DIGEST", "SIZE", "MADE"], &rows)
}

/// What an image takes where it lies.
fn size(image: &Manifest) -> u64 {
    let disk = image.disk.as_ref().map(|disk| disk.allocated);
    disk.or(image.oci.as_ref().map(|oci| oci.bytes)).unwrap_or(0)
}

/// Whether an image is meant by its path, not by its name.
pub(super) fn is_path(image: &Utf8Path) -> bool {
    image.as_str().contains('/')
        || ["json", "raw", "qcow2", "oci"].iter().any(|end| image.extension() == Some(end))
}

/// An image by its path, by that of its manifest, or by its name in `folder`.
pub(super) fn find(image: &str, folder: &Utf8Path) -> anyhow::Result<Found> {
    let path = Utf8Path::new(image);
    let places = if is_path(path) {
        match path.extension() {
            Some("json") => vec![path.to_owned()],
            Some("oci") => vec![Utf8PathBuf::from(format!("{path}.json"))],
            _ => vec![path.with_extension("json")],
        }
    } else {
        vec![folder.join(format!("{image}.json")), folder.join(format!("{image}.oci.json"))]
    };
    let Some(place) = places.iter().find(|place| place.is_file()) else {
        let looked = places.iter().map(|place| place.as_str()).collect::<Vec<_>>().join(" and ");
        return Err(Fault::usage(format!("there is no image `{image}`: looked for {looked}"))
            .hint("`hostkit images ls DIR` lists those of a folder")
            .into());
    };
    let folder = place.parent().unwrap_or(Utf8Path::new("")).to_owned();
    Ok(Found { folder, manifest: Manifest::load(place)? })
}

fn compare(from: &Found, to: &Found) -> anyhow::Result<Comparison> {
    let packages = Packages::between(&from.manifest.packages, &to.manifest.packages);
    let files = match (file_list(from)?, file_list(to)?) {
        (Some(old), Some(new)) => Some(Files::between(&old, &new)),
        _ => None,
    };
    let blocks = blocks_of(from)
        .zip(blocks_of(to))
        .map(|(old, new)| manifest::Changed { blocks: new.changed_since(&old), of: new.len() });
    Ok(Comparison { packages, files, blocks })
}

fn file_list(found: &Found) -> anyhow::Result<Option<Vec<crate::image::contents::Entry>>> {
    let list = found.manifest.files.as_ref();
    list.map(|list| files::read(&found.folder.join(&list.file))).transpose()
}

fn blocks_of(found: &Found) -> Option<Table> {
    let disk = found.manifest.disk.as_ref()?;
    Table::read(&found.folder.join(disk.blocks.as_ref()?), disk.digest.as_ref()?)
}

fn describe(image: &Manifest) -> String {
    let mut text = title(image) + "\n";
    let made = image.created.strftime("%Y-%m-%d %H:%M:%S UTC");
    let _ = writeln!(text, "  made      {made} by hostkit {} from {}", image.hostkit, image.base);
    let _ = writeln!(text, "  for       {}, {}", image.arch, image.target);
    let _ = writeln!(text, "  digest    {}", image.digest);
    if let Some(disk) = &image.disk {
        let (all, used) = (HumanBytes(disk.bytes), HumanBytes(disk.allocated));
        let _ = writeln!(text, "  disk      {}  {all}, {used} of it used", disk.file);
        match (&disk.digest, &disk.sha256) {
            (Some(digest), _) => text += &format!("  blocks    {digest}\n"),
            (None, Some(sha256)) => text += &format!("  sha256    {sha256}\n"),
            (None, None) => {}
        }
    }
    if let Some(qcow2) = &image.qcow2 {
        let _ = writeln!(text, "  qcow2     {}  {}", qcow2.file, HumanBytes(qcow2.bytes));
    }
    if let Some(oci) = &image.oci {
        let _ = writeln!(text, "  layout    {}  {}", oci.folder, HumanBytes(oci.bytes));
        let _ = writeln!(text, "  manifest  {}", oci.digest);
    }
    let _ = writeln!(text, "\n{} packages", image.packages.len());
    let width = image.packages.keys().map(String::len).max().unwrap_or(0);
    for (name, version) in &image.packages {
        let _ = writeln!(text, "  {name:<width$}  {version}");
    }
    text
}

fn title(image: &Manifest) -> String {
    format!("{} {} ({})", image.recipe, image.image_version, short(&image.digest))
}

fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// A comparison for people; of files not more than `limit` of a kind.
fn render(from: &Manifest, to: &Manifest, comparison: &Comparison, limit: usize) -> String {
    let mut text = format!("{} -> {}\n", title(from), title(to));
    packages(&mut text, &comparison.packages);
    match &comparison.files {
        Some(files) => render_files(&mut text, files, limit),
        None => text += "\nfiles     not known of both images\n",
    }
    if let (Some(old), Some(new)) = (&from.disk, &to.disk) {
        let (before, after) = (HumanBytes(old.allocated), HumanBytes(new.allocated));
        let _ = writeln!(text, "\ndisk      {before} used -> {after}");
    }
    if let Some(changed) = comparison.blocks {
        let _ = writeln!(text, "blocks    {}", in_blocks(changed));
    }
    text
}

/// `9 of 4608 blocks (4.50 MiB)`
pub(super) fn in_blocks(changed: manifest::Changed) -> String {
    let bytes = HumanBytes((changed.blocks * blocks::BLOCK) as u64);
    format!("{} of {} changed ({bytes})", changed.blocks, changed.of)
}

fn packages(text: &mut String, packages: &Packages) {
    let Packages { added, removed, changed } = packages;
    let _ = writeln!(
        text,
        "\npackages  {} added, {} removed, {} in another version",
        added.len(),
        removed.len(),
        changed.len()
    );
    for (name, version) in added {
        let _ = writeln!(text, "  + {name} {version}");
    }
    for (name, version) in removed {
        let _ = writeln!(text, "  - {name} {version}");
    }
    for (name, (before, after)) in changed {
        let _ = writeln!(text, "  ~ {name} {before} -> {after}");
    }
}

fn render_files(text: &mut String, files: &Files, limit: usize) {
    let Files { added, removed, changed } = files;
    let total = |sized: &[Sized]| HumanBytes(sized.iter().map(|file| file.bytes).sum());
    let _ = writeln!(
        text,
        "\nfiles     {} added ({}), {} removed ({}), {} changed",
        added.len(),
        total(added),
        removed.len(),
        total(removed),
        changed.len()
    );
    let sized = |sign: char| {
        move |file: &Sized| format!("{sign} {}  {}", file.path, HumanBytes(file.bytes))
    };
    lines(text, added, sized('+'), limit);
    lines(text, removed, sized('-'), limit);
    lines(text, changed, changed_line, limit);
}

fn changed_line(changed: &Changed) -> String {
    let what: Vec<_> = changed.what.iter().map(|what| what.word()).collect();
    let (before, after) = changed.bytes;
    let sizes = if before == after {
        HumanBytes(after).to_string()
    } else {
        format!("{} -> {}", HumanBytes(before), HumanBytes(after))
    };
    format!("~ {}  {sizes}  {}", changed.path, what.join(", "))
}

fn lines<T>(text: &mut String, list: &[T], line: impl Fn(&T) -> String, limit: usize) {
    for item in list.iter().take(limit) {
        let _ = writeln!(text, "  {}", line(item));
    }
    if list.len() > limit {
        let _ = writeln!(text, "  … and {} more (--all shows them)", list.len() - limit);
    }
}
