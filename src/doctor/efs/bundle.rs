//! What was asked and seen, in a file: for a colleague who was not there, and judged again there.
//!
//! It holds no secrets: what the checks keep has none, and all text goes through
//! [`crate::secret::redact_json`]. A bundle is never written over anything.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report::Report;
use super::scene::Asked;
use super::table::Observed;
use crate::error::Fault;
use crate::secret;

/// What every bundle says that it is.
const KIND: &str = "hostkit efs check";

/// The version of the form.
const VERSION: u32 = 1;

/// No bundle is larger when it is unpacked; what is, is none.
const LARGEST: u64 = 64 << 20;

/// What a bundle holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// [`KIND`].
    kind: String,
    /// [`VERSION`].
    version: u32,
    /// The hostkit that looked.
    pub hostkit: String,
    /// The kernel that it ran on.
    pub kernel: String,
    /// When it was looked.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub took: f64,
    /// The checks that were asked for; all of them if none is named.
    pub only: Vec<String>,
    /// What was asked about.
    pub asked: Asked,
    /// What was seen.
    pub observed: Observed,
    /// What was found then, by the hostkit that looked.
    pub report: Value,
}

/// What of a bundle says whether the rest can be read.
#[derive(Deserialize)]
struct Form {
    kind: String,
    version: u32,
    #[serde(default)]
    hostkit: String,
}

impl Bundle {
    /// Of a run, and of what it found.
    pub fn of(asked: Asked, observed: Observed, report: &Report) -> Self {
        Self {
            kind: KIND.to_owned(),
            version: VERSION,
            hostkit: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: nix::sys::utsname::uname()
                .map(|name| name.release().to_string_lossy().into_owned())
                .unwrap_or_default(),
            at: report.at,
            took: report.took,
            only: report.only.iter().map(|id| (*id).to_owned()).collect(),
            asked,
            observed,
            report: serde_json::to_value(report).unwrap_or_default(),
        }
    }

