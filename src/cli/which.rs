//! Which plan is meant: the arguments that `bake`, `plan` and others share, and what they come to.

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;

use crate::digest::sha256_of;
use crate::error::Fault;
use crate::plan::{self, AgentBinary, Inputs, Plan};
use crate::recipe::assets::Assets;
use crate::recipe::given::ENVIRONMENT_PREFIX;
use crate::recipe::platform::{Arch, Target};
use crate::recipe::problem::Source;
use crate::recipe::{self, Given, Recipe};
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
    /// Sets variables from a TOML file; of several, a later one wins
    #[arg(long, value_name = "FILE")]
    var_file: Vec<Utf8PathBuf>,
    /// The processor that the image is for; this machine's if not given
    #[arg(long, value_enum)]
    pub(super) arch: Option<Arch>,
    /// What is made: a bootable disk (if not given), an AMI of it, or a container image
    #[arg(long, value_enum)]
    pub(super) target: Option<Product>,
}

/// What is made in the end. An AMI is a disk that was sent to AWS: recipes see no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Product {
    /// A bootable disk image.
    #[default]
    Disk,
    /// An image on AWS, of such a disk.
    Ami,
    /// A container image, as an OCI layout.
    Oci,
}

impl Product {
    /// What is made of the tree.
    pub const fn target(self) -> Target {
        match self {
            Self::Disk | Self::Ami => Target::Disk,
            Self::Oci => Target::Oci,
        }
    }
}

/// A plan, and what its references to secrets stand for.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The values of the secret variables.
    pub secrets: Secrets,
    /// The secret variables that nobody has set.
    missing: Vec<String>,
}

impl Settings {
    /// What was given for variables. With `stand_in`, what was not given is no error.
    pub fn given(&self, stand_in: bool) -> anyhow::Result<Given> {
        // A variable of the environment that is not text cannot be one of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?.strip_prefix(ENVIRONMENT_PREFIX)?.to_owned();
            Some((name, value.into_string().ok()?))
        });
        let files = self.var_file.iter().map(|path| {
            let text = std::fs::read_to_string(path).with_context(|| {
                Fault::usage(format!("the variable file {path} cannot be read"))
            })?;
            Ok(Source { name: path.to_string(), text })
        });
        Ok(Given {
            flags: self.var.clone(),
            files: files.collect::<anyhow::Result<_>>()?,
            environment: environment.collect(),
            stand_in,
        })
    }

    /// Reads the files that a recipe names, which planning needs.
    pub(super) fn read_files(
        mut inputs: Inputs,
        recipe: &Recipe,
        assets: &Assets,
    ) -> anyhow::Result<Inputs> {
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
}

impl Which {
    /// Reads everything that planning needs, and plans.
    pub fn plan(&self) -> anyhow::Result<Planned> {
        let assets = Assets::new(absolute(Utf8Path::new("."))?);
        let (recipe, read) =
            recipe::read(&self.recipe, &assets, &self.settings.given(false)?).sound()?;
        let arch = self.settings.arch.unwrap_or_default();
        let target = self.product().target();
        let inputs = Inputs { arch, target, agent: self.agent(arch)?, ..Inputs::default() };
        let inputs = Settings::read_files(inputs, &recipe, &assets)?;
        let plan = plan::plan(&recipe, &read.vars, &inputs)?;
        let known: Vec<_> = read.secrets.iter().map(|(name, _)| name).collect();
        let missing = read.vars.secrets().filter(|name| !known.contains(name)).map(str::to_owned);
        Ok(Planned { plan, missing: missing.collect(), secrets: read.secrets })
    }

    /// What is made in the end.
    pub fn product(&self) -> Product {
        self.settings.target.unwrap_or_default()
    }

    /// The hostkit for another processor, if one was given.
    pub fn agent_binary(&self) -> Option<&Utf8Path> {
        self.agent_binary.as_deref()
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

impl Planned {
    /// Itself, if all is there that applying it takes. Without that a plan can only be looked at.
    ///
    /// # Errors
    /// No agent for its processor; a secret that nobody has given.
    pub fn complete(self) -> Result<Self, Fault> {
        let lacks = self.plan.steps.iter().any(|planned| match &planned.step {
            Step::Agent(agent) => agent.sha256.is_empty(),
            _ => false,
        });
        if lacks {
            let arch = self.plan.base.arch;
            let message = format!("an image for {arch} needs a hostkit that was built for {arch}");
            return Err(Fault::recipe(message)
                .hint(format!("build one for {arch} and give it with --agent-binary FILE")));
        }
        if let Some(name) = self.missing.first() {
            let message = format!("the secret variable `{name}` has no value");
            return Err(Fault::recipe(message)
                .hint(format!("give it in a --var-file, or in {ENVIRONMENT_PREFIX}{name}")));
        }
        Ok(self)
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
