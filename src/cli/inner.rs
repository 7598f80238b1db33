//! `hostkit inner …`: parts of hostkit that must be processes of their own. Not for people.

mod upload;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Subcommand;

use crate::boot::inside;
use crate::doctor::efs::inside as efs;
use crate::doctor::recover::inside as recover;
use crate::facts::Facts;
use crate::group::ledger;
use crate::guard::{envoy, pulse};
use crate::image::builder::aboard;
use crate::lease::ground::Ground;
use crate::lease::memory::Memory;
use crate::lease::{clerk, witness};
#[cfg(feature = "sim")]
use crate::sim::relay;
use crate::sys::namespaces;
use crate::{error, ui};

use super::apply;

/// What such a process does.
#[derive(Debug, Subcommand)]
pub enum Inner {
    /// Work on the mounted home: a request on standard input, an answer on standard output.
    Home {
        /// Also where no network file system is mounted, and without the lease. For tests.
        #[arg(long)]
        anywhere: bool,
    },
    /// Work on the lease: a request a line on standard input, an answer a line on standard output.
    Clerk {
        /// Also where no network file system is mounted. For tests.
        #[arg(long)]
        anywhere: bool,
    },
    /// Look at the mounted file system for `hostkit efs check`: a request on standard input, an
    /// answer on standard output.
    Efs {
        /// Also where no network file system is mounted. For tests.
        #[arg(long)]
        anywhere: bool,
    },
    /// Work on a home that is brought back: a request on standard input, an answer on standard output.
    Recover {
        /// Also where no network file system is mounted, and without the lease. For tests.
        #[arg(long)]
        anywhere: bool,
        /// Die at this change, counted from 1. For tests.
        #[arg(long)]
        die_at: Option<u32>,
    },
    /// Count a report of an unhealthy host on the home: a request on standard input, an answer on
    /// standard output.
    Ledger,
    /// Ask AWS about a holder: a question on standard input, an answer on standard output.
    Witness,
    /// Say one thing to AWS for the guard: a question on standard input, an answer on standard output.
    Envoy,
    /// Tell whether file systems answer: a question a line on standard input, an answer a line on
    /// standard output.
    Pulse,
    /// Become a program that dies with its parent.
    Tether {
        /// The parent's process id.
        parent: i32,
        /// The program and its arguments.
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Run a program of this machine in namespaces of its own.
    Contain {
        /// The parent's process id.
        parent: i32,
        /// The program and its arguments.
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// The first process of such a namespace.
    Contained {
        /// The parent's process id.
        parent: i32,
        /// The program and its arguments.
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Run a program inside a tree, in namespaces of its own.
    Enter {
        /// The parent's process id.
        parent: i32,
        /// The tree.
        root: PathBuf,
        /// The program and its arguments.
        #[arg(last = true)]
        argv: Vec<String>,
    },
    /// Upload a disk into an EBS snapshot, and print what it came to.
    Upload(Box<upload::Upload>),
    #[cfg(feature = "sim")]
    /// Pump between standard input and output and a socket.
    Relay {
        /// The socket.
        socket: PathBuf,
    },
    /// Clean the builder that this runs on, the last that is done there.
    Clean {
        /// Where its disks alone are to be seen.
        root: Utf8PathBuf,
        /// The plan that was applied.
        plan: Utf8PathBuf,
    },
    /// Say what is installed on the builder that this runs on.
    Inventory {
        /// The plan that was applied.
        plan: Utf8PathBuf,
        /// The clock of the bake, in seconds since 1970.
        epoch: i64,
    },
    /// The first process inside.
    Inside {
        /// The parent's process id.
        parent: i32,
        /// The tree.
        root: PathBuf,
        /// The program and its arguments.
        #[arg(last = true)]
        argv: Vec<String>,
    },
}

/// Runs in a fresh process without threads.
pub fn run(command: &Inner) -> ExitCode {
    let end = match command {
        Inner::Home { anywhere } => home(ground(*anywhere)),
        Inner::Clerk { anywhere } => Ok(attend(ground(*anywhere))),
        Inner::Efs { anywhere } => Ok(examine(ground(*anywhere))),
        Inner::Recover { anywhere, die_at } => recover(ground(*anywhere), *die_at),
        Inner::Ledger => count(),
        Inner::Witness => testify(),
        Inner::Envoy => speak(),
        Inner::Pulse => {
            feel();
            Ok(0)
        }
        Inner::Tether { parent, argv } => {
            namespaces::tether(*parent, argv).map(|never| match never {})
        }
        Inner::Contain { parent, argv } => namespaces::contain(*parent, argv),
        Inner::Contained { parent, argv } => {
            namespaces::contained(*parent, argv).map(|never| match never {})
        }
        Inner::Enter { parent, root, argv } => namespaces::enter(*parent, root, argv),
        Inner::Inside { parent, root, argv } => {
            namespaces::inside(*parent, root, argv).map(|never| match never {})
        }
        Inner::Clean { root, plan } => clean(root, plan),
        Inner::Inventory { plan, epoch } => inventory(plan, *epoch),
        Inner::Upload(upload) => upload::run(upload),
        #[cfg(feature = "sim")]
        Inner::Relay { socket } => {
            relay::pump(socket);
            Ok(0)
        }
    };
    match end {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            ui::fail(ui::Format::Human, &error);
            ExitCode::from(error::blame(&error).exit_code())
        }
    }
}

fn clean(root: &Utf8Path, plan: &Utf8Path) -> anyhow::Result<u8> {
    let plan = apply::read(plan)?;
    let secrets = apply::secrets(&plan);
    ui::json(&runtime()?.block_on(aboard::clean(&plan, &secrets, root))?);
    Ok(0)
}

fn inventory(plan: &Utf8Path, epoch: i64) -> anyhow::Result<u8> {
    let plan = apply::read(plan)?;
    ui::json(&runtime()?.block_on(aboard::inventory(&plan, epoch))?);
    Ok(0)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("making an event queue")
}

fn home(ground: Ground) -> anyhow::Result<u8> {
    let request: inside::Request =
        serde_json::from_reader(std::io::stdin().lock()).context("reading the request")?;
    // Until this process is gone, hung or not, the home is not released.
    let needs_lease = request.changes_the_home() && ground == Ground::Nfs;
    let writing = if needs_lease {
        memory()?.writing().context("marking that the home is written to")?
    } else {
        None
    };
    if writing.is_none() && needs_lease {
        ui::json(&inside::Answer::Refused {
            why: "this host does not hold the home".to_owned(),
            hint: "`hostkit lease status` tells who does".to_owned(),
        });
        return Ok(0);
    }
    ui::json(&inside::answer(&request, ground));
    Ok(0)
}

/// What this host remembers of its lease.
fn memory() -> anyhow::Result<Memory> {
    let root = Utf8Path::new("/");
    Ok(Memory::new(root, &Facts::read(root)?.boot_id))
}

const fn ground(anywhere: bool) -> Ground {
    if anywhere { Ground::Any } else { Ground::Nfs }
}

fn attend(ground: Ground) -> u8 {
    // The asker went away: there is nobody to tell.
    let _ = clerk::attend(ground, std::io::stdin().lock(), std::io::stdout().lock());
    0
}

fn examine(ground: Ground) -> u8 {
    // The asker went away: there is nobody to tell.
    let _ = efs::attend(ground, std::io::stdin().lock(), std::io::stdout().lock());
    0
}

fn recover(ground: Ground, die_at: Option<u32>) -> anyhow::Result<u8> {
    let request: recover::Request =
        serde_json::from_reader(std::io::stdin().lock()).context("reading the request")?;
    // As with the home: until this process is gone, hung or not, the lease is not released.
    let needs_lease = request.task.changes() && ground == Ground::Nfs;
    let writing = if needs_lease {
        memory()?.writing().context("marking that the home is written to")?
    } else {
        None
    };
    ui::json(&if writing.is_none() && needs_lease {
        recover::Answer::Refused {
            why: "this host does not hold the home any more".to_owned(),
            hint: "`hostkit lease status` tells who does".to_owned(),
        }
    } else {
        recover::answer(&request, ground, &recover::Moments::new(die_at))
    });
    Ok(0)
}

fn count() -> anyhow::Result<u8> {
    let request: ledger::Request =
        serde_json::from_reader(std::io::stdin().lock()).context("reading the request")?;
    ui::json(&ledger::answer(&request, Ground::Nfs));
    Ok(0)
}

fn speak() -> anyhow::Result<u8> {
    let question =
        serde_json::from_reader(std::io::stdin().lock()).context("reading the question")?;
    ui::json(&envoy::answer(&question));
    Ok(0)
}

fn feel() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        ui::json(&pulse::answer(&line, Ground::Nfs));
    }
}

fn testify() -> anyhow::Result<u8> {
    let question =
        serde_json::from_reader(std::io::stdin().lock()).context("reading the question")?;
    ui::json(&witness::answer(&question));
    Ok(0)
}
