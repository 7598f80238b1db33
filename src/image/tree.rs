//! The tree that an image is packed from: layers upon layers, each from the cache if it is there.
//!
//! A layer is built on a writable one over those below, cleaned of what every run leaves behind,
//! measured, and put into the cache when it is whole. A step that fails leaves no layer, and the
//! next bake carries on from the last that is whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::hygiene::{self, Identities, Terms};
use super::layers::{self, Layer, Part, key};
use super::stamp::{self, Measure};
use super::store::{Choice, Found, Held, Record, Store};
use super::workspace::Workspace;
use super::{Clock, Places, agreement, base, keystore, secrets, shell};
use crate::apply::apply;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::plan::lock::{Image, Resolution};
use crate::plan::{Plan, Section};
use crate::secret::Secrets;
use crate::step::packages::installed_on;
use crate::sys::{Downloads, Host, Overlay, Owner, Root};

/// Where apt reads what it is held to, while packages are chosen.
pub(super) const PREFERENCES: &str = "/etc/apt/preferences.d/00-hostkit-lock";

/// What a tree is built for, from and with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub plan: &'a Plan,
    /// What the plan says of what may be in its image.
    pub terms: &'a Terms,
    /// What the lock has of this image, if it counts.
    pub locked: Option<&'a Image>,
    pub places: &'a Places,
    pub secrets: &'a Secrets,
    pub work: &'a Workspace,
    pub events: &'a Events,
}

/// A finished tree, mounted for as long as this lives.
#[derive(Debug)]
pub(super) struct Built {
    /// The final tree, cleaned: the foundation and everything after it.
    pub host: Host,
    /// The foundation, cleaned: what is slow to make and rarely changes. Read-only.
    pub foundation: Utf8PathBuf,
    /// Names the content of the foundation.
    pub foundation_key: String,
    /// The upper directories of the final tree over the foundation, the lowest first: whatever
    /// differs between the two is in one of them (or hidden by a whiteout there).
    pub late: Vec<Utf8PathBuf>,
    /// The versions of all packages, by name.
    pub packages: BTreeMap<String, String>,
    /// The youngest that a file of the image may be, and the clock of all its programs: seconds
    /// since 1970.
    pub epoch: i64,
    /// What the next bake of this image is locked to.
    pub locked: Image,
    _mounts: [Overlay; 2],
    layers: Vec<Held>,
}

/// A finished tree with a writable layer that is not kept.
#[derive(Debug)]
pub(super) struct ThrowAway {
    /// The tree.
    pub host: Host,
    _overlay: Overlay,
}

impl Built {
    /// The final tree, for whoever may change it and must not.
    pub(super) fn throw_away(&self, work: &Utf8Path) -> anyhow::Result<ThrowAway> {
        let all = self.layers.iter().map(|held| held.tree.as_path());
        let layers: Vec<_> = all.chain(self.late.last().map(Utf8PathBuf::as_path)).collect();
        let downloads = self.host.downloads.clone().context("a tree has a cache of downloads")?;
        lay_over(&layers, work, downloads)
    }

    /// The foundation, for whoever may change it and must not. `work` is a folder that was not used
    /// for that before.
    pub(super) fn throw_away_foundation(&self, work: &Utf8Path) -> anyhow::Result<ThrowAway> {
        // The uppermost of the late ones is no layer of the cache.
        let late = self.late.len() - 1;
        let layers = &self.layers[..self.layers.len() - late];
        let layers: Vec<_> = layers.iter().map(|held| held.tree.as_path()).collect();
        let downloads = self.host.downloads.clone().context("a tree has a cache of downloads")?;
        let mut tree = lay_over(&layers, work, downloads)?;
        tree.host = tree.host.at(self.epoch);
        Ok(tree)
    }
}

/// Lays a writable layer in the folder `work` over `layers`, the lowest first.
pub(super) fn lay_over(
    layers: &[&Utf8Path],
    work: &Utf8Path,
    downloads: Downloads,
) -> anyhow::Result<ThrowAway> {
    let (at, upper) = (work.join("throw-away"), work.join("thrown-away"));
    let scratch = work.join("scratch-throw-away");
    [&at, &upper, &scratch].into_iter().try_for_each(|folder| make_folder(folder))?;
    let overlay = Overlay::writable(&at, layers, &upper, &scratch).with_context(not_here)?;
    let root = Root::open(overlay.path()).context("opening the tree")?;
    Ok(ThrowAway { host: Host::tree(root, downloads), _overlay: overlay })
}

