//! One look at a file system, from whoever asks: what is asked about, with what it is looked at, and
//! the report.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::engine::{self, Done};
use super::report::Report;
use super::scene::{Asked, Here, Scene};
use super::table::{CHECKS, Id, Observed};
use crate::aws::imds::Imds;
use crate::aws::{self, operator};
use crate::doctor::{Gap, Look};
use crate::error::Fault;
use crate::event::Events;
use crate::facts::Identity;
use crate::host::{self, Efs, HostConfig, Layer};
use crate::jenkins::Version;
use crate::lease::ground::Ground;
use crate::sys::Runner;

/// How long a call of AWS may take on a host: what waits for it must still end in time.
const CALL: Duration = Duration::from_secs(3);

/// The same for somebody far away.
const FAR_CALL: Duration = Duration::from_millis(5500);

/// How long the metadata service may be silent.
const METADATA: Duration = Duration::from_secs(2);

/// The resolver of every VPC.
const RESOLVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)), 53);

/// What one looks at, and with what.
#[derive(Debug)]
pub struct Visit {
    /// What is asked about.
    pub asked: Asked,
    root: Utf8PathBuf,
    aws: Look<SdkConfig>,
    imds: Option<Imds>,
    is_root: bool,
}

/// What one look saw, and what that means.
#[derive(Debug)]
pub struct Seen {
    /// What was seen.
    pub observed: Observed,
    /// What it means.
    pub report: Report,
}

/// What a person says of what to look at on a host.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The mount point of one of `[[mount]]`.
    pub mount: Option<Utf8PathBuf>,
    /// The region; that of the host if not given.
    pub region: Option<String>,
    /// Where AWS is; where host.toml says if not given.
    pub endpoint_url: Option<String>,
    /// How calls are made in place of the role of the host.
    pub instead: Option<SdkConfig>,
    /// Whether small files are made to see how fast that is.
    pub benchmark: bool,
}

impl Visit {
    /// From outside, with an operator's credentials.
    pub fn from_outside(file_system: String, config: &SdkConfig, benchmark: bool) -> Self {
        let region = operator::region(config).to_owned();
        Self {
            asked: Asked { file_system, region, host: None, benchmark },
            root: "/".into(),
            aws: Ok(aws::brisk(config, FAR_CALL)),
            imds: None,
            is_root: true,
        }
    }

    /// On a host that is told what to mount.
    ///
    /// # Errors
    /// Nothing tells what to look at, or what tells it is wrong.
    pub async fn here(root: &Utf8Path, wish: Wish) -> anyhow::Result<Self> {
        let imds = Imds::new(None, METADATA)?;
        let config = told(root, &imds).await?;
        let (file_system, mount_point, efs) = subject(&config, wish.mount.as_deref())?;
        let region = match wish.region.or_else(|| config.aws.region.clone()) {
            Some(region) => region,
            None => region(root, &imds).await?,
        };
        let endpoint = wish.endpoint_url.as_deref().or(config.aws.endpoint_url.as_deref());
        let aws = match wish.instead {
            Some(config) => Ok(aws::brisk(&config, CALL)),
            None => as_the_host(&imds, &region, endpoint).await,
        };
        let jenkins = Version::installed(root).ok().flatten().map(|version| version.to_string());
        let role = config.role.unwrap_or(host::Role::Controller);
        let here = Here { role, mount_point, efs, user: "jenkins".to_owned(), jenkins };
        let benchmark = wish.benchmark;
        Ok(Self {
            asked: Asked { file_system, region, host: Some(here), benchmark },
            root: root.to_owned(),
            aws,
            imds: Some(imds),
            is_root: nix::unistd::geteuid().is_root(),
        })
    }

    /// Looks: at everything, or at these and what they rest on.
    pub async fn look(&self, which: &[Id], events: &Events) -> Seen {
        let (at, began) = (Timestamp::now(), Instant::now());
        let observed = Observed::default();
        if !self.is_root {
            engine::without_root(&observed);
        }
        let (scene, all) = (self.scene(&observed), all_if_none(which));
        let done = Box::pin(engine::run(&scene, &all, |told| told.say(events))).await;
        let report = Report::of(&self.asked, &observed, at, &done, began.elapsed()).only(which);
        Seen { observed, report }
    }

    fn scene<'a>(&'a self, observed: &'a Observed) -> Scene<'a> {
        Scene {
            asked: &self.asked,
            observed,
            root: &self.root,
            runner: &Runner::Direct,
            aws: &self.aws,
            imds: self.imds.as_ref(),
            nfs_port: 2049,
            resolver: RESOLVER,
            ground: Ground::Nfs,
        }
    }
}

