//! `hostkit keys`: the key pair of controllers and agents, from outside and on a host.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::aws::Aws;
use super::table::table;
use crate::aws::agents;
use crate::aws::operator::fault;
use crate::boot::{Machine, refresh};
use crate::error::Fault;
use crate::host::Keys as Defaults;
use crate::keys::generate::{self, Place};
use crate::keys::make::Kind;
use crate::keys::rotate::{self, Rotation};
use crate::keys::status::{self, Accepts, Question, Stored};
use crate::ui::{self, Format};

/// The verbs of `hostkit keys`.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key pair and upload both halves
    ///
    /// Of the controllers, which log in on build agents with it, or with --pool the host key that all
    /// agents of a pool have. What is there is never overwritten.
    Generate(Generate),
    /// Show which keys there are, and which of them hosts let in
    ///
    /// Hosts are asked by SSH, without logging in: run it where they can be reached, as on the
    /// controller. Ends with 5 if something is wrong.
    Status(Status),
    /// Exchange the key pair of the controllers while logins go on
    ///
    /// Adds the new public key, waits until every agent lets it in, replaces the private key, waits
    /// until every controller uses it, and removes the old one. It can be stopped at any time: the
    /// same command carries on. Without --yes it says what it would do.
    Rotate(Rotate),
    /// Read the keys of this host again: what hostkit-keys.timer runs
    Refresh,
}

/// Which pair.
#[derive(Debug, Args)]
struct Pair {
    /// The parameter with the private half
    #[arg(long, value_name = "NAME", default_value_t = Defaults::default().private)]
    private: String,
    /// The parameter with the public keys; by default that of --private with `.pub`
    #[arg(long, value_name = "NAME")]
    public: Option<String>,
}

impl Pair {
    fn place(&self) -> Place {
        let public = self.public.clone().unwrap_or_else(|| crate::keys::public_of(&self.private));
        Place { private: self.private.clone(), public, pool: None }
    }
}

/// `hostkit keys generate`
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pair: Pair,
    /// Make the host key of this pool of build agents instead
    #[arg(long, value_name = "POOL", value_parser = pool_name, conflicts_with_all = ["private", "public"])]
    pool: Option<String>,
    /// What kind of key
    #[arg(long = "type", value_enum, value_name = "KIND", default_value_t)]
    #[arg(hide_possible_values = false)]
    kind: Kind,
    /// The key of KMS that encrypts the private half; the account's own if not given
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    #[command(flatten)]
    aws: Aws,
}

/// `hostkit keys status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pair: Pair,
    /// Ask all running instances that have the tag `hostkit:pool` with this value
    #[arg(long, value_name = "POOL", value_parser = pool_name)]
    pool: Option<String>,
    /// Ask this host; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Whom the hosts let in
    #[arg(long, value_name = "NAME", default_value = "jenkins")]
    user: String,
    /// Where their SSH servers listen
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    port: u16,
    #[command(flatten)]
    aws: Aws,
}

/// `hostkit keys rotate`
#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    pair: Pair,
    /// What kind the new key is of
    #[arg(long = "type", value_enum, value_name = "KIND", default_value_t)]
    kind: Kind,
    /// How often hosts read their keys again: `keys.refresh` of their host.toml
    #[arg(long, value_name = "SECONDS", default_value_t = Defaults::default().refresh)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=86400))]
    refresh: u32,
    /// Say what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// Do it
    #[arg(long, conflicts_with = "plan")]
    yes: bool,
    #[command(flatten)]
    aws: Aws,
}

#[derive(Serialize)]
struct Line<T: Serialize> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

fn json<T: Serialize>(content: T) {
    ui::json(&Line { version: 1, content });
}

/// Runs a verb.
pub async fn run(verb: Keys, format: Format) -> anyhow::Result<ExitCode> {
    match verb {
        Keys::Generate(args) => generate(&args, format).await,
        Keys::Status(args) => status(&args, format).await,
        Keys::Rotate(args) => rotate(&args, format).await,
        Keys::Refresh => read_again(format).await,
    }
}

