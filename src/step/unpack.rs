//! An archive unpacked into a folder of the host: first beside the tree, then file by file into
//! it, so that nothing in the archive or in the tree leads out of the folder.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::Site;
use crate::sys::{Cmd, Owner, Root, Tool};

/// How long an archive may take.
const TIMEOUT: Duration = Duration::from_mins(15);

/// What every zip file begins with.
const ZIP: &[u8] = b"PK\x03\x04";

/// Unpacks `archive` into the directory `into` of the host, all of it `owner`'s, without the first
/// `strip` parts of its paths. Returns the paths on the host that it made, sorted.
pub(super) async fn unpack(
    archive: &Utf8Path,
    strip: u32,
    into: &str,
    owner: Owner,
    site: &Site<'_>,
) -> anyhow::Result<Vec<String>> {
    let scratch = site.host.scratch().context("making a folder to unpack in")?;
    let folder = Utf8PathBuf::from(scratch.path().to_string_lossy().into_owned());
    let cmd =
        if starts_with(archive, ZIP)? {
            Cmd::new(Tool::Unzip).args(["-q", "-o", archive.as_str(), "-d", folder.as_str()])
        } else {
            // tar itself looks for what it was compressed with.
            Cmd::new(Tool::Tar)
                .args(["--extract", "--no-same-owner", "--no-same-permissions"])
                .args(["--directory", folder.as_str(), "--file", archive.as_str()])
        };
    site.host.outside.run(&cmd.timeout(TIMEOUT)).await?;
    let target = site.host.root.below(into).with_context(|| format!("opening {into}"))?;
    let made = copy(&folder, strip, &target, owner)?;
    anyhow::ensure!(!made.is_empty(), "nothing is left of it after {strip} parts of its paths");
    Ok(made.into_iter().map(|path| format!("{into}/{path}")).collect())
}

fn starts_with(file: &Utf8Path, magic: &[u8]) -> anyhow::Result<bool> {
    use std::io::Read as _;
    let mut start = Vec::new();
    let file = std::fs::File::open(file).context("opening what arrived")?;
    file.take(magic.len() as u64).read_to_end(&mut start)?;
    Ok(start == magic)
}

/// Copies what is below `folder` into `target`, in which no link is followed.
fn copy(
    folder: &Utf8Path,
    strip: u32,
    target: &Root,
    owner: Owner,
) -> anyhow::Result<Vec<Utf8PathBuf>> {
    let mut made = Vec::new();
    let strip = strip as usize;
    for entry in WalkDir::new(folder).min_depth(1 + strip).sort_by_file_name() {
        let entry = entry.context("reading what was unpacked")?;
        let from = Utf8Path::from_path(entry.path()).context("a name in it is not UTF-8")?;
        let below = from.strip_prefix(folder).expect("the walk began there");
        let path: Utf8PathBuf = below.components().skip(strip).collect();
        let kind = entry.file_type();
        // Nobody becomes another user by a program from elsewhere.
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        if kind.is_dir() {
            target.make_dir(&path, mode | 0o700, owner)?;
        } else if kind.is_file() {
            target.copy_in(from, &path, mode | 0o400, owner)?;
        } else if kind.is_symlink() {
            let to = std::fs::read_link(from)?;
            let to = to.to_str().with_context(|| format!("the link {path} is not UTF-8"))?;
            target.link(&path, to)?;
        } else {
            anyhow::bail!("{path} is neither file, directory nor link");
        }
        made.push(path);
    }
    Ok(made)
}
