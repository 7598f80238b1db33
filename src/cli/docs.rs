//! `hostkit docs`: what is generated from the types, so that it is always true.

use std::process::ExitCode;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use clap::{CommandFactory as _, Subcommand, ValueEnum};
use clap_complete::Shell;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, schema_for};

use super::{Cli, reference, status, upgrade};
use crate::boot::{analyze, history};
use crate::doctor::efs;
use crate::error::Fault;
use crate::host::HostConfig;
use crate::lease::status::Status;
use crate::recipe::Recipe;
use crate::ui;

/// Writes what is generated: schemas, the reference, man pages, shell completions.
#[derive(Debug, Subcommand)]
pub enum Docs {
    /// The JSON Schema of recipes, of host.toml, or of what a command says
    Schema {
        /// Whose schema
        #[arg(value_enum, default_value_t)]
        of: Of,
    },
    /// The reference of all sections and keys, in Markdown
    Reference,
    /// The checks of `hostkit efs check`, in Markdown: a part of docs/efs.md
    Checks,
    /// Man pages, one for each command
    Man {
        /// The folder that they go to; it is made if it is not there
        folder: Utf8PathBuf,
    },
    /// Completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What has a schema.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Of {
    /// Recipes
    #[default]
    Recipe,
    /// host.toml and user-data
    Host,
    /// `hostkit lease status --format json`
    Lease,
    /// `hostkit status --format json`; without `live` it is a record of a boot, and `report.json`
    Status,
    /// `hostkit analyze --format json`
    Analyze,
    /// A line of `hostkit history --format json`
    History,
    /// `hostkit efs check --format json`
    EfsCheck,
    /// A line of `hostkit upgrade --format json`, and of `hostkit rollback`
    Upgrade,
}

/// `hostkit docs`.
pub fn run(command: Docs) -> anyhow::Result<ExitCode> {
    match command {
        Docs::Schema { of: Of::Recipe } => ui::text(&recipe_schema()),
        Docs::Schema { of: Of::Host } => ui::text(&pretty(&schema_for!(HostConfig))),
        Docs::Schema { of: Of::Lease } => ui::text(&pretty(&schema_for!(Status))),
        Docs::Schema { of: Of::Status } => ui::text(&pretty(&schema_for!(status::Whole))),
        Docs::Schema { of: Of::Analyze } => ui::text(&pretty(&schema_for!(analyze::Analysis))),
        Docs::Schema { of: Of::History } => ui::text(&pretty(&schema_for!(history::Entry))),
        Docs::Schema { of: Of::EfsCheck } => ui::text(&pretty(&schema_for!(efs::report::Report))),
        Docs::Checks => ui::text(&efs::explain::page()),
        Docs::Schema { of: Of::Upgrade } => ui::text(&pretty(&said::<upgrade::Said<'_>>())),
        Docs::Reference => ui::text(&reference::page()),
        Docs::Man { folder } => man(&folder)?,
        Docs::Completions { shell } => ui::text(&completions(shell)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The schema of recipes, as text. A number or a boolean may be given as a variable.
pub(super) fn recipe_schema() -> String {
    let mut schema = schema_for!(Recipe);
    RecursiveTransform(or_variable).transform(&mut schema);
    pretty(&schema)
}

fn or_variable(schema: &mut Schema) {
    let single = schema.get("type").and_then(|kind| kind.as_str()).map(str::to_owned);
    if let Some(kind @ ("integer" | "boolean")) = single.as_deref() {
        schema.insert("type".to_owned(), serde_json::json!([kind, "string"]));
        schema.insert("pattern".to_owned(), "^\\s*\\{\\{.*\\}\\}\\s*$".into());
    }
}

/// The schema of what is only said, and never read.
fn said<T: JsonSchema>() -> Schema {
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>()
}

fn pretty(schema: &Schema) -> String {
    serde_json::to_string_pretty(schema).expect("a schema is plain data") + "\n"
}

fn man(folder: &Utf8PathBuf) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| Fault::environment(format!("man pages cannot be written to {folder}")))
}

fn completions(shell: Shell) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hostkit", &mut bytes);
    String::from_utf8(bytes).context("completions are text")
}
