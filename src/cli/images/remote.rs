//! `hostkit images` of AMIs: `ls`, `show`, and `diff` where one of the two or both are on AWS.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use camino::Utf8Path;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{Found, blocks_of, compare, in_blocks, local, packages, render, render_files, short};
use crate::cli::gc::names;
use crate::cli::regions::Regions;
use crate::cli::table::table;
use crate::fleet::images::{self, Detail, Row};
use crate::image::blocks::Table;
use crate::image::compare::Comparison;
use crate::image::{Manifest, manifest};
use crate::ui::{self, Format};

/// Whether an image is meant that is on AWS.
pub(super) fn is_remote(image: &str) -> bool {
    image
        .strip_prefix("ami-")
        .is_some_and(|rest| rest.len() >= 8 && rest.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// `ls --aws`
pub(super) async fn list(regions: &Regions, format: Format) -> anyhow::Result<()> {
    let (configs, _) = regions.sign_in(&[].into()).await?;
    let (rows, notes) = images::all(&configs).await?;
    for note in &notes {
        ui::note(note);
    }
    match format {
        Format::Json => rows.iter().for_each(ui::json),
        Format::Human if rows.is_empty() => {
            ui::text(&format!("no images of hostkit's in {}", names(&configs)));
        }
        Format::Human => ui::text(&rows_as_table(&rows)),
    }
    Ok(())
}

fn rows_as_table(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let made = row.created.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
            let unfinished = row.build_state != crate::teardown::KEPT;
            let state = if unfinished { &row.build_state } else { &row.state };
            [
                row.recipe.clone(),
                row.image_version.clone(),
                row.arch.clone(),
                short(&row.digest).to_owned(),
                row.id.clone(),
                row.region.clone(),
                state.clone(),
                format!("{} GiB", row.gib),
                made.unwrap_or_default(),
                remarks(row).join("; "),
            ]
        })
        .collect();
    let head = [
        "RECIPE",
        "VERSION",
        "ARCH",
        "DIGEST",
        "IMAGE",
        "REGION",
        "STATE",
        "SIZE",
        "MADE (UTC)",
        "USED BY",
    ];
    table(head, &rows)
}

/// Who uses an image, and what else keeps it.
fn remarks(row: &Row) -> Vec<String> {
    let mut remarks: Vec<_> = row.used.iter().map(ToString::to_string).collect();
    let shared = row.shared.as_deref().unwrap_or_default();
    if row.public {
        remarks.push("public".to_owned());
    } else if !shared.is_empty() {
        remarks.push(format!("shared with {}", shared.join(", ")));
    }
    remarks.extend(row.protection.as_ref().map(|how| format!("protected ({how})")));
    remarks.extend(row.deprecated.map(|at| format!("deprecated {}", at.strftime("%Y-%m-%d"))));
    remarks
}

/// An AMI for programs, with what lies of it in a folder.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    detail: &'a Detail,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<&'a BTreeMap<String, String>>,
}

/// `show ami-…`
pub(super) async fn show(
    id: &str,
    folder: &Utf8Path,
    regions: &Regions,
    format: Format,
) -> anyhow::Result<()> {
    let (configs, _) = regions.sign_in(&[].into()).await?;
    let detail = images::find(&configs, id).await?;
    let manifest = local(&detail.row.digest, folder).map(|found| found.manifest);
    let packages = manifest.as_ref().map(|it| &it.packages);
    match format {
        Format::Json => ui::json(&Shown { detail: &detail, packages }),
        Format::Human => ui::text(&describe(&detail, manifest.as_ref(), folder)),
    }
    Ok(())
}

