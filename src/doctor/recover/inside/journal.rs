//! The journal on the file system: written so that it is always the old one or the new one.

use std::io::{self, Write as _};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Moments, journal_of};
use crate::error::Fault;
use crate::lease::recovery::{self, Journal, RECORDS, VERSION};
use crate::sys::{Folder, Owner, Root};

const HOSTKIT: &str = ".hostkit";
const NAME: &str = "recover.json";
/// What is being written. A name of its own, so that one that was left is written over.
const NEW: &str = ".recover.json.new";

/// The journal that is open.
///
/// # Errors
/// None is, or it is not this file system's.
pub(super) fn open(root: &Root, file_system: &str) -> anyhow::Result<Journal> {
    let found = recovery::read(root).context("reading the journal of the recovery")?;
    journal_of(found, file_system)?.with_context(|| {
        Fault::step("no recovery is under way any more").hint("hostkit efs recover shows what is")
    })
}

/// Writes `journal`, which begins a recovery, or is the next word on the one that is open.
pub(super) fn note(
    root: &Root,
    file_system: &str,
    journal: &Journal,
    moments: &Moments,
) -> anyhow::Result<()> {
    anyhow::ensure!(journal.file_system == file_system, "the journal is about another file system");
    anyhow::ensure!(journal.version == VERSION, "the journal has another form");
    let found = recovery::read(root).context("reading the journal of the recovery")?;
    if let Some(before) = journal_of(found, file_system)?.filter(|it| it.id != journal.id) {
        return Err(Fault::step(before.told()).hint(recovery::TWO_WAYS).into());
    }
    write(root, journal, moments)
}

/// Puts `journal` in the place of what is there.
pub(super) fn write(root: &Root, journal: &Journal, moments: &Moments) -> anyhow::Result<()> {
    make_folders(root, HOSTKIT.into(), Owner::me()).context("making .hostkit")?;
    let folder = Folder::open(root, HOSTKIT)?.context(".hostkit is gone")?;
    let mut text = serde_json::to_vec_pretty(journal).context("a journal is plain data")?;
    text.push(b'\n');
    let put = || -> io::Result<()> {
        folder.remove(NEW)?;
        let mut file = folder.create(NEW, 0o600)?;
        moments.pass();
        file.write_all(&text)?;
        file.sync_all()?;
        drop(file);
        moments.pass();
        folder.rename(NEW, NAME)?;
        moments.pass();
        folder.sync()
    };
    put().context("writing .hostkit/recover.json")
}

/// Makes the journal a record, and says where that is.
pub(super) fn close(root: &Root, journal: &Journal, moments: &Moments) -> anyhow::Result<String> {
    write(root, journal, moments)?;
    make_folders(root, RECORDS.into(), Owner::me()).with_context(|| format!("making {RECORDS}"))?;
    let records = Folder::open(root, RECORDS)?.with_context(|| format!("{RECORDS} is gone"))?;
    let folder = Folder::open(root, HOSTKIT)?.context(".hostkit is gone")?;
    let name = format!("{}.json", journal.id);
    // The record of a recovery that is taken back takes the place of that of the recovery.
    folder
        .move_as(NAME, &records, &name)
        .with_context(|| format!("moving the journal to {RECORDS}/{name}"))?;
    moments.pass();
    records.sync().with_context(|| format!("writing {RECORDS}"))?;
    Ok(Utf8Path::new(RECORDS).join(name).into_string())
}

/// The journals of recoveries that are done, the oldest first. What is none is left out.
pub(super) fn records(root: &Root) -> anyhow::Result<Vec<Journal>> {
    let names = root.list(RECORDS).with_context(|| format!("listing {RECORDS}"))?;
    let mut all = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        let path = Utf8PathBuf::from(RECORDS).join(name);
        let bytes = root.read(&path).with_context(|| format!("reading {path}"))?;
        if let Some(recovery::Found::Journal(journal)) = bytes.map(|bytes| recovery::parse(&bytes))
        {
            all.push(*journal);
        }
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}

/// Makes a folder and those above it that are missing; those that are there stay as they are.
pub(super) fn make_folders(root: &Root, path: &Utf8Path, owner: Owner) -> io::Result<()> {
    let above: Vec<_> = path.ancestors().filter(|it| !it.as_str().is_empty()).collect();
    for folder in above.into_iter().rev() {
        if root.metadata(folder)?.is_none_or(|meta| !meta.is_dir()) {
            root.make_dir(folder, 0o700, owner)?;
        }
    }
    Ok(())
}