/// Builds the tree of a plan.
pub(super) async fn build(job: &Job<'_>, clock: &mut Clock<'_>) -> anyhow::Result<Built> {
    let mut stack = Stack::new(job)?;
    for layer in layers::layers(job.plan) {
        stack.add(&layer, clock).await?;
    }
    let finishing = stack.finish();
    clock.phase("clean", "cleaning the tree", finishing).await
}

/// Layers so far.
struct Stack<'a> {
    job: &'a Job<'a>,
    store: Store,
    downloads: Downloads,
    /// Known once the base is.
    epoch: Option<i64>,
    /// The key of the uppermost layer.
    key: String,
    held: Vec<Held>,
    /// The key of the foundation, and how many layers it has.
    foundation: (String, usize),
    base: Resolution,
    packages: Resolution,
    fetched: Resolution,
}

impl<'a> Stack<'a> {
    fn new(job: &'a Job<'a>) -> anyhow::Result<Self> {
        let downloads = Downloads::open(job.places.cache.join("downloads"));
        Ok(Self {
            job,
            store: Store::new(&job.places.cache),
            downloads: downloads.context("making the cache of downloads")?,
            epoch: job.locked.map(|locked| locked.epoch).or(job.places.epoch),
            key: String::new(),
            held: Vec::new(),
            foundation: (String::new(), 0),
            base: Resolution::default(),
            packages: Resolution::default(),
            fetched: Resolution::default(),
        })
    }

    /// Puts a layer on top: from the cache if it is there, else built and kept.
    async fn add(&mut self, layer: &Layer, clock: &mut Clock<'_>) -> anyhow::Result<()> {
        clock.mark(match layer.part {
            Part::Base => "base",
            Part::Section(_) => "steps",
        });
        let seed = layer.seed(self.job.plan, &self.key);
        let choice = self.choice(layer, &seed);
        let first = self.epoch.or(choice.as_ref().map(|choice| choice.epoch));
        let epoch = *self.epoch.insert(first.unwrap_or_else(agreement::today));
        let chosen = choice.map(|choice| choice.packages);
        if chosen.is_some() || !layer.resolves() {
            let key = key(&seed, epoch, chosen.as_ref());
            if let Some(held) = self.cached(layer, &key)? {
                self.push(layer, key, held);
                return Ok(());
            }
        }
        let building = self.build(layer, epoch, chosen.as_ref());
        let (fresh, chosen) = match layer.part {
            Part::Base => clock.phase("base", "building the base tree", building).await?,
            Part::Section(_) => building.await?,
        };
        if self.job.places.frozen && chosen.as_ref() != layer.locked(self.job.locked) {
            return Err(agreement::moved(layer.part).into());
        }
        let found = secrets::search_tree(&fresh.join("tree"), self.job.secrets)?;
        secrets::refuse(&format!("the layer `{}`", layer.part), &found)?;
        let key = key(&seed, epoch, chosen.as_ref());
        if let Some(packages) = chosen.clone().filter(|_| layer.resolves()) {
            self.store.resolve(&seed, &Choice { epoch, packages })?;
        }
        let held = self.keep(layer, &key, &fresh, chosen).await?;
        self.push(layer, key, held);
        Ok(())
    }

    fn push(&mut self, layer: &Layer, key: String, held: Held) {
        let chosen = || held.record.packages.clone().unwrap_or_default();
        match layer.part {
            Part::Base => self.base = chosen(),
            Part::Section(Section::Packages) => self.packages = chosen(),
            Part::Section(Section::Fetches) => self.fetched = chosen(),
            Part::Section(_) => {}
        }
        if layer.part.is_foundation() {
            self.foundation = (key.clone(), self.held.len() + 1);
        }
        self.key = key;
        self.held.push(held);
    }

    /// The packages that a layer is known to come to, before it is built: what the lock says, else
    /// the newest that the cache knows, unless newer ones are wanted.
    fn choice(&self, layer: &Layer, seed: &str) -> Option<Choice> {
        let places = self.job.places;
        match self.job.locked {
            Some(entry) => {
                let packages = layer.locked(Some(entry))?.clone();
                Some(Choice { epoch: entry.epoch, packages })
            }
            None if places.update_lock || places.no_cache || !layer.resolves() => None,
            None => self.store.resolution(seed),
        }
    }

