//! Which plan is meant: the arguments that `bake`, `plan` and others share, and what they come to.

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::sha256_of;
use crate::error::Fault;
use crate::plan::{self, AgentBinary, Inputs, Plan};
use crate::recipe::assets::Assets;
use crate::recipe::platform::{Arch, Target};
use crate::recipe::{Recipe, Vars, load};
use crate::secret::Secrets;
use crate::step::Step;

/// What says which plan is meant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The name of a recipe, or the path of one that ends in .toml
    pub recipe: String,
    #[command(flatten)]
    settings: Settings,
    /// The hostkit that goes into an image for another processor: a binary built for it
    #[arg(long, value_name = "FILE")]
    agent_binary: Option<Utf8PathBuf>,
}

/// What a recipe is planned with.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Sets a variable of the recipe
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    var: Vec<(String, String)>,
    /// The processor that the image is for; this machine's if not given
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// What is made: a bootable disk, or a container image
    #[arg(long, value_enum, default_value_t)]
    target: Target,
}

/// A plan, and what its references to secrets stand for.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The values of the secret variables.
    pub secrets: Secrets,
}

impl Which {
    /// Reads everything that planning needs, and plans.
    pub fn plan(&self) -> anyhow::Result<Planned> {
        let assets = Assets::new(absolute(Utf8Path::new("."))?);
        let loaded = load(&self.recipe, &assets)?;
        // A variable of the environment that is not text cannot be one of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let vars = Vars::resolve(&loaded.recipe.vars, &self.settings.var, environment)?;
        let recipe = vars.fill(&loaded.recipe)?;
        recipe.check()?;
        let inputs = self.inputs(&recipe, &assets)?;
        let plan = plan::plan(&recipe, &vars, &inputs)?;
        Ok(Planned { plan, secrets: Secrets::default() })
    }

    /// Refuses a plan that lacks the agent for its processor: it can be looked at, not applied.
    pub fn check_agent(&self, plan: &Plan) -> anyhow::Result<()> {
        let lacks = plan.steps.iter().any(|planned| match &planned.step {
            Step::Agent(agent) => agent.sha256.is_empty(),
            _ => false,
        });
        if !lacks {
            return Ok(());
        }
        let arch = plan.base.arch;
        Err(Fault::recipe(format!("an image for {arch} needs a hostkit that was built for {arch}"))
            .hint(format!("build one for {arch} and give it with --agent-binary FILE"))
            .into())
    }

    fn inputs(&self, recipe: &Recipe, assets: &Assets) -> anyhow::Result<Inputs> {
        let arch = self.settings.arch.unwrap_or_default();
        let mut inputs = Inputs {
            arch,
            target: self.settings.target,
            agent: self.agent(arch)?,
            ..Inputs::default()
        };
        for name in plan::named_files(recipe) {
            let asset = assets.find(name);
            let asset = asset.with_context(|| Fault::recipe(format!("{name} cannot be read")))?;
            if let Some(asset) = asset {
                inputs.assets.insert(name.clone(), asset);
            }
        }
        for path in Assets::shipped("templates/") {
            let asset = assets.find(path)?.context("a shipped file is always there")?;
            let name = path.trim_start_matches("templates/").to_owned();
            inputs.boot_templates.insert(name, asset);
        }
        for name in plan::local_files(recipe) {
            let path = assets.on_disk(name);
            let sha256 = sha256_of(&path).with_context(|| {
                Fault::recipe(format!("the package file {name} cannot be read"))
                    .hint("a package is a name, name=version, or a path relative to this folder")
            })?;
            inputs.package_files.insert(name.clone(), (path.into_string(), sha256));
        }
        Ok(inputs)
    }

    /// The binary that goes into an image for `arch`.
    fn agent(&self, arch: Arch) -> anyhow::Result<AgentBinary> {
        let (path, read) = match &self.agent_binary {
            Some(path) => (Some(absolute(path)?.into_string()), path.as_path()),
            None if arch == Arch::HERE => (None, Utf8Path::new("/proc/self/exe")),
            None => return Ok(AgentBinary::default()),
        };
        let sha256 = sha256_of(read)
            .with_context(|| Fault::recipe(format!("the agent binary {read} cannot be read")))?;
        Ok(AgentBinary { sha256, path })
    }
}

/// `path` from the root on.
pub fn absolute(path: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    camino::absolute_utf8(path).with_context(|| format!("finding {path}"))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("wanted NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