    /// As the bytes of a file, without secrets.
    ///
    /// # Errors
    /// None that a person could mend.
    pub fn pack(&self) -> anyhow::Result<Vec<u8>> {
        let mut value = serde_json::to_value(self).context("writing down what was seen")?;
        secret::redact_json(&mut value);
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut packed, &value).context("packing the bundle")?;
        packed.finish().context("packing the bundle")
    }

    /// Writes it to a new file that only its owner reads; returns its size in bytes.
    ///
    /// # Errors
    /// There is something already, or the file cannot be made.
    pub fn write(&self, path: &Utf8Path) -> anyhow::Result<usize> {
        let bytes = self.pack()?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Fault::usage(format!("{path} is there already"))
                .hint("a bundle is never written over something: name another file"),
            _ => Fault::environment(format!("{path} cannot be made: {error}")),
        })?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        written.with_context(|| Fault::environment(format!("{path} cannot be written")))?;
        Ok(bytes.len())
    }

    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, is no bundle, is damaged, or is another hostkit's.
    pub fn read(path: &Utf8Path) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| Fault::usage(format!("{path} cannot be read")))?;
        Ok(Self::unpack(&bytes).map_err(|fault| {
            let hint = fault.hint_text().unwrap_or("have it made and sent again").to_owned();
            Fault::usage(format!("{path} {fault}")).hint(hint)
        })?)
    }

    fn unpack(bytes: &[u8]) -> Result<Self, Fault> {
        let mut text = Vec::new();
        let read = GzDecoder::new(bytes).take(LARGEST + 1).read_to_end(&mut text);
        if let Err(error) = read {
            let what = match bytes {
                [0x1f, 0x8b, ..] => "is damaged",
                _ => "is no bundle of `hostkit efs check --bundle`",
            };
            return Err(Fault::usage(format!("{what}: {error}")));
        }
        if text.len() as u64 > LARGEST {
            return Err(Fault::usage("is larger than any bundle"));
        }
        let no_bundle = |error: serde_json::Error| {
            Fault::usage(format!("is no bundle of `hostkit efs check --bundle`: {error}"))
        };
        let kind: Form = serde_json::from_slice(&text).map_err(no_bundle)?;
        if kind.kind != KIND {
            return Err(Fault::usage("is no bundle of `hostkit efs check --bundle`"));
        }
        let theirs = |what: String| {
            let Form { hostkit, .. } = &kind;
            Fault::usage(what).hint(format!(
                "read it with hostkit {hostkit}, which wrote it, or what that found: \
                 zcat FILE | jq .report"
            ))
        };
        if kind.version != VERSION {
            return Err(theirs(format!(
                "has version {}, and this hostkit reads version {VERSION}",
                kind.version
            )));
        }
        serde_json::from_slice(&text)
            .map_err(|error| theirs(format!("has what this hostkit does not read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::doctor::Gap;
    use crate::doctor::efs::visit::again;

    fn asked() -> Asked {
        Asked {
            file_system: "fs-0123456789abcdef0".to_owned(),
            region: "eu-west-1".to_owned(),
            host: None,
            benchmark: false,
        }
    }

    fn bundle() -> (Bundle, Report) {
        let observed = Observed::default();
        let why = "refused; password=hunter2hunter2".to_owned();
        let gap = Gap { needs: "kms:DescribeKey".to_owned(), denied: true, why };
        observed.refuse(crate::doctor::efs::table::Id::Key, gap);
        let at = "2026-11-27T03:12:44Z".parse().unwrap();
        let report = again(&asked(), &observed, at, 1.5, &[]);
        (Bundle::of(asked(), observed, &report), report)
    }

    fn packed(value: &Value) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut packed, value).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn what_was_seen_is_judged_elsewhere_as_it_was_here_and_no_secret_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("efs.json.gz");
        let (bundle, report) = bundle();
        let bytes = bundle.write(&path).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (bytes as u64, 0o600));
        let over = bundle.write(&path).unwrap_err().to_string();
        assert!(over.ends_with("is there already"), "{over}");

        let read = Bundle::read(&path).unwrap();
        let then = again(&read.asked, &read.observed, read.at, read.took, &[]);
        assert_eq!(then, report);
        assert!((then.took - 1.5).abs() < 1e-9, "{}", then.took);
        let mut text = String::new();
        let bytes = std::fs::read(&path).unwrap();
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert!(!text.contains("hunter2") && text.contains("[secret]"), "{text}");
    }

    #[test]
    fn what_is_no_bundle_of_this_hostkit_is_told_apart() {
        let (bundle, _) = bundle();
        let good = bundle.pack().unwrap();
        let value = || serde_json::to_value(&bundle).unwrap();
        let with = |name: &str, new: Value| {
            let mut value = value();
            value[name] = new;
            packed(&value)
        };
        let mut garbled = good.clone();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0xff;
        for (bytes, told) in [
            (b"{}".to_vec(), "is no bundle of `hostkit efs check --bundle`: "),
            (Vec::new(), "is no bundle"),
            (good[..good.len() - 9].to_vec(), "is damaged"),
            (garbled, "is "),
            (packed(&serde_json::json!({"kind": "other", "version": 1})), "is no bundle"),
            (packed(&serde_json::json!([1])), "is no bundle"),
            (with("version", 2.into()), "has version 2, and this hostkit reads version 1"),
            (with("observed", serde_json::json!({"key": {"Ok": 7}})), "has what this hostkit"),
            (with("asked", Value::Null), "has what this hostkit does not read"),
        ] {
            let fault = Bundle::unpack(&bytes).unwrap_err();
            assert!(fault.to_string().starts_with(told), "{fault} is not {told}");
        }
        let fault = Bundle::unpack(&with("version", 2.into())).unwrap_err();
        assert!(fault.hint_text().unwrap().contains(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn what_unpacks_to_more_than_a_bundle_has_is_refused() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let blank = vec![b' '; 1 << 20];
        for _ in 0..=LARGEST >> 20 {
            packed.write_all(&blank).unwrap();
        }
        let fault = Bundle::unpack(&packed.finish().unwrap()).unwrap_err();
        assert_eq!(fault.to_string(), "is larger than any bundle");
    }
}
