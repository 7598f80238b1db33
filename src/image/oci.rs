//! Packs a tree as an OCI image layout: a folder that `skopeo`, `podman` and registries read.
//!
//! One layer, from the finished tree: what was deleted while it was built is in no layer below. The
//! same tree gives the same bytes.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive;
use super::contents::Contents;
use super::tree::Built;
use crate::digest::{hex, sha256};
use crate::event::Events;
use crate::plan::Plan;

/// A third of the time of the usual level, for a layer that is a twentieth larger.
const LEVEL: Compression = Compression::new(4);

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A finished layout in the work folder.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub folder: Utf8PathBuf,
    /// That of the image manifest: `sha256:…`.
    pub digest: String,
    /// The size of the layer, compressed.
    pub bytes: u64,
    pub contents: Contents,
}

/// Packs what was built.
pub(super) async fn pack(
    built: &Built,
    plan: &Plan,
    work: &Utf8Path,
    events: &Events,
) -> anyhow::Result<Packed> {
    for folder in &plan.immutable {
        events.log(
            "pack",
            format!("{folder} is not write-protected: a layer has no place for that flag"),
        );
    }
    let (tree, epoch) = (built.host.root.path().to_owned(), built.epoch);
    let (plan, folder) = (plan.clone(), work.join("oci"));
    tokio::task::spawn_blocking(move || {
        let contents = Contents::of(&tree, epoch, None)?;
        let layout = Layout::create(&folder)?;
        let layer = layout.layer(&tree, &contents)?;
        let digest = layout.describe(&plan, epoch, &layer)?;
        Ok(Packed { folder, digest, bytes: layer.bytes, contents })
    })
    .await?
}

/// The folder, being filled.
struct Layout<'a> {
    folder: &'a Utf8Path,
}

/// A layer in its folder.
struct Layer {
    /// The digest of the compressed archive.
    digest: String,
    /// The digest of the archive itself.
    diff_id: String,
    bytes: u64,
}

impl<'a> Layout<'a> {
    fn create(folder: &'a Utf8Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("blobs/sha256")).context("making the OCI layout")?;
        let version = json!({"imageLayoutVersion": "1.0.0"});
        write(&folder.join("oci-layout"), &version.to_string())?;
        Ok(Self { folder })
    }

    fn blob(&self, digest: &str) -> Utf8PathBuf {
        self.folder.join("blobs/sha256").join(digest)
    }

    fn layer(&self, tree: &Utf8Path, contents: &Contents) -> anyhow::Result<Layer> {
        let fresh = self.blob("layer");
        let file = BufWriter::new(File::create(&fresh).context("making the layer")?);
        let gzip = GzBuilder::new().write(Hashing::new(file), LEVEL);
        let mut archive = BufWriter::with_capacity(1 << 20, Hashing::new(gzip));
        archive::write(tree, contents, &mut archive)?;
        let archive = archive.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let diff_id = hex(&archive.hasher.finalize());
        let gzip = archive.inner.finish().context("writing the layer")?;
        let file = gzip.inner.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all().context("writing the layer")?;
        let (digest, bytes) = (hex(&gzip.hasher.finalize()), file.metadata()?.len());
        std::fs::rename(&fresh, self.blob(&digest)).context("naming the layer")?;
        Ok(Layer { digest, diff_id, bytes })
    }

    /// Writes the configuration, the manifest and the index; returns the manifest's digest.
    fn describe(&self, plan: &Plan, epoch: i64, layer: &Layer) -> anyhow::Result<String> {
        let config = self.put(CONFIG, &configuration(plan, epoch, &layer.diff_id)?)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [descriptor(LAYER, &layer.digest, layer.bytes)],
        });
        let mut manifest = self.put(MANIFEST, &manifest)?;
        let digest = manifest["digest"].as_str().expect("it was just put there").to_owned();
        manifest["platform"] = json!({"architecture": plan.base.arch.name(), "os": "linux"});
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": plan.image_version});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        });
        write(&self.folder.join("index.json"), &index.to_string())?;
        Ok(digest)
    }

    /// Writes a document as a blob and returns its descriptor.
    fn put(&self, kind: &str, document: &Value) -> anyhow::Result<Value> {
        let text = document.to_string();
        let digest = sha256(&text);
        write(&self.blob(&digest), &text)?;
        Ok(descriptor(kind, &digest, text.len() as u64))
    }
}

fn configuration(plan: &Plan, epoch: i64, diff_id: &str) -> anyhow::Result<Value> {
    let created = jiff::Timestamp::from_second(epoch).context("the epoch")?.to_string();
    Ok(json!({
        "created": created,
        "architecture": plan.base.arch.name(),
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["/bin/sh"],
            "Labels": {
                "org.hostkit.digest": plan.digest,
                "org.hostkit.recipe": plan.recipe,
                "org.hostkit.version": plan.image_version,
                "org.opencontainers.image.title": plan.recipe,
                "org.opencontainers.image.version": plan.image_version,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": created, "created_by": format!("hostkit bake {}", plan.recipe)}],
    }))
}

fn descriptor(kind: &str, digest: &str, bytes: u64) -> Value {
    json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes})
}

fn write(path: &Utf8Path, text: &str) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("making {path}"))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {path}"))?;
    file.sync_all().with_context(|| format!("writing {path}"))
}

/// Takes the digest of what goes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
