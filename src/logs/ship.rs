//! The loop: reads the journal, fills a batch, sends it, and remembers how far it is.

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use camino::Utf8PathBuf;
use tokio::time::{Instant, sleep, sleep_until};

use super::batch::Batch;
use super::entry::{self, Entry};
use crate::aws::imds::Imds;
use crate::aws::{self, Failure, logs};
use crate::error::{self, Fault};
use crate::event::Events;
use crate::facts::{Facts, Identity};
use crate::host;
use crate::sys::lines::Lines;
use crate::sys::{Cmd, Runner, Tool, atomic, notify, secrets};

const STEP: &str = "logs";

/// Where in the journal this host is, below the machine's root.
const CURSOR: &str = "var/lib/hostkit/logs.cursor";

/// After a failure that passes.
const FIRST_PAUSE: f64 = 1.0;
/// Between attempts at most, and where somebody must act first.
const LONGEST_PAUSE: f64 = 60.0;

/// How long the metadata service may be silent.
const IMDS: Duration = Duration::from_mins(1);

/// Where things are, and how patient to be. Tests have another one.
#[derive(Clone, Debug)]
pub struct Place {
    /// Below which the machine's files are.
    pub root: Utf8PathBuf,
    /// How programs are run.
    pub runner: Runner,
    /// The metadata service, where it is not at its own address.
    pub imds: Option<String>,
    /// How long the first entry of a batch waits for others.
    pub patience: Duration,
    /// What is called a second, where something is tried again.
    pub second: Duration,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            root: Utf8PathBuf::from("/"),
            runner: Runner::Direct,
            imds: None,
            patience: Duration::from_secs(3),
            second: Duration::from_secs(1),
        }
    }
}

/// Where the entries go.
struct Stream {
    aws: SdkConfig,
    group: String,
    name: String,
    is_made: bool,
}

/// Ships the journal until `asked` is done, and what it has read by then.
///
/// # Errors
/// This host does not know yet what it is, or no group is set, or there is no journal.
pub async fn ship(
    place: Place,
    events: Events,
    asked: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut asked = std::pin::pin!(asked);
    let mut stream = tokio::select! {
        stream = open(&place) => stream?,
        () = &mut asked => return Ok(()),
    };
    secrets::learn(&place.root);
    let cursor = std::fs::read_to_string(place.root.join(CURSOR)).ok();
    let mut lines = place.runner.follow(&journal(cursor.as_deref().map(str::trim)))?;
    notify::ready();
    let mut waiting = None;
    loop {
        let mut batch = Batch::default();
        // What had no room in the last one has in an empty one.
        if let Some(entry) = waiting.take() {
            waiting = batch.take(entry);
        }
        let ended = tokio::select! {
            read = fill(&mut batch, &mut lines, place.patience) => {
                waiting = read?;
                false
            }
            () = &mut asked => true,
        };
        if !batch.is_empty() {
            // Keys may have been rotated.
            secrets::learn(&place.root);
            let sent = stream.send(&place, &events, &mut batch);
            if ended {
                // Within the time that systemd leaves; what was not sent is read again next time.
                let _ = tokio::time::timeout(place.second * 10, sent).await;
            } else {
                tokio::select! {
                    () = sent => {}
                    () = &mut asked => return Ok(()),
                }
            }
        }
        if ended {
            return Ok(());
        }
    }
}

async fn open(place: &Place) -> anyhow::Result<Stream> {
    let facts = Facts::read(&place.root)?;
    let identity = Identity::kept(&place.root, &facts.boot_id)?;
    let path = place.root.join(host::EFFECTIVE.trim_start_matches('/'));
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let config = host::effective(&text)?;
    let group = config.logs.group.ok_or_else(|| {
        Fault::recipe("no log group is set").hint("set `logs.group` in host.toml or in user-data")
    })?;
    let imds = Imds::new(place.imds.as_deref(), IMDS)?;
    let role = imds.role().await?;
    let region = config.aws.region.unwrap_or(identity.region);
    let aws = aws::config(&region, config.aws.endpoint_url.as_deref(), &imds, &role);
    Ok(Stream { aws, group, name: identity.instance_id, is_made: false })
}

