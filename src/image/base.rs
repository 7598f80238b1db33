//! The lowest layer of a tree: a distribution built from its packages by mmdebstrap.
//!
//! Packages come from the cache of downloads where they are known by digest; which versions, the
//! lock says if there is one.

use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::agreement;
use super::layers::BASE_PACKAGES;
use super::tree::{self, Job};
use crate::error::Fault;
use crate::plan::lock::{self, Resolution};
use crate::plan::{Base, Os};
use crate::sys::cmd::quote;
use crate::sys::{Archive, Cmd, Downloads, Runner, Tool};

/// How long building a base may take.
const TIMEOUT: Duration = Duration::from_mins(30);

/// The keys of Ubuntu, which a Debian has only if somebody installs them.
const UBUNTU_KEYS: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// What one build brings into mmdebstrap and takes out again.
struct Desk {
    /// Package files: those that are known go in, all come out.
    archives: Utf8PathBuf,
    /// The preferences that hold apt to the lock.
    preferences: Utf8PathBuf,
    /// What apt says of all packages that are in.
    list: Utf8PathBuf,
}

/// Builds the base of a plan as the folder `tree`, and says which packages are in it. `known` are
/// packages that it may turn out to need; those of `locked` it must have.
pub(super) async fn build(
    job: &Job<'_>,
    (locked, known): (Option<&Resolution>, Option<&Resolution>),
    (tree, epoch): (&Utf8Path, i64),
    downloads: &Downloads,
) -> anyhow::Result<Resolution> {
    let base = &job.plan.base;
    can_be_built(base)?;
    is_published(base).await?;
    let desk = Desk::lay(job.work.path(), locked, known, downloads)?;
    let cmd = Cmd::new(Tool::Mmdebstrap)
        .args(["--variant=minbase", "--mode=root", "--format=directory"])
        .args(["--skip=download/empty", "--skip=essential/unlink"])
        .arg(format!("--architectures={}", base.arch))
        .arg(format!("--include={BASE_PACKAGES}"))
        .arg("--aptopt=Acquire::Retries \"3\"")
        .arg(format!("--setup-hook={}", desk.setup()))
        .arg(format!("--customize-hook={}", desk.customize()))
        .args([base.suite.as_str(), tree.as_str()])
        .args(&base.sources)
        .env("TMPDIR", job.work.path().as_str())
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .timeout(TIMEOUT);
    let show = |line: &str| {
        if let Some(doing) = line.strip_prefix("I: ").filter(|doing| !doing.contains("hook")) {
            job.events.log("base", doing);
        }
    };
    Runner::Contained.run_with(&cmd, show).await.with_context(|| {
        Fault::step(format!("the base `{}:{}` was not built", base.distribution, base.suite))
    })?;
    let chosen = agreement::resolution(&desk.clear(downloads)?);
    agreement::agree(locked, &chosen)?;
    match known.and_then(|known| {
        known.conflicts(&chosen).into_iter().find(|conflict| is_replaced(conflict))
    }) {
        None => Ok(chosen),
        // apt takes a file that is there by its name and size.
        Some(conflict) => Err(Fault::step(format!("a package was replaced in place: {conflict}"))
            .hint("bake with --no-cache, and tell those who run the mirror")
            .into()),
    }
}

/// The same version with other bytes.
fn is_replaced(conflict: &str) -> bool {
    conflict.ends_with(lock::OTHER_DIGEST)
}

impl Desk {
    fn lay(
        work: &Utf8Path,
        locked: Option<&Resolution>,
        known: Option<&Resolution>,
        downloads: &Downloads,
    ) -> anyhow::Result<Self> {
        let folder = work.join("base-desk");
        let desk = Self {
            archives: folder.join("archives"),
            preferences: folder.join("preferences"),
            list: folder.join("list"),
        };
        std::fs::create_dir_all(&desk.archives).context("making a folder for packages")?;
        let preferences = locked.map(Resolution::preferences).unwrap_or_default();
        std::fs::write(&desk.preferences, preferences).context("writing apt's preferences")?;
        for (name, pin) in locked.or(known).into_iter().flat_map(|all| &all.0) {
            let archive = Archive::of(name, &pin.version, &pin.arch, &pin.sha256);
            if let Some(file) = downloads.find(&archive.digest) {
                std::fs::copy(file, desk.archives.join(&archive.file))
                    .context("using a downloaded package")?;
            }
        }
        Ok(desk)
    }

