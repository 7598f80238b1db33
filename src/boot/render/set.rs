//! The files of configuration as code, as one set: what is checked together is written together.

use std::collections::BTreeSet;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::{STEP, put, template, url, values};
use crate::boot::context::Context;
use crate::boot::credentials;
use crate::boot::jenkins::UNIT;
use crate::error::Fault;
use crate::host::SecurityMode;
use crate::jenkins::casc::{self, File};
use crate::jenkins::{self, token};
use crate::sys::{atomic, systemd};

/// Where Jenkins reads it, below `/run/hostkit`.
pub(in crate::boot) const FOLDER: &str = "jenkins/casc";

/// Where the image has the user's own files.
const OWN: &str = "etc/hostkit/casc.d";

/// What the Jenkins of every image has in its environment.
const ALWAYS: &[&str] = &[
    "CACHE_DIRECTORY",
    "CASC_JENKINS_CONFIG",
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "HOSTKIT_USER",
    "JAVA_OPTS",
    "JENKINS_HOME",
    "JENKINS_PORT",
    "LANG",
    "LOGNAME",
    "PATH",
    "SECRETS",
    "SHELL",
    "USER",
];

/// The files, before anybody has looked at them.
pub(super) struct Set(Vec<File>);

/// Files that Jenkins may be started with.
pub(super) struct Chosen {
    /// The files.
    pub(super) files: Vec<File>,
    /// What is worth a line.
    pub(super) warnings: Vec<String>,
    /// If these are not the files of this image: why.
    pub(super) instead: Option<String>,
}

/// A path in the folder that Jenkins reads.
pub(super) fn path(context: &Context, name: &str) -> Utf8PathBuf {
    context.machine.run(FOLDER).join(name)
}

/// What the image says: the rendered template, and the user's own files.
pub(super) fn assemble(context: &Context, security: SecurityMode) -> Result<Set, Fault> {
    let url = url(context);
    let text = template(context, "jenkins.yaml.tera")?;
    let rendered = jenkins::configuration(&text, &values(context, &url, security))?;
    let mut files = vec![File { name: casc::RENDERED.to_owned(), text: rendered }];
    files.extend(own(&context.machine.path(OWN))?);
    Ok(Set(files))
}

/// The user's own files, by name. Only those that Jenkins would read.
fn own(folder: &Utf8Path) -> Result<Vec<File>, Fault> {
    let unreadable = |path: &Utf8Path, error: &std::io::Error| {
        Fault::environment(format!("{path} cannot be read: {error}"))
            .hint("the files of /etc/hostkit/casc.d are text in UTF-8 that root can read")
    };
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| unreadable(folder, &error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_yaml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("yaml"))
            || path.extension().is_some_and(|it| it.eq_ignore_ascii_case("yml"));
        if !is_yaml || name.starts_with('.') {
            continue;
        }
        if [casc::RENDERED, casc::FLEET].contains(&name) {
            return Err(Fault::recipe(format!("{path} has the name of a file of hostkit's own"))
                .hint("give it another name"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        files.push(File { name: name.to_owned(), text });
    }
    files.sort();
    Ok(files)
}

impl Set {
    /// Those that hostkit has kept.
    pub(super) const fn kept(files: Vec<File>) -> Self {
        Self(files)
    }

    /// The files, if nothing is wrong with them.
    pub(super) fn checked(self, names: &BTreeSet<String>) -> Result<Chosen, Fault> {
        let Self(files) = self;
        let checked = casc::check(&files, names)?;
        Ok(Chosen { files, warnings: checked.warnings, instead: None })
    }
}

/// What a reference may name: the credentials of the unit, and its environment.
pub(super) async fn names(context: &Context) -> BTreeSet<String> {
    let config = context.config();
    let mut names: BTreeSet<_> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    names.extend(config.secrets.keys().cloned());
    names.extend(["agent_key", token::API].map(str::to_owned));
    if config.jenkins.security.mode == Some(SecurityMode::Local) {
        names.insert("admin_password".to_owned());
    }
    // What a drop-in of the user's adds.
    match systemd::show(&context.machine.runner, UNIT, &["Environment"]).await {
        Ok(shown) => {
            let environment = shown.get("Environment").map(String::as_str).unwrap_or_default();
            names.extend(systemd::environment_names(environment));
        }
        Err(error) => context.events.log(STEP, format!("{UNIT} cannot be asked: {error}")),
    }
    names
}

/// The files that Jenkins reads now, but for the agents.
pub(super) fn present(context: &Context) -> anyhow::Result<Vec<File>> {
    let folder = context.machine.run(FOLDER);
    let mut files = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("reading {folder}"))? {
        let entry = entry.with_context(|| format!("reading {folder}"))?;
        let (path, name) = (entry.path(), entry.file_name().to_owned());
        if name != casc::FLEET {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
            // As another host would need it, which has no copies of secrets.
            files.push(File { name, text: credentials::refer_to_credentials(&text) });
        }
    }
    files.sort();
    Ok(files)
}

/// Writes them where Jenkins reads them, and takes away what is no longer one of them. Says whether
/// anything was changed.
pub(super) fn write(context: &Context, files: &[File]) -> anyhow::Result<bool> {
    let folder = context.machine.run(FOLDER);
    for folder in [&context.machine.run("jenkins"), &folder] {
        atomic::make_directory(folder, 0o755).with_context(|| format!("making {folder}"))?;
    }
    let mut changed = false;
    for file in files {
        let text = credentials::refer_to_copies(&context.machine, &file.text);
        changed |= put(&folder.join(&file.name), &text)?;
    }
    let stays = |name: &str| name == casc::FLEET || files.iter().any(|file| file.name == name);
    for entry in folder.read_dir_utf8().with_context(|| format!("reading {folder}"))? {
        let entry = entry.with_context(|| format!("reading {folder}"))?;
        if !stays(entry.file_name()) {
            std::fs::remove_file(entry.path())
                .with_context(|| format!("removing {}", entry.path()))?;
            changed = true;
        }
    }
    Ok(changed)
}