/// Follows the journal from `cursor` on; without one, from the beginning of this boot.
fn journal(cursor: Option<&str>) -> Cmd {
    let from = match cursor {
        Some(cursor) if !cursor.is_empty() => format!("--after-cursor={cursor}"),
        _ => "--boot".to_owned(),
    };
    let fields = format!("--output-fields={}", entry::FIELDS);
    Cmd::new(Tool::Journalctl)
        .args(["--follow", "--no-tail", "--all", "--quiet", "--output=json", &fields, &from])
        .args(entry::matches())
}

/// Fills a batch until its first entry has waited long enough, or it is full: then the entry that has
/// no room comes back.
async fn fill(
    batch: &mut Batch,
    lines: &mut Lines,
    patience: Duration,
) -> anyhow::Result<Option<Entry>> {
    let mut until = (!batch.is_empty()).then(|| Instant::now() + patience);
    loop {
        let wait = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let line = tokio::select! {
            // Else a journal that is always ready would keep a batch open for ever.
            biased;
            () = wait => return Ok(None),
            line = lines.next() => line.context("reading the journal")?,
        };
        let line = line.ok_or_else(|| Fault::environment("journalctl has ended"))?;
        if let Some(entry) = Entry::read(&line)
            && let Some(entry) = batch.take(entry)
        {
            return Ok(Some(entry));
        }
        if !batch.is_empty() {
            until.get_or_insert_with(|| Instant::now() + patience);
        }
    }
}

impl Stream {
    /// Sends a batch, however long that takes, and remembers it.
    async fn send(&mut self, place: &Place, events: &Events, batch: &mut Batch) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            match self.put(batch).await {
                Ok(0) => break,
                Ok(lost) => {
                    events.log(STEP, format!("{lost} entries are too old or of the future"));
                    break;
                }
                // It was taken by an attempt whose answer did not arrive.
                Err(failure) if failure.code() == Some("DataAlreadyAcceptedException") => break,
                Err(failure) if is_hopeless(&failure) => {
                    events.log(STEP, format!("a batch of entries is left out: {failure}"));
                    break;
                }
                Err(failure) => {
                    if !failure.is_passing() {
                        pause = LONGEST_PAUSE;
                        self.is_made = false;
                    }
                    // Once a batch: AWS may be away for hours.
                    if !std::mem::replace(&mut told, true) {
                        tell(events, &self.group, failure);
                    }
                    sleep(place.second.mul_f64(pause * (0.75 + fastrand::f64() / 2.0))).await;
                    pause = (pause * 2.0).min(LONGEST_PAUSE);
                }
            }
        }
        notify::status(&format!("shipping to {}", self.group));
        let cursor = batch.cursor().unwrap_or_default();
        let path = place.root.join(CURSOR);
        if let Err(error) = atomic::write(&path, format!("{cursor}\n").as_bytes(), 0o600) {
            events.log(STEP, format!("{path} could not be written: {error}"));
        }
    }

    async fn put(&mut self, batch: &mut Batch) -> Result<usize, Failure> {
        let events = batch.sorted();
        if events.is_empty() {
            return Ok(0);
        }
        if !self.is_made {
            logs::create_stream(&self.aws, &self.group, &self.name).await?;
            self.is_made = true;
        }
        logs::put(&self.aws, &self.group, &self.name, events).await
    }
}

/// Whether the same batch would be refused for ever.
fn is_hopeless(failure: &Failure) -> bool {
    failure.code() == Some("InvalidParameterException")
}

fn tell(events: &Events, group: &str, failure: Failure) {
    let missing = failure.code() == Some("ResourceNotFoundException");
    let error: anyhow::Error = if missing {
        Fault::aws(format!("the log group {group} does not exist"))
            .hint("create it, or name another one as `logs.group` in host.toml")
            .into()
    } else {
        Fault::from(failure).into()
    };
    let hint = error::fault(&error).and_then(Fault::hint_text).unwrap_or_default();
    let line = format!("entries wait in the journal: {error}. hint: {hint}");
    notify::status(&line);
    events.log(STEP, line);
}