fn describe(detail: &Detail, manifest: Option<&Manifest>, folder: &Utf8Path) -> String {
    let Row { id, name, region, state, gib, digest, arch, build, .. } = &detail.row;
    let mut text = format!("{id}  {}\n", title(&detail.row));
    let mut line = |key: &str, value: &str| text += &format!("  {key:<9} {value}\n");
    line("name", name);
    line("region", region);
    line("state", detail.row.state_reason.as_ref().unwrap_or(state));
    if let Some(made) = detail.row.created {
        line("made", &format!("{} by {build}", made.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
    line("for", arch);
    line("digest", digest);
    line("size", &format!("{gib} GiB"));
    for disk in &detail.disks {
        let kept = disk.bytes.map(|bytes| format!(", {} kept", HumanBytes(bytes)));
        let encrypted = if disk.encrypted { ", encrypted" } else { "" };
        let kept = kept.unwrap_or_default();
        line("snapshot", &format!("{}  {}{kept}{encrypted}", disk.snapshot, disk.state));
    }
    for remark in remarks(&detail.row) {
        line("used by", &remark);
    }
    text += "\ntags\n";
    for (key, value) in &detail.tags {
        let _ = writeln!(text, "  {key} = {value}");
    }
    match manifest {
        None => {
            let _ =
                writeln!(text, "\npackages are not known: nothing of this digest is in {folder}");
        }
        Some(manifest) => {
            let _ = writeln!(text, "\n{} packages", manifest.packages.len());
            let width = manifest.packages.keys().map(String::len).max().unwrap_or(0);
            for (name, version) in &manifest.packages {
                let _ = writeln!(text, "  {name:<width$}  {version}");
            }
        }
    }
    text
}

fn title(row: &Row) -> String {
    format!("{} {} ({})", row.recipe, row.image_version, short(&row.digest))
}

/// One of two images.
enum Side {
    Here(Found),
    There(Box<Detail>, Option<Found>),
}

impl Side {
    fn found(&self) -> Option<&Found> {
        match self {
            Self::Here(found) => Some(found),
            Self::There(_, found) => found.as_ref(),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Here(found) => super::title(&found.manifest),
            Self::There(detail, _) => format!("{} {}", detail.row.id, title(&detail.row)),
        }
    }

    async fn blocks(&self) -> Option<Table> {
        match self {
            Self::Here(found) => blocks_of(found),
            Self::There(detail, _) => detail.blocks().await,
        }
    }
}

/// What differs, where one of the two or both are on AWS.
#[derive(Debug, Serialize)]
struct Difference {
    /// Tags of hostkit's with different values: before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, (String, String)>,
    #[serde(flatten)]
    known: Option<Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<manifest::Changed>,
}

/// `diff` with an AMI.
pub(super) async fn diff(args: &super::Diff, format: Format) -> anyhow::Result<()> {
    let (configs, _) = args.regions.sign_in(&[].into()).await?;
    let side = async |image: &String| -> anyhow::Result<Side> {
        if !is_remote(image) {
            return Ok(Side::Here(super::find(image, &args.output)?));
        }
        let detail = images::find(&configs, image).await?;
        let found = local(&detail.row.digest, &args.output);
        Ok(Side::There(Box::new(detail), found))
    };
    let (from, to) = (side(&args.from).await?, side(&args.to).await?);
    let known = from.found().zip(to.found());
    let known = known.map(|(from, to)| compare(from, to)).transpose()?;
    let known = known.map(|known| Comparison { blocks: None, ..known });
    let difference = Difference { tags: tags(&from, &to), known, blocks: blocks(&from, &to).await };
    match format {
        Format::Json => ui::json(&difference),
        Format::Human => ui::text(&told(&from, &to, &difference, args.limit())),
    }
    Ok(())
}

fn tags(from: &Side, to: &Side) -> BTreeMap<String, (String, String)> {
    let (Side::There(old, _), Side::There(new, _)) = (from, to) else { return BTreeMap::new() };
    let keys = old.tags.keys().chain(new.tags.keys());
    let value = |side: &Detail, key| side.tags.get(key).cloned().unwrap_or_default();
    let pairs = keys.map(|key| (key.clone(), (value(old, key), value(new, key))));
    pairs.filter(|(_, (old, new))| old != new).collect()
}

/// By the tables of both disks; where one has none, by what EBS says.
async fn blocks(from: &Side, to: &Side) -> Option<manifest::Changed> {
    if let (Some(old), Some(new)) = (from.blocks().await, to.blocks().await) {
        return Some(manifest::Changed { blocks: new.changed_since(&old), of: new.len() });
    }
    let (Side::There(old, _), Side::There(new, _)) = (from, to) else { return None };
    new.changed_since(old).await
}

fn told(from: &Side, to: &Side, difference: &Difference, limit: usize) -> String {
    let known = from.found().zip(to.found()).zip(difference.known.as_ref());
    if let Some(((old, new), known)) = known.filter(|_| difference.tags.is_empty()) {
        let whole = Comparison { blocks: difference.blocks, ..known.clone() };
        return render(&old.manifest, &new.manifest, &whole, limit);
    }
    let mut text = format!("{} -> {}\n\n", from.title(), to.title());
    for (key, (old, new)) in &difference.tags {
        let _ = writeln!(text, "tag       {key}: {old} -> {new}");
    }
    match &difference.known {
        Some(Comparison { packages: changed, files, .. }) => {
            packages(&mut text, changed);
            if let Some(files) = files {
                render_files(&mut text, files, limit);
            }
        }
        None => text += "packages  not known of both images\n",
    }
    match difference.blocks {
        Some(changed) => text += &format!("\nblocks    {}\n", in_blocks(changed)),
        None => text += "blocks    not known of both images\n",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_means_aws() {
        assert!(is_remote("ami-0123456789abcdef0") && is_remote("ami-12345678"));
        for name in ["ami-agent", "ami-", "ci", "out/ami-0123456789abcdef0.json"] {
            assert!(!is_remote(name), "{name}");
        }
    }

    #[test]
    fn nothing_is_said_of_packages_that_nobody_knows() {
        let difference = Difference { tags: BTreeMap::new(), known: None, blocks: None };
        assert_eq!(serde_json::to_string(&difference).unwrap(), "{}");
    }
}
