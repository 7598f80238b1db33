//! From a built tree to the files of an image: what is made, under which names, and what the
//! manifest says of it.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::blocks::Table;
use super::contents::Contents;
use super::manifest::{self, Changed, File, Manifest, Oci, stem};
use super::publish::Output;
use super::sbom::Bom;
use super::tree::Built;
use super::workspace::Workspace;
use super::{Places, disk, files, oci, secrets};
use crate::error::Fault;
use crate::event::Events;
use crate::plan::{Plan, Target};
use crate::secret::Secrets;
use crate::sys::{Cmd, Runner, Tool};

/// A packed image in the work folder.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// Its files.
    pub outputs: Vec<Output>,
    pub disk: Option<manifest::Disk>,
    pub qcow2: Option<File>,
    pub oci: Option<Oci>,
    pub files: File,
}

/// Packs what was built into what the bake is to make.
pub(super) async fn pack(
    built: &Built,
    plan: &Plan,
    places: &Places,
    work: &Workspace,
    events: &Events,
) -> anyhow::Result<Packed> {
    match plan.target {
        Target::Disk => {
            let packed = disk::pack(built, plan, places, work, events).await?;
            disk_outputs(packed, plan, places, work.path()).await
        }
        Target::Oci => {
            let packed = oci::pack(built, plan, work.path(), events).await?;
            let name = stem(&plan.recipe, Target::Oci);
            let mut outputs = vec![Output { from: packed.folder, name: name.clone() }];
            let files = list_files(&packed.contents, &name, work.path(), &mut outputs)?;
            let oci = Oci { folder: name, digest: packed.digest, bytes: packed.bytes };
            Ok(Packed { outputs, disk: None, qcow2: None, oci: Some(oci), files })
        }
    }
}

async fn disk_outputs(
    packed: disk::Packed,
    plan: &Plan,
    places: &Places,
    work: &Utf8Path,
) -> anyhow::Result<Packed> {
    let stem = stem(&plan.recipe, Target::Disk);
    let mut outputs = Vec::new();
    let files = list_files(&packed.contents, &stem, work, &mut outputs)?;
    let qcow2 = if places.qcow2 {
        Some(qcow2(&packed.path, &stem, work, &mut outputs).await?)
    } else {
        None
    };
    let blocks = output(work, format!("{stem}.blocks"), &mut outputs);
    std::fs::write(work.join(&blocks), packed.table.to_bytes()).context("writing the blocks")?;
    let previous = Manifest::read(&places.output, &plan.recipe, Target::Disk);
    let disk = manifest::Disk {
        file: format!("{stem}.raw"),
        bytes: packed.bytes,
        allocated: packed.allocated,
        digest: Some(packed.table.digest()),
        changed: previous.and_then(|image| changed(&packed.table, &image, &places.output)),
        blocks: Some(blocks),
        sha256: None,
    };
    outputs.push(Output { from: packed.path, name: disk.file.clone() });
    Ok(Packed { outputs, disk: Some(disk), qcow2, oci: None, files })
}

/// Packs an existing disk, which is finished as it is.
pub(super) async fn existing(
    disk: Utf8PathBuf,
    contents: Contents,
    plan: &Plan,
    places: &Places,
    work: &Workspace,
) -> anyhow::Result<Packed> {
    let path = disk.clone();
    let hashing = tokio::task::spawn_blocking(move || Table::measure(&path, None));
    let (table, _) = hashing.await?.context("hashing the disk")?;
    let meta = std::fs::metadata(&disk).context("measuring the disk")?;
    let (bytes, allocated) = (meta.len(), meta.blocks() * 512);
    let packed = disk::Packed { path: disk, bytes, allocated, table, contents };
    disk_outputs(packed, plan, places, work.path()).await
}

/// Fails where a packed disk holds the value of a secret.
pub(super) fn search(packed: &Packed, secrets: &Secrets) -> anyhow::Result<()> {
    let Some(disk) = &packed.disk else { return Ok(()) };
    let disk = packed.outputs.iter().filter(|output| output.name == disk.file);
    disk.map(|output| output.from.as_path()).try_for_each(|disk| {
        secrets::refuse("the packed disk", &secrets::search_file(disk, secrets)?)
    })
}

/// Adds the bill of materials to the outputs.
pub(super) fn add_bom(
    bom: &Bom,
    plan: &Plan,
    work: &Utf8Path,
    packed: &mut Packed,
) -> anyhow::Result<File> {
    let name = format!("{}.cdx.json", stem(&plan.recipe, plan.target));
    let (file, text) = (output(work, name, &mut packed.outputs), bom.to_json());
    std::fs::write(work.join(&file), &text).context("writing the bill of materials")?;
    Ok(File { file, bytes: text.len() as u64 })
}

/// How much of the previous disk would have to be written again to become this one. Nothing is said
/// where the previous table is not what its manifest says.
fn changed(table: &Table, previous: &Manifest, folder: &Utf8Path) -> Option<Changed> {
    let disk = previous.disk.as_ref()?;
    let before = Table::read(&folder.join(disk.blocks.as_ref()?), disk.digest.as_ref()?)?;
    Some(Changed { blocks: table.changed_since(&before), of: table.len() })
}

fn list_files(
    contents: &Contents,
    stem: &str,
    work: &Utf8Path,
    outputs: &mut Vec<Output>,
) -> anyhow::Result<File> {
    let file = output(work, format!("{stem}.files.gz"), outputs);
    let bytes = files::write(&contents.entries, &work.join(&file))?;
    Ok(File { file, bytes })
}

/// The same disk for programs that want qcow2. The same disk gives the same file.
async fn qcow2(
    disk: &Utf8Path,
    stem: &str,
    work: &Utf8Path,
    outputs: &mut Vec<Output>,
) -> anyhow::Result<File> {
    let file = output(work, format!("{stem}.qcow2"), outputs);
    let to = work.join(&file);
    let cmd = Cmd::new(Tool::QemuImg)
        .args(["convert", "-f", "raw", "-O", "qcow2", disk.as_str(), to.as_str()])
        .timeout(std::time::Duration::from_mins(15));
    let end = Runner::Direct.run(&cmd).await;
    end.context(Fault::step("the disk was not converted to qcow2"))?;
    let bytes = std::fs::metadata(&to).context("measuring the qcow2 disk")?.len();
    Ok(File { file, bytes })
}

/// Adds a file of the work folder that keeps its name.
fn output(work: &Utf8Path, name: String, outputs: &mut Vec<Output>) -> String {
    let from: Utf8PathBuf = work.join(&name);
    outputs.push(Output { from, name: name.clone() });
    name
}
