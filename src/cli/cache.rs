//! `hostkit cache`: what bakes keep for the next one, and how it is made less.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Subcommand;
use indicatif::HumanBytes;
use serde::Serialize;

use crate::error::Fault;
use crate::image::cache::{self, Item, Kind, Rule};
use crate::ui::{self, Format};

/// Where the cache is.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Where layers and downloaded packages are kept
    #[arg(
        long,
        value_name = "DIR",
        env = "HOSTKIT_CACHE",
        hide_env_values = true,
        default_value = "/var/cache/hostkit"
    )]
    pub cache: Utf8PathBuf,
}

/// What is done with it.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Show what is in the cache, and when it was last of use
    Ls {
        #[command(flatten)]
        place: Place,
    },
    /// Remove from the cache what was of use longest ago
    ///
    /// What a living bake may need stays. Nothing is lost but time.
    Prune(Prune),
}

/// What is removed.
#[derive(Debug, clap::Args)]
pub struct Prune {
    #[command(flatten)]
    place: Place,
    /// Until the rest is not larger than this, as `10G` or `500M`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// What was of no use for so long, as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Everything
    #[arg(long, conflicts_with_all = ["max_size", "older_than"])]
    all: bool,
    /// Remove nothing, say what would be
    #[arg(long)]
    dry_run: bool,
}

/// `hostkit cache`.
pub fn run(command: &Cache, format: Format) -> anyhow::Result<ExitCode> {
    match command {
        Cache::Ls { place } => {
            let items = cache::items(&place.cache);
            match format {
                Format::Json => items.iter().for_each(ui::json),
                Format::Human => ui::text(&table(&items)),
            }
        }
        Cache::Prune(prune) => {
            let gone = cache::prune(&prune.place.cache, prune.rule()?);
            match format {
                Format::Json if prune.dry_run => gone.iter().for_each(ui::json),
                Format::Json => gone.iter().for_each(|item| ui::json(&Gone { removed: item })),
                Format::Human if prune.dry_run => {
                    ui::text(&format!("{}would remove {}\n", list(&gone), total(gone.iter())));
                }
                Format::Human => ui::text(&format!("removed {}\n", total(gone.iter()))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of `prune` for programs.
#[derive(Serialize)]
struct Gone<'a> {
    removed: &'a Item,
}

impl Prune {
    fn rule(&self) -> anyhow::Result<Rule> {
        let Self { max_size, older_than, all, dry_run, .. } = *self;
        if max_size.is_none() && older_than.is_none() && !all {
            return Err(Fault::usage("what is to be removed?")
                .hint("one of --max-size 10G, --older-than 30d, --all")
                .into());
        }
        Ok(Rule { max_size, older_than, all, dry_run })
    }
}

/// Downloads are many and small: a line for all of them.
fn table(items: &[Item]) -> String {
    let (files, parts): (Vec<_>, Vec<_>) =
        items.iter().partition(|item| item.kind == Kind::Download);
    let all = total(parts.into_iter());
    let text = format!("{}{all} of layers and disks\n", list(items));
    text + &format!("{} of downloads\n", total(files.into_iter()))
}

/// All but downloads, a line each.
fn list(items: &[Item]) -> String {
    let mut text = String::new();
    let parts: Vec<_> = items.iter().filter(|item| item.kind != Kind::Download).collect();
    if !parts.is_empty() {
        text +=
            &format!("{:<6}  {:<12}  {:>11}  {:<16}  FOR\n", "KIND", "KEY", "SIZE", "LAST USED");
    }
    for Item { kind, key, about, bytes, used, .. } in &parts {
        let kind = match kind {
            Kind::Layer => "layer",
            Kind::Disk => "disk",
            Kind::Download => "file",
            Kind::Old => "old",
        };
        let (key, used) = (&key[..key.len().min(12)], used.strftime("%Y-%m-%d %H:%M"));
        let size = HumanBytes(*bytes).to_string();
        text += &format!("{kind:<6}  {key:<12}  {size:>11}  {used:<16}  {about}\n");
    }
    text
}

fn total<'a>(items: impl Iterator<Item = &'a Item>) -> String {
    let (n, bytes) = items.fold((0, 0), |(n, bytes), item| (n + 1, bytes + item.bytes));
    format!("{n} {}, {}", if n == 1 { "part" } else { "parts" }, HumanBytes(bytes))
}

/// Bytes, as `10G`, `500M`, `64K` or a number.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let shift = match unit.trim_end_matches('B').trim_end_matches('i') {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("wanted a size, as 10G or 500M".to_owned()),
    };
    let number = digits.parse::<u64>().map_err(|_| "wanted a size, as 10G or 500M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is too much".to_owned())
}

/// A time, as `30d`, `12h`, `10m` or `90s`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let seconds = match unit {
        "d" => 24 * 60 * 60,
        "h" => 60 * 60,
        "m" => 60,
        "s" => 1,
        _ => return Err("wanted a time, as 30d or 12h".to_owned()),
    };
    let number = digits.parse::<u64>().map_err(|_| "wanted a time, as 30d or 12h".to_owned())?;
    let all = number.checked_mul(seconds).ok_or_else(|| "that is too long".to_owned())?;
    Ok(Duration::from_secs(all))
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_read_as_people_write_them() {
        assert_eq!(size("10G"), Ok(10 << 30));
        assert_eq!(size("500MiB"), Ok(500 << 20));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(age("30d"), Ok(Duration::from_hours(720)));
        for wrong in ["", "G", "10X", "-1G", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "30", "d", "-1d", "1 d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