    /// Runs before apt does anything; `$1` is the tree.
    fn setup(&self) -> String {
        format!(
            "set -e; mkdir -p \"$1/var/cache/apt/archives\" \"$1/etc/apt/preferences.d\"; \
             cp {} \"$1{}\"; find {} -name '*.deb' -exec cp -t \"$1/var/cache/apt/archives\" {{}} +",
            quote(self.preferences.as_str()),
            tree::PREFERENCES,
            quote(self.archives.as_str()),
        )
    }

    /// Runs when everything is installed. The list is made as if nothing had been fetched, because
    /// apt leaves out what it has.
    fn customize(&self) -> String {
        let list = "dpkg-query -W -f '${binary:Package}=${Version}\\n' | \
                    xargs apt-get -qq --print-uris --reinstall \
                    -o Acquire::ForceHash=SHA256 -o Dir::Cache::Archives=/run install";
        format!(
            "set -e; rm \"$1{}\"; chroot \"$1\" sh -c {} > {}; \
             find \"$1/var/cache/apt/archives\" -name '*.deb' -exec mv -t {} {{}} +",
            tree::PREFERENCES,
            quote(list),
            quote(self.list.as_str()),
            quote(self.archives.as_str()),
        )
    }

    /// Keeps the packages that apt has verified, and says which they are.
    fn clear(&self, downloads: &Downloads) -> anyhow::Result<Vec<Archive>> {
        let list = std::fs::read_to_string(&self.list).context("reading apt's list")?;
        let archives: Vec<_> = list.lines().filter_map(Archive::parse).collect();
        for archive in &archives {
            if downloads.find(&archive.digest).is_none() {
                downloads.keep(&archive.digest, &self.archives.join(&archive.file));
            }
        }
        std::fs::remove_dir_all(&self.archives).context("removing packages")?;
        Ok(archives)
    }
}

/// What can be built on this machine at all.
fn can_be_built(base: &Base) -> anyhow::Result<()> {
    if base.distribution == Os::Amazon {
        return Err(Fault::environment("Amazon Linux comes as an AMI, and is built upon in AWS")
            .hint("a bake on this machine starts from `debian:SUITE` or `ubuntu:SUITE`")
            .into());
    }
    if base.distribution == Os::Ubuntu && !Utf8Path::new(UBUNTU_KEYS).exists() {
        return Err(Fault::environment("the keys of Ubuntu's archive are not on this machine")
            .hint("apt-get install ubuntu-keyring")
            .into());
    }
    Ok(())
}

/// A suite that does not exist is the recipe's fault; a mirror that does not answer is not.
async fn is_published(base: &Base) -> anyhow::Result<()> {
    let release = format!("{}/dists/{}/InRelease", base.mirror, base.suite);
    let cmd = Cmd::new(Tool::Curl)
        .args(["--silent", "--show-error", "--location", "--head"])
        .args(["--connect-timeout", "20", "--retry", "2", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--", &release]);
    let problem = match Runner::Direct.run(&cmd).await {
        Ok(output) => match output.text().as_str() {
            // 000 is what a `file:` URL has for a status.
            "200" | "000" => return Ok(()),
            "404" => {
                let Base { distribution, suite, mirror, .. } = base;
                let what = format!("there is no base `{distribution}:{suite}` at {mirror}");
                let hint = "the current release of Debian is `debian:trixie`";
                return Err(Fault::recipe(what).hint(hint).into());
            }
            status => anyhow::anyhow!("{release} gave HTTP {status}"),
        },
        Err(error) => error.into(),
    };
    Err(problem.context(
        Fault::environment(format!("the mirror {} does not answer", base.mirror))
            .hint("check the network, or name another with `mirror = …` in [base]"),
    ))
}
