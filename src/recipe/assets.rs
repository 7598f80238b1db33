//! Files that recipes name: the project's own first, else those embedded in the binary.

use camino::{Utf8Path, Utf8PathBuf};

macro_rules! embedded {
    ($($path:literal,)+) => {
        /// Everything that the binary carries, by its path in the source tree.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../", $path))),)+];
    };
}

embedded! {
    "image-recipes/base.toml",
    "image-recipes/jenkins-controller.toml",
    "image-recipes/jenkins-plugins.txt",
    "systemd/50-root.repart.conf",
    "systemd/80-hostkit-dhcp.network",
    "systemd/hostkit-boot.service",
    "systemd/hostkit-ssh-host-keys.service",
    "systemd/hostkit.modules-load.conf",
    "systemd/hostkit.tmpfiles.conf",
    "systemd/jenkins.service.d/10-hostkit.conf",
    "systemd/sshd-10-hostkit.conf",
    "templates/jenkins.env.tera",
    "templates/jenkins.yaml.tera",
}

/// Where recipes and the files that they name come from.
#[derive(Clone, Debug)]
pub struct Assets {
    project: Utf8PathBuf,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// What to call it in messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Assets {
    /// The project folder; its `image-recipes/`, `templates/` and `systemd/` win by name.
    pub fn new(project: impl Into<Utf8PathBuf>) -> Self {
        Self { project: project.into() }
    }

    /// The file at `path` (relative to the project, or absolute), if there is one.
    pub fn find(&self, path: &str) -> std::io::Result<Option<Asset>> {
        let on_disk = self.project.join(path);
        match std::fs::read(&on_disk) {
            Ok(bytes) => return Ok(Some(Asset { name: on_disk.into_string(), bytes })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let embedded = EMBEDDED.iter().find(|(name, _)| *name == path);
        Ok(embedded.map(|(name, text)| Asset {
            name: format!("{name} (shipped)"),
            bytes: text.as_bytes().to_vec(),
        }))
    }

    /// The absolute path of a file on this machine that a person named.
    pub fn on_disk(&self, path: &str) -> Utf8PathBuf {
        self.project.join(path)
    }

    /// The names of all recipes that can be baked, sorted.
    pub fn recipes(&self) -> Vec<String> {
        let shipped = EMBEDDED.iter().map(|(path, _)| Utf8PathBuf::from(path));
        let own = std::fs::read_dir(self.project.join("image-recipes")).into_iter().flatten();
        let own = own.filter_map(|e| Utf8PathBuf::from_path_buf(e.ok()?.path()).ok());
        let mut names: Vec<_> = shipped.chain(own).filter_map(|path| recipe_name(&path)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the binary carries below `folder`.
    pub fn shipped(folder: &str) -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(path, _)| *path).filter(move |path| path.starts_with(folder))
    }
}

fn recipe_name(path: &Utf8Path) -> Option<String> {
    (path.extension() == Some("toml")).then(|| path.file_stem().map(str::to_owned)).flatten()
}