/// Judges again what a bundle holds.
pub fn again(asked: &Asked, observed: &Observed, at: Timestamp, took: f64, which: &[Id]) -> Report {
    let done: Vec<Done> = engine::replay(asked, observed, at, &all_if_none(which));
    let took = Duration::try_from_secs_f64(took).unwrap_or_default();
    Report::of(asked, observed, at, &done, took).only(which)
}

fn all_if_none(which: &[Id]) -> Vec<Id> {
    if which.is_empty() { CHECKS.iter().map(|check| check.id).collect() } else { which.to_vec() }
}

/// How calls are made as the role of this host, or why they cannot be.
async fn as_the_host(imds: &Imds, region: &str, endpoint: Option<&str>) -> Look<SdkConfig> {
    match imds.role().await {
        Ok(role) => Ok(aws::brisk(&aws::config(region, endpoint, imds, &role), CALL)),
        Err(error) => {
            let why = format!("AWS cannot be asked: {error:#}");
            Err(Gap { needs: String::new(), denied: false, why })
        }
    }
}

/// What this host is told: what its boot left, else the image's and what the user-data adds.
async fn told(root: &Utf8Path, imds: &Imds) -> anyhow::Result<HostConfig> {
    let read = |path: &str| std::fs::read_to_string(root.join(path.trim_start_matches('/')));
    if let Ok(text) = read(host::EFFECTIVE) {
        return Ok(host::effective(&text)?);
    }
    let image = match read(host::PATH) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(nowhere().into()),
        Err(error) => {
            return Err(Fault::environment(format!("{} cannot be read: {error}", host::PATH))
                .hint("sudo hostkit efs check")
                .into());
        }
    };
    // Where it is silent, the image alone is told; that it is, is a finding.
    let user_data = imds.user_data().await.unwrap_or_default();
    Ok(host::read(&[
        Layer { origin: host::PATH, text: &image },
        Layer { origin: "user-data", text: &user_data },
    ])?)
}

fn nowhere() -> Fault {
    Fault::usage("nothing says which file system to look at: this machine has no host.toml").hint(
        "on a host that hostkit boots that of its home is taken; from anywhere else say \
         --file-system fs-… --region REGION",
    )
}

/// The file system of this host's home, and where it is.
///
/// # Errors
/// Nothing tells which, or what tells it is wrong.
pub async fn home_of(root: &Utf8Path) -> anyhow::Result<(String, String)> {
    let imds = Imds::new(None, METADATA)?;
    let config = told(root, &imds).await?;
    let (file_system, ..) = subject(&config, None)?;
    let region = match config.aws.region {
        Some(region) => region,
        None => region(root, &imds).await?,
    };
    Ok((file_system, region))
}

/// Which file system, where it is mounted, and how.
fn subject(
    config: &HostConfig,
    mount: Option<&Utf8Path>,
) -> Result<(String, Utf8PathBuf, Efs), Fault> {
    let mut all: Vec<(String, Utf8PathBuf, Efs)> = Vec::new();
    if let Some(id) = &config.efs.id {
        all.push((id.clone(), host::HOME.into(), config.efs.clone()));
    }
    for mount in &config.mount {
        let efs = Efs {
            id: Some(mount.id.clone()),
            cross_az: mount.cross_az,
            tls: mount.tls,
            iam: mount.iam,
            access_point: mount.access_point.clone(),
            ..Efs::default()
        };
        all.push((mount.id.clone(), mount.path.as_str().into(), efs));
    }
    let paths = all.iter().map(|it| format!("--mount {}", it.1)).collect::<Vec<_>>().join(", ");
    let home = config.efs.id.is_some();
    let found = match mount {
        Some(mount) => all.into_iter().find(|it| it.1 == mount),
        None if home || all.len() == 1 => all.into_iter().next(),
        None => None,
    };
    found.ok_or_else(|| match mount {
        _ if paths.is_empty() => Fault::recipe("host.toml names no file system")
            .hint("[efs] id = \"fs-…\" is that of the home; from outside: --file-system fs-…"),
        Some(mount) => Fault::usage(format!("host.toml mounts nothing at {mount}"))
            .hint(format!("there are: {paths}")),
        None => Fault::usage("host.toml names several file systems").hint(paths),
    })
}

/// The region of this host: as its boot kept it, else as the metadata service says.
async fn region(root: &Utf8Path, imds: &Imds) -> Result<String, Fault> {
    let kept = std::fs::read_to_string(root.join(Identity::PATH)).ok();
    let kept = kept.and_then(|text| serde_json::from_str::<Identity>(&text).ok());
    if let Some(identity) = kept {
        return Ok(identity.region);
    }
    let document = imds.document(|_| {}).await;
    document.map(|document| document.region).map_err(|error| {
        Fault::environment(format!("the region of this host cannot be told: {error:#}"))
            .hint("say it: --region REGION")
    })
}
