//! The tree that an image is packed from: first the base, then what the plan does to it.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::Places;
use super::growth::watch_growth;
use super::workspace::Workspace;
use crate::digest::sha256;
use crate::error::Fault;
use crate::event::{Events, Unit};
use crate::plan::{Base, Plan};
use crate::sys::{Cmd, Downloads, Host, Root, Runner, Tool};

/// How long a base tree in the cache is good. Without a limit an image would be as old as the
/// first bake on the machine.
const BASE_LIFETIME: Duration = Duration::from_hours(24 * 7);

/// How long building a base may take.
const BASE_TIMEOUT: Duration = Duration::from_mins(30);

/// How long unpacking it may take, on a slow disk.
const UNPACK_TIMEOUT: Duration = Duration::from_mins(15);

/// What every base has beyond the distribution's essential packages: how to fetch over https.
const BASE_PACKAGES: &str = "ca-certificates";

/// TEMPORARY
#[derive(Debug)]
pub(super) struct Built {
    pub host: Host,
    pub foundation: Utf8PathBuf,
    pub foundation_key: String,
    pub packages: std::collections::BTreeMap<String, String>,
    pub epoch: i64,
}

/// TEMPORARY
pub(super) async fn build_all(
    plan: &Plan,
    work: &Workspace,
    places: &Places,
    secrets: &crate::secret::Secrets,
    events: &Events,
) -> anyhow::Result<Built> {
    let host = base(plan, work, places, events).await?;
    let at = plan.steps.iter().position(|s| s.section > crate::plan::Section::Installed);
    let (early, late) = plan.steps.split_at(at.unwrap_or(plan.steps.len()));
    let epoch = 1_790_000_000;
    let foundation = work.path().join("foundation");
    let mut key = sha256(format!("{early:?}"));
    if let Ok(given) = std::env::var("HOSTKIT_FOUNDATION") {
        // reuse
        let _ = std::fs::remove_dir_all(host.root.path());
        let cp = Cmd::new(Tool::Shell).args(["-c".to_owned(), format!("cp -a {given} {foundation}; cp -a {given}.dirty {}", host.root.path())]);
        Runner::Direct.run(&cp).await?;
        key = "given".to_owned();
    } else {
        crate::apply::apply(early, &host, secrets, events).await?;
        let cp = Cmd::new(Tool::Shell).args(["-c".to_owned(), format!("cp -a {} {foundation}", host.root.path())]);
        Runner::Direct.run(&cp).await?;
        super::hygiene::clean(&Root::open(&foundation)?)?;
        if let Ok(keep) = std::env::var("KEEP_FOUNDATION") {
            let cp = Cmd::new(Tool::Shell).args(["-c".to_owned(), format!("cp -a {foundation} {keep}; cp -a {} {keep}.dirty", host.root.path())]);
            Runner::Direct.run(&cp).await?;
        }
    }
    let host = Host { root: Root::open(host.root.path())?, ..host };
    crate::apply::apply(late, &host, secrets, events).await?;
    let packages = crate::step::packages::installed_in(&host.runner).await?;
    super::hygiene::clean(&host.root)?;
    Ok(Built { host, foundation, foundation_key: key, packages, epoch })
}

/// Unpacks the base of `plan` into the work folder, from the cache if it is there.
pub(super) async fn base(
    plan: &Plan,
    work: &Workspace,
    places: &Places,
    events: &Events,
) -> anyhow::Result<Host> {
    let archive = cached(&plan.base, &places.cache);
    let was_there = is_fresh(&archive) && !places.rebuild;
    if !was_there {
        build(&plan.base, &archive, work, events).await?;
    }
    let tree = work.path().join("tree");
    let mut unpacked = unpack(&archive, &tree, events).await;
    if unpacked.is_err() && was_there {
        // A power cut can leave an archive without its end: made again, it is whole.
        events.log("base", "the cached base tree is broken: building it again");
        std::fs::remove_dir_all(&tree).context("removing what was unpacked")?;
        build(&plan.base, &archive, work, events).await?;
        unpacked = unpack(&archive, &tree, events).await;
    }
    unpacked?;
    let downloads = Downloads::open(places.cache.join("downloads"));
    let downloads = downloads.context("making the cache of downloads")?;
    Ok(Host::tree(Root::open(&tree).context("opening the tree")?, downloads))
}

async fn unpack(archive: &Utf8Path, tree: &Utf8Path, events: &Events) -> anyhow::Result<()> {
    std::fs::create_dir(tree).context("making the tree")?;
    let total = std::fs::metadata(archive).map(|meta| meta.len()).ok();
    let cmd = Cmd::new(Tool::Tar)
        .args(["--extract", "--numeric-owner", "--same-permissions"])
        .args(["--xattrs", "--xattrs-include=*"])
        .args(["--directory", tree.as_str(), "--file", archive.as_str()])
        .timeout(UNPACK_TIMEOUT);
    events.progress("base", 0, total, Unit::Bytes);
    Runner::Direct.run(&cmd).await.context("unpacking the base tree").map(drop)
}

fn cached(base: &Base, cache: &Utf8Path) -> Utf8PathBuf {
    let key = sha256(format!("{base:?} {BASE_PACKAGES}"));
    cache.join("base").join(format!("{}-{}.tar", base.suite, &key[..12]))
}

fn is_fresh(archive: &Utf8Path) -> bool {
    let made = std::fs::metadata(archive).and_then(|meta| meta.modified());
    made.is_ok_and(|made| {
        SystemTime::now().duration_since(made).is_ok_and(|age| age < BASE_LIFETIME)
    })
}

/// Builds the base from the distribution's packages, and puts it into the cache when it is whole.
async fn build(
    base: &Base,
    archive: &Utf8Path,
    work: &Workspace,
    events: &Events,
) -> anyhow::Result<()> {
    is_published(base).await?;
    let fresh = work.path().join("base.tar");
    let cmd = Cmd::new(Tool::Mmdebstrap)
        .args(["--variant=minbase", "--mode=root", "--quiet"])
        .arg(format!("--architectures={}", base.arch))
        .arg(format!("--include={BASE_PACKAGES}"))
        .arg("--aptopt=Acquire::Retries \"3\"")
        .args([&base.suite, fresh.as_str()])
        .args(&base.sources)
        .env("TMPDIR", work.path().as_str())
        .timeout(BASE_TIMEOUT);
    let building = Runner::Contained.run(&cmd);
    let built = watch_growth(building, &fresh, None, events, "base").await;
    built.with_context(|| {
        Fault::step(format!("the base `{}:{}` was not built", base.distribution, base.suite))
    })?;
    let written = std::fs::File::open(&fresh).and_then(|file| file.sync_all());
    written.context("writing the base tree")?;
    let folder = super::directory_of(archive);
    std::fs::create_dir_all(folder).context("making the cache of base trees")?;
    std::fs::rename(&fresh, archive).context("keeping the base tree")
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
