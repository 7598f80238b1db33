//! `NAME.files.gz` beside an image: everything that is in it, a line of JSON for each name.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};

use anyhow::Context as _;
use camino::Utf8Path;
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::contents::Entry;
use crate::error::Fault;

/// Writes the list. The same entries give the same bytes. Returns their number.
pub fn write(entries: &[Entry], to: &Utf8Path) -> anyhow::Result<u64> {
    let file = std::fs::File::create(to).context("making the list of files")?;
    let gzip = GzBuilder::new().write(file, Compression::fast());
    let mut lines = BufWriter::with_capacity(1 << 16, gzip);
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)?;
        lines.write_all(b"\n")?;
    }
    let gzip = lines.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(gzip.finish().context("writing the list of files")?.metadata()?.len())
}

/// Reads a list.
pub fn read(path: &Utf8Path) -> anyhow::Result<Vec<Entry>> {
    let file = std::fs::File::open(path)
        .with_context(|| Fault::environment(format!("{path} cannot be read")))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let entry = |line: std::io::Result<String>| anyhow::Ok(serde_json::from_str(&line?)?);
    lines
        .map(entry)
        .collect::<anyhow::Result<_>>()
        .with_context(|| Fault::recipe(format!("{path} is not a list of files")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::contents::Kind;

    #[test]
    fn what_is_written_is_read_and_the_bytes_do_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let entry = Entry {
            path: "etc/ő \"x\"".to_owned(),
            kind: Kind::File { bytes: 3, sha256: "abc".to_owned() },
            mode: 0o4755,
            uid: 650,
            gid: 0,
            mtime: -1,
            attributes: vec![("security.capability".to_owned(), vec![0, 255])],
        };
        let bytes = write(&[entry.clone(), entry.clone()], &dir.join("a")).unwrap();
        assert_eq!(bytes, std::fs::metadata(dir.join("a")).unwrap().len());
        write(&[entry.clone(), entry.clone()], &dir.join("b")).unwrap();
        assert_eq!(std::fs::read(dir.join("a")).unwrap(), std::fs::read(dir.join("b")).unwrap());
        assert_eq!(read(&dir.join("a")).unwrap(), [entry.clone(), entry]);
        std::fs::write(dir.join("c"), "no list").unwrap();
        assert!(read(&dir.join("c")).is_err());
    }
}
