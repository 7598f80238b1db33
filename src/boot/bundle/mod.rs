//! `hostkit support-bundle`: what somebody needs who was not there, in one file, without secrets.
//!
//! Nothing here touches a mounted file system. Each part has its own deadline and is cut to
//! [`LARGEST`]; one that cannot be had is named in `MANIFEST.txt`, and the rest is there. All text
//! goes through [`crate::secret::redact`].

mod parts;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use camino::Utf8Path;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::context::Machine;
use crate::error::Fault;
use crate::secret;
use crate::sys::secrets;
use parts::Part;

/// A part is cut to so many bytes: its end.
const LARGEST: usize = 1 << 20;

/// What has not begun by then is left out.
const ALL: Duration = Duration::from_mins(2);

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bundle {
    /// The form of this answer: 1.
    pub version: u32,
    /// The file.
    pub path: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// The parts that it has, and those that it has not with the reason.
    pub parts: Vec<Held>,
}

/// A part of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Held {
    /// Its name in the archive.
    pub name: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// Why it is not there, or not whole.
    pub problem: Option<String>,
}

/// Gathers everything, and writes it to `path`: a new file that only its owner reads.
pub async fn write(machine: &Machine, path: &Utf8Path) -> anyhow::Result<Bundle> {
    secrets::learn(&machine.root);
    let began = Instant::now();
    let (mut held, mut files) = (Vec::new(), Vec::new());
    for part in parts::all(machine) {
        let gathered = if began.elapsed() > ALL {
            Err("there was no time left".to_owned())
        } else {
            part.gather(machine).await
        };
        let (text, problem) = match gathered {
            Ok(text) => cut(secret::redact(&text).into_owned()),
            Err(why) => (String::new(), Some(secret::redact(&why).into_owned())),
        };
        held.push(Held { name: part.name.clone(), bytes: text.len(), problem });
        if !text.is_empty() {
            files.push((part.name, text));
        }
    }
    files.insert(0, ("MANIFEST.txt".to_owned(), manifest(&held)));
    let bytes = archive(&files)?;
    put(path, &bytes)?;
    Ok(Bundle { version: 1, path: path.to_string(), bytes: bytes.len(), parts: held })
}

impl Bundle {
    /// For people.
    pub fn render(&self) -> String {
        let mut out = manifest(&self.parts);
        let _ = write!(
            out,
            "\n{}: {} KiB, for whoever helps you",
            self.path,
            self.bytes.div_ceil(1024)
        );
        out
    }
}

/// The end of a text that is too long.
fn cut(text: String) -> (String, Option<String>) {
    if text.len() <= LARGEST {
        return (text, None);
    }
    let from = (text.len() - LARGEST..text.len()).find(|&at| text.is_char_boundary(at));
    let end = text[from.unwrap_or(0)..].to_owned();
    (end, Some(format!("the last MiB of {} MiB", text.len().div_ceil(1 << 20))))
}

fn manifest(parts: &[Held]) -> String {
    let mut out = format!(
        "hostkit {}, {}\nSecrets are masked. No file of the home is in it.\n\n",
        env!("CARGO_PKG_VERSION"),
        Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC")
    );
    for part in parts {
        let problem = part.problem.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        let line = format!("{:>9}  {}{problem}", part.bytes, part.name);
        let _ = writeln!(out, "{}", line.lines().next().unwrap_or_default());
    }
    out
}

fn archive(files: &[(String, String)]) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        let path = format!("hostkit-support/{name}");
        tar.append_data(&mut header, path, text.as_bytes()).context("packing the bundle")?;
    }
    let packed = tar.into_inner().and_then(GzEncoder::finish);
    packed.context("packing the bundle")
}

/// Never over what is there, and through no link.
fn put(path: &Utf8Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::usage(format!("{path} is there already")).hint("name another file with -o")
        }
        _ => Fault::environment(format!("{path} cannot be made: {error}")),
    })?;
    file.write_all(bytes).with_context(|| format!("writing {path}"))
}

/// Where a bundle goes if nobody says.
pub fn usual_name(machine: &Machine) -> String {
    let status = super::status::Status::read(machine).ok();
    let who = status.and_then(|status| status.instance_id).unwrap_or_else(|| "host".to_owned());
    format!("hostkit-support-{who}-{}.tar.gz", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"))
}

impl Part {
    async fn gather(&self, machine: &Machine) -> Result<String, String> {
        self.source.read(machine).await
    }
}
