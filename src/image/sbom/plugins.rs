//! Jenkins plugins that came with the image: who they are, from the manifest in each.

use std::io::Read as _;

use crate::sys::Root;

/// How much of a manifest is read, in bytes. They are a few KiB.
const MANIFEST: u64 = 64 << 10;

/// How far into the archive the manifest is looked for. By convention it is the first file.
const ENTRIES: usize = 8;

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plugin {
    /// Its short name, which its file has.
    pub name: String,
    /// Its version, where the manifest could be read.
    pub version: Option<String>,
    /// Its Maven group, where the manifest could be read.
    pub group: Option<String>,
}

/// The plugins in a folder, by name.
pub fn in_folder(root: &Root, folder: &str) -> anyhow::Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    for file in root.list(folder)? {
        let Some(name) = file.strip_suffix(".jpi").or_else(|| file.strip_suffix(".hpi")) else {
            continue;
        };
        let archive = root.read(format!("{folder}/{file}"))?.unwrap_or_default();
        let manifest = manifest(&archive).unwrap_or_default();
        plugins.push(Plugin {
            name: name.to_owned(),
            version: field(&manifest, "Plugin-Version"),
            group: field(&manifest, "Group-Id"),
        });
    }
    Ok(plugins)
}

fn field(manifest: &str, name: &str) -> Option<String> {
    let mut lines = manifest.lines().filter_map(|line| line.split_once(": "));
    // Some versions have a note of the build behind them: `1.2 (private-…)`.
    lines
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.split_whitespace().next())
        .map(str::to_owned)
}

/// The manifest among the first entries of a zip archive. None if there is none, or if it cannot
/// be found without the archive's directory.
fn manifest(archive: &[u8]) -> Option<String> {
    let mut rest = archive;
    for _ in 0..ENTRIES {
        let head = rest.strip_prefix(b"PK\x03\x04")?;
        let short = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let size = u32::from_le_bytes(head.get(14..18)?.try_into().ok()?);
        let (name, extra) = (usize::from(short(22)?), usize::from(short(24)?));
        let content = 26 + name + extra;
        if head.get(26..26 + name)? == b"META-INF/MANIFEST.MF" {
            return unpack(head.get(content..)?, short(4)?, size);
        }
        // Without a size (it stands behind the content) the next entry cannot be found.
        let is_folder = head.get(26..26 + name)?.ends_with(b"/");
        if short(2)? & 8 != 0 && !is_folder {
            return None;
        }
        rest = head.get(content + usize::try_from(size).ok()?..)?;
        // A folder's entry may be followed by the (empty) description of its content.
        if rest.starts_with(b"PK\x07\x08") {
            rest = rest.get(16..)?;
        }
    }
    None
}

fn unpack(content: &[u8], method: u16, size: u32) -> Option<String> {
    let mut text = String::new();
    match method {
        0 => {
            let stored = content.get(..usize::try_from(size).ok()?)?;
            return String::from_utf8(stored.to_vec()).ok();
        }
        8 => flate2::read::DeflateDecoder::new(content)
            .take(MANIFEST)
            .read_to_string(&mut text)
            .ok()?,
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const TEXT: &str =
        "Manifest-Version: 1.0\r\nGroup-Id: org.jenkins-ci.plugins\r\nPlugin-Version: 4.1 (x)\r\n";

    fn entry(name: &str, method: u16, flags: u16, size: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04\x14\0".to_vec();
        bytes.extend(flags.to_le_bytes());
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(size.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(name.as_bytes());
        bytes.extend(content);
        bytes
    }

    #[test]
    fn a_plugin_says_who_it_is_however_its_archive_was_made() {
        let mut packed =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(TEXT.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let folder = entry("META-INF/", 0, 0, 0, b"");
        let size = u32::try_from(TEXT.len()).unwrap();
        for file in [
            entry("META-INF/MANIFEST.MF", 8, 8, 0, &packed),
            entry("META-INF/MANIFEST.MF", 0, 0, size, TEXT.as_bytes()),
        ] {
            let manifest = manifest(&[folder.clone(), file].concat()).unwrap();
            assert_eq!(field(&manifest, "Plugin-Version").as_deref(), Some("4.1"));
            assert_eq!(field(&manifest, "Group-Id").as_deref(), Some("org.jenkins-ci.plugins"));
        }
    }

    #[test]
    fn what_is_no_archive_has_no_manifest() {
        for bytes in [&b""[..], b"PK\x03\x04", b"not an archive", &[0; 64]] {
            assert_eq!(manifest(bytes), None);
        }
    }
}
