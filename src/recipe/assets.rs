//! Files that recipes name: the project's own first, else those embedded in the binary.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

macro_rules! embedded {
    ($($path:literal,)+) => {
        /// Everything that the binary carries, by its path in the source tree.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../", $path))),)+];
    };
}

embedded! {
    "image-recipes/base.toml",
    "image-recipes/ecs-node.toml",
    "image-recipes/jenkins-agent.toml",
    "image-recipes/jenkins-controller.toml",
    "image-recipes/jenkins-plugins.txt",
    "systemd/50-root.repart.conf",
    "systemd/80-hostkit-dhcp.network",
    "systemd/docker-daemon.json",
    "systemd/docker.service.d/10-hostkit.conf",
    "systemd/ecs.service.d/10-hostkit.conf",
    "systemd/hostkit-agents.service",
    "systemd/hostkit-agents.timer",
    "systemd/hostkit-boot.service",
    "systemd/hostkit-keys.service",
    "systemd/hostkit-keys.timer",
    "systemd/hostkit-guard.service",
    "systemd/hostkit-lease.service",
    "systemd/hostkit-logs.service",
    "systemd/hostkit-shield.service",
    "systemd/hostkit-ssh-host-keys.service",
    "systemd/hostkit.tmpfiles.conf",
    "systemd/jenkins.service.d/10-hostkit.conf",
    "systemd/shield.nft",
    "systemd/sshd-10-hostkit.conf",
    "systemd/sshd-20-agent.conf",
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
    /// What to call it in messages: as it was named.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a list of recipes tells about one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The version of its image; may be empty.
    pub version: String,
    /// One line for people; may be empty.
    pub description: String,
    /// The recipe that it builds on; may be empty.
    pub extends: String,
    /// Whether it comes with hostkit, or from the project.
    pub shipped: bool,
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
            Ok(bytes) => return Ok(Some(Asset { name: path.to_owned(), bytes })),
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
        let shipped = EMBEDDED.iter().filter_map(|(path, _)| recipe_name(Utf8Path::new(path)));
        let mut names: Vec<_> = shipped.chain(self.own()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of the project's own recipes, sorted. If it has none, those of the shipped recipes
    /// that no other builds on.
    pub fn own_or_shipped(&self) -> Vec<String> {
        let mut own = self.own();
        own.sort_unstable();
        if own.is_empty() {
            let all = self.list();
            let parent = |name: &String| all.iter().any(|recipe| recipe.extends == *name);
            own = all.iter().map(|recipe| recipe.name.clone()).filter(|n| !parent(n)).collect();
        }
        own
    }

    fn own(&self) -> Vec<String> {
        let own = std::fs::read_dir(self.project.join("image-recipes")).into_iter().flatten();
        let own = own.filter_map(|e| Utf8PathBuf::from_path_buf(e.ok()?.path()).ok());
        own.filter_map(|path| recipe_name(&path)).collect()
    }

    /// What there is to tell about all recipes that can be baked, by name. Of one that cannot be
    /// read there is only the name.
    pub fn list(&self) -> Vec<Listed> {
        let own = self.own();
        let listed = |name: String| {
            let asset = self.find(&format!("image-recipes/{name}.toml")).ok().flatten();
            let text = asset.and_then(|asset| String::from_utf8(asset.bytes).ok());
            let table: toml::Table =
                text.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
            let say = |key: &str| {
                let value = table.get("recipe").and_then(|header| header.get(key)?.as_str());
                value.unwrap_or_default().to_owned()
            };
            Listed {
                version: say("version"),
                description: say("description"),
                extends: say("extends"),
                shipped: !own.contains(&name),
                name,
            }
        };
        self.recipes().into_iter().map(listed).collect()
    }

    /// The names of all files that a recipe may name: what is shipped, and what is in the folders of
    /// the project that hostkit knows.
    pub fn files(&self) -> Vec<String> {
        let folders = ["image-recipes", "templates", "systemd"].map(|name| self.project.join(name));
        let own = folders.iter().flat_map(walkdir::WalkDir::new).filter_map(|entry| {
            let path = Utf8PathBuf::from_path_buf(entry.ok()?.into_path()).ok()?;
            path.is_file()
                .then(|| path.strip_prefix(&self.project).map(Utf8Path::to_string).ok())?
        });
        let mut names: Vec<_> = own.chain(Self::shipped("").map(str::to_owned)).collect();
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