async fn generate(args: &Generate, format: Format) -> anyhow::Result<ExitCode> {
    let place = args.pool.as_deref().map_or_else(|| args.pair.place(), Place::of_pool);
    if place.pool.is_some() && args.kind != Kind::Ed25519 {
        return Err(Fault::usage("a host key is always of the kind ed25519").into());
    }
    let config = args.aws.config().await?;
    let made = generate::generate(&config, &place, args.kind, args.kms_key.as_deref()).await?;
    match format {
        Format::Json => json(&made),
        Format::Human => {
            let what =
                if made.completed { "was there, and has its public half now" } else { "made" };
            ui::text(&format!("{} {what}\n{}\n{}", made.fingerprint, made.private, made.public));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: &Status, format: Format) -> anyhow::Result<ExitCode> {
    let config = args.aws.config().await?;
    let stored = status::stored(&config, &args.pair.place()).await?;
    let mut hosts = Vec::new();
    for host in &args.hosts {
        hosts.push((host.clone(), address(host, args.port)?));
    }
    let mut host_key = None;
    if let Some(pool) = &args.pool {
        host_key = status::host_key(&config, pool).await?;
        let found = agents::tagged(&config, &[pool]).await.map_err(|it| fault(&it))?;
        let named = |it: agents::Found| Some((it.id, SocketAddr::from((it.address?, args.port))));
        hosts.extend(found.into_iter().filter_map(named));
    }
    let keys = stored.keys.clone();
    let question = Question { hosts, user: args.user.clone(), keys, host_key };
    let answers = status::hosts(&question).await?;
    show(&stored, &answers, format);
    let refuses = |answer: &Accepts| {
        let used = stored.private.as_ref();
        answer.problem.is_some()
            || answer.is_pools == Some(false)
            || used.is_some_and(|used| !answer.keys.contains(used))
    };
    let well = stored.problems.is_empty() && !answers.iter().any(refuses);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(5) })
}

fn address(host: &str, port: u16) -> Result<SocketAddr, Fault> {
    let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| Fault::environment(format!("the name `{host}` stands for no address")))
}

fn show(stored: &Stored, answers: &[Accepts], format: Format) {
    if format == Format::Json {
        json(stored);
        answers.iter().for_each(json);
        return;
    }
    let mut rows = Vec::new();
    for key in &stored.public {
        let role = if key.in_use {
            "in use"
        } else if stored.next.as_ref() == Some(&key.fingerprint) {
            "follows"
        } else {
            "let in"
        };
        rows.push([key.fingerprint.clone(), role.to_owned(), key.comment.clone()]);
    }
    ui::text(&table(["KEY", "", "COMMENT"], &rows));
    if !answers.is_empty() {
        ui::text(&format!("\n{}", table(["HOST", "HOST KEY", "LETS IN"], &told(stored, answers))));
    }
    stored.problems.iter().for_each(|problem| ui::note(problem));
}

fn told(stored: &Stored, answers: &[Accepts]) -> Vec<[String; 3]> {
    let row = |answer: &Accepts| {
        let shown = answer.host_key.clone().unwrap_or_default();
        let host_key = match answer.is_pools {
            Some(true) => "the pool's".to_owned(),
            Some(false) => format!("NOT the pool's: {shown}"),
            None => shown,
        };
        let keys = match (&answer.problem, answer.keys.as_slice()) {
            (Some(problem), _) => problem.clone(),
            (None, []) => "none of these keys".to_owned(),
            (None, keys) if keys.len() == stored.public.len() => "all".to_owned(),
            (None, keys) => keys.join(" "),
        };
        [answer.host.clone(), host_key, keys]
    };
    answers.iter().map(row).collect()
}

async fn rotate(args: &Rotate, format: Format) -> anyhow::Result<ExitCode> {
    let config = args.aws.config().await?;
    let refresh = Duration::from_secs(u64::from(args.refresh));
    let rotation = Rotation { place: args.pair.place(), kind: args.kind, refresh };
    if !args.yes {
        let steps = rotate::plan(&config, &rotation).await?;
        match format {
            Format::Json => json(serde_json::json!({ "steps": steps })),
            Format::Human => {
                ui::text(&steps.join("\n"));
                ui::note("nothing was done: --yes does it");
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (events, printer) = ui::start(format);
    let end = tokio::select! {
        end = rotate::rotate(&config, &rotation, &events) => end,
        () = super::stop_signal() => Err(Fault::interrupted()
            .hint("nothing is lost: the same command carries on").into()),
    };
    drop(events);
    printer.finish().await;
    let used = end?;
    match format {
        Format::Json => json(serde_json::json!({ "in_use": used })),
        Format::Human => ui::text(&format!("in use: {used}")),
    }
    Ok(ExitCode::SUCCESS)
}

async fn read_again(format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can read the keys of this host")
            .hint("systemctl start hostkit-keys")
            .into());
    }
    let (events, printer) = match format {
        Format::Human => ui::lines(),
        Format::Json => ui::start(format),
    };
    let end = refresh::refresh(&Machine::default(), &events).await;
    drop(events);
    printer.finish().await;
    end.map(|_news| ExitCode::SUCCESS)
}

fn pool_name(text: &str) -> Result<String, String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let good = (1..=63).contains(&text.len()) && text.chars().all(part);
    if good && !text.starts_with(['-', '_']) {
        Ok(text.to_owned())
    } else {
        Err("wanted are 1 to 63 letters, digits, `-` and `_`, the first a letter or a digit".into())
    }
}