    /// The layer from the cache, if it is there and whole.
    fn cached(&self, layer: &Layer, key: &str) -> anyhow::Result<Option<Held>> {
        let (started, part) = (Instant::now(), layer.part.to_string());
        let below = self.held.last().map_or("", |held| &held.record.digest);
        let found = if self.job.places.no_cache {
            Found::Broken(String::new())
        } else {
            self.store.find(key, below)?
        };
        match found {
            Found::Whole(held) => {
                let id = format!("layer:{part}");
                self.job.events.started(&id, layer.title());
                self.job.events.finished(&id, Outcome::Unchanged, started.elapsed());
                Ok(Some(*held))
            }
            Found::Broken(why) => {
                if !why.is_empty() {
                    let line =
                        format!("the cached layer `{part}` is broken ({why}): building it again");
                    self.job.events.log("cache", line);
                }
                self.store.discard(key, &self.job.work.path().join(format!("grave-{part}")));
                Ok(None)
            }
            Found::Nothing => Ok(None),
        }
    }

    /// Builds a layer in the work folder, and says which packages were chosen for it.
    async fn build(
        &self,
        layer: &Layer,
        epoch: i64,
        known: Option<&Resolution>,
    ) -> anyhow::Result<(Utf8PathBuf, Option<Resolution>)> {
        let fresh = self.job.work.path().join(format!("layer-{}", layer.part));
        let tree = fresh.join("tree");
        make_folder(&tree)?;
        let locked = layer.locked(self.job.locked);
        let chosen = match layer.part {
            Part::Base => {
                let packages = (locked, known);
                let building = base::build(self.job, packages, (&tree, epoch), &self.downloads);
                let chosen = building.await?;
                clean(
                    &Root::open(&tree).context("opening the base tree")?,
                    epoch,
                    &Terms::default(),
                )?;
                Some(chosen)
            }
            Part::Section(_) => {
                let chosen = Arc::new(Mutex::new(Resolution::default()));
                let witness = agreement::witness(locked.cloned(), Arc::clone(&chosen));
                let site = self.open(&layer.part.to_string(), &tree, epoch)?;
                let host = site.host(self.downloads.clone().watched_by(witness))?.at(epoch);
                self.apply(layer, &host, locked).await?;
                if layer.part.is_foundation() {
                    clean(&host.root, epoch, &Terms::default())?;
                }
                let chosen = chosen.lock().expect("never poisoned").clone();
                layer.resolves().then_some(chosen)
            }
        };
        Ok((fresh, chosen))
    }

    /// Does what the steps of a layer say, with apt held to the lock.
    async fn apply(
        &self,
        layer: &Layer,
        host: &Host,
        locked: Option<&Resolution>,
    ) -> anyhow::Result<()> {
        let Job { secrets, events, .. } = *self.job;
        if layer.chooses_packages() {
            // Without a lock too: the layer is the same when it is built with one.
            let text = locked.map(Resolution::preferences).unwrap_or_default();
            host.root.make_dir("/etc/apt/preferences.d", 0o755, Owner::ROOT)?;
            host.root.write(PREFERENCES, text.as_bytes(), 0o644, Owner::ROOT)?;
        }
        let applied = apply(&layer.steps, host, secrets, events).await;
        if applied.is_err() && self.job.places.shell_on_error {
            shell::after_failure(&host.runner, events).await;
        }
        applied?;
        host.root.remove(PREFERENCES)?;
        Ok(())
    }

    /// Measures a finished layer and puts it into the cache.
    async fn keep(
        &self,
        layer: &Layer,
        key: &str,
        fresh: &Utf8Path,
        packages: Option<Resolution>,
    ) -> anyhow::Result<Held> {
        let epoch = self.epoch.unwrap_or_default();
        let tree = fresh.join("tree");
        let measuring = tokio::task::spawn_blocking(move || stamp::measure(&tree, epoch));
        let Measure { digest, stamp, bytes } = measuring.await?.context("measuring a layer")?;
        let below = self.held.last().map(|held| held.record.digest.clone()).unwrap_or_default();
        let (part, recipe) = (layer.part.to_string(), self.job.plan.recipe.clone());
        let record = Record { part, recipe, below, digest, epoch, stamp, bytes, packages };
        self.store.keep(key, fresh, record)
    }

    /// Lays a writable layer over those so far.
    fn open(&self, name: &str, upper: &Utf8Path, epoch: i64) -> anyhow::Result<Site> {
        let work = self.job.work.path();
        let (at, scratch) =
            (work.join(format!("tree-{name}")), work.join(format!("scratch-{name}")));
        make_folder(&at)?;
        make_folder(&scratch)?;
        let layers: Vec<_> = self.held.iter().map(|held| held.tree.as_path()).collect();
        let overlay = Overlay::writable(&at, &layers, upper, &scratch).with_context(not_here)?;
        Ok(Site { overlay, epoch })
    }

    /// The layers that hold no packages: what the recipe itself put.
    fn ours(&self) -> impl Iterator<Item = Utf8PathBuf> {
        let packages = [Part::Base, Part::Section(Section::Packages)].map(|part| part.to_string());
        let ours = self.held.iter().filter(move |held| !packages.contains(&held.record.part));
        ours.map(|held| held.tree.clone())
    }

    /// Mounts the foundation and the final tree, and cleans that.
    async fn finish(self) -> anyhow::Result<Built> {
        let Self { foundation: (foundation_key, count), .. } = &self;
        let epoch = self.epoch.unwrap_or_default();
        let at = self.job.work.path().join("foundation");
        make_folder(&at)?;
        let layers: Vec<_> = self.held[..*count].iter().map(|held| held.tree.as_path()).collect();
        // The kernel wants two at least, and a recipe may add nothing to its base.
        let empty = self.job.work.path().join("empty");
        make_folder(&empty)?;
        let layers: Vec<_> = layers.into_iter().chain([empty.as_path()]).collect();
        let foundation = Overlay::read_only(&at, &layers).with_context(not_here)?;

        let upper = self.job.work.path().join("upper");
        make_folder(&upper)?;
        let last = self.open("final", &upper, epoch)?;
        let host = last.host(self.downloads.clone())?;
        // On a clean foundation: an identity that is there now was put by what came after it.
        let terms = self.job.terms.clone().made(Identities::default()).ours(self.ours());
        clean(&host.root, epoch, &terms)?;
        let packages = installed_on(&host).await?;
        // The lowest last: what others stand on is the last to go.
        self.held.iter().rev().for_each(Held::touch);
        let late = self.held[*count..].iter().map(|held| held.tree.clone());
        Ok(Built {
            host,
            foundation: at,
            foundation_key: foundation_key.clone(),
            late: late.chain([upper]).collect(),
            packages,
            epoch,
            locked: Image::new(self.job.plan, epoch, self.base, self.packages)
                .fetched(self.fetched),
            _mounts: [last.overlay, foundation],
            layers: self.held,
        })
    }
}

/// A writable layer over others.
struct Site {
    overlay: Overlay,
    epoch: i64,
}

impl Site {
    fn host(&self, downloads: Downloads) -> anyhow::Result<Host> {
        let root = Root::open(self.overlay.path()).context("opening the tree")?;
        Ok(Host::tree(root, downloads).at(self.epoch))
    }
}

impl Layer {
    fn title(&self) -> String {
        match self.steps.len() {
            0 => format!("{} from the cache", self.part),
            1 => format!("{} from the cache (1 step)", self.part),
            steps => format!("{} from the cache ({steps} steps)", self.part),
        }
    }
}

/// Takes away what must not be in an image, and what would be another in every bake. Each layer of
/// the foundation is cleaned before it is kept, so that the foundation is clean by itself.
fn clean(root: &Root, epoch: i64, terms: &Terms) -> anyhow::Result<()> {
    hygiene::clean(root, terms)?;
    keystore::settle(root, epoch)
}

/// A folder as the root of a tree is: the upper one lends its owner and mode to what is mounted.
fn make_folder(path: &Utf8Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let made = std::fs::create_dir_all(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)));
    made.context("making a folder for a layer")
}

fn not_here() -> Fault {
    Fault::environment("trees cannot be laid over each other in the cache")
        .hint("it must be on a local file system such as ext4 or xfs: name another with --cache")
}
