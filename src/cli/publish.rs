//! `hostkit publish`: an image that is there goes to other regions, accounts, and whatever points to
//! it. The same options are those of `bake --target ami`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use serde::Serialize;

use super::aws::Aws;
use super::cache::age;
use crate::aws::image::{self, Audience};
use crate::aws::operator::{self, Identity, region};
use crate::error::{Fault, render};
use crate::event::Events;
use crate::image::ami::distribute::{Job, Place, Subject};
use crate::image::ami::publication::{self, Base, Keys, Publication, Template};
use crate::image::ami::{outputs, register};
use crate::teardown;
use crate::ui::{self, Format};

/// Ten years: AWS's own limit for the date of a deprecation.
const DAYS: i64 = 3650;

/// Publishes an image that `bake --target ami` made
///
/// Copies it to regions, shares and protects it, and moves what points to it, the parameter
/// /hostkit/RECIPE/ARCH/latest last. What is done already is not done again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    hostkit publish jenkins-controller --copy-to us-east-1 --copy-to us-west-2\n  \
    hostkit publish ami-0123456789abcdef0 --share-account 111122223333")]
pub struct Args {
    /// The id of an image (ami-…), or the name of a recipe whose image is in the output folder
    #[arg(value_name = "IMAGE|RECIPE")]
    image: String,
    /// Where images are looked for by name, and what other tools read is written
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: Utf8PathBuf,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    aws: Aws,
}

/// How an image is published.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Publishing")]
pub struct Options {
    /// Copy the image to this region, too
    #[arg(long, value_name = "REGION", value_parser = publication::region)]
    copy_to: Vec<String>,
    /// Encrypt with this key: its id, ARN or alias; for one region, or for all
    #[arg(long, value_name = "[REGION=]KEY", value_parser = publication::of_region)]
    kms_key: Vec<(Option<String>, String)>,
    /// Let this account use the image and its snapshots
    #[arg(long, value_name = "ID", value_parser = publication::account)]
    share_account: Vec<String>,
    /// Let all accounts of this organisation launch the image
    #[arg(long, value_name = "ARN", value_parser = publication::organization)]
    share_org: Vec<String>,
    /// Let all accounts of this organisational unit launch the image
    #[arg(long, value_name = "ARN", value_parser = publication::unit)]
    share_ou: Vec<String>,
    /// Deprecate the image after so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=DAYS))]
    deprecate_after: Option<u32>,
    /// Protect the image from being deregistered, and for a day after that is taken back
    #[arg(long)]
    protect: bool,
    /// Set a tag of the image and its snapshots
    #[arg(long, value_name = "KEY=VALUE", value_parser = publication::tag)]
    tag: Vec<(String, String)>,
    /// Do not move the parameter /hostkit/RECIPE/ARCH/latest
    #[arg(long)]
    no_pointer: bool,
    /// Add a version with the image to a launch template
    #[arg(long, value_name = "[REGION=]NAME|ID", value_parser = publication::of_region)]
    launch_template: Vec<(Option<String>, String)>,
    /// Which version of the launch template the new one is made like
    #[arg(long, value_enum, default_value_t, requires = "launch_template")]
    template_base: TemplateBase,
    /// Make the new version the launch template's default
    #[arg(long, requires = "launch_template")]
    set_default: bool,
    /// How long AWS may take for a copy
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "2h")]
    copy_patience: Duration,
}

/// See [`Base`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TemplateBase {
    /// The youngest version
    #[default]
    Latest,
    /// The default version
    Default,
}

impl Options {
    /// What is wanted, as the engine knows it.
    pub fn publication(&self) -> Publication {
        let mut keys = Keys::default();
        for (region, key) in self.kms_key.iter().cloned() {
            match region {
                Some(region) => drop(keys.regions.insert(region, key)),
                None => keys.everywhere = Some(key),
            }
        }
        let template = |(region, name): &(Option<String>, String)| Template {
            region: region.clone(),
            which: name.parse().unwrap_or_else(|never| match never {}),
        };
        Publication {
            copy_to: self.copy_to.clone(),
            keys,
            audience: Audience {
                accounts: self.share_account.clone(),
                organizations: self.share_org.clone(),
                units: self.share_ou.clone(),
            },
            deprecate_after: self.deprecate_after,
            protect: self.protect,
            tags: self.tags(),
            pointer: !self.no_pointer,
            templates: self.launch_template.iter().map(template).collect(),
            base: match self.template_base {
                TemplateBase::Latest => Base::Latest,
                TemplateBase::Default => Base::Default,
            },
            set_default: self.set_default,
        }
    }

    /// Whether any of it was asked for.
    pub fn is_asked(&self) -> bool {
        let Publication { copy_to, keys, audience, deprecate_after, protect, templates, .. } =
            self.publication();
        !copy_to.is_empty()
            || keys != Keys::default()
            || !audience.is_empty()
            || deprecate_after.is_some()
            || protect
            || !templates.is_empty()
    }

    /// The key of a region, if it is given in the form that EBS takes for a new snapshot: its ARN. An
    /// alias encrypts when the image is published.
    pub fn key(&self, region: &str) -> Option<String> {
        let publication = self.publication();
        let key = publication.keys.of(region)?;
        (key.starts_with("arn:") && key.contains(":key/")).then(|| key.to_owned())
    }

    /// The user's tags.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.tag.iter().cloned().collect()
    }

    /// The arguments that publish `image` in `home` and do the rest in `failed`.
    fn again(&self, image: &str, home: &str, failed: &[&str], aws: &Aws) -> String {
        let mut words = vec!["hostkit".into(), "publish".into(), image.into()];
        let mut say = |option: &str, value: &str| words.extend([option.into(), quoted(value)]);
        say("--region", home);
        if let Some(profile) = &aws.profile {
            say("--profile", profile);
        }
        if let Some(url) = &aws.endpoint_url {
            say("--endpoint-url", url);
        }
        let goes = |region: &str| region == home || failed.contains(&region);
        let regions = self.copy_to.iter().filter(|it| *it != home && goes(it));
        regions.for_each(|region| say("--copy-to", region));
        for (option, values) in
            [("--kms-key", &self.kms_key), ("--launch-template", &self.launch_template)]
        {
            for (region, value) in values {
                match region {
                    Some(region) if goes(region) => say(option, &format!("{region}={value}")),
                    Some(_) => {}
                    None => say(option, value),
                }
            }
        }
        self.share_account.iter().for_each(|it| say("--share-account", it));
        self.share_org.iter().for_each(|it| say("--share-org", it));
        self.share_ou.iter().for_each(|it| say("--share-ou", it));
        if let Some(days) = self.deprecate_after {
            say("--deprecate-after", &days.to_string());
        }
        self.tag.iter().for_each(|(key, value)| say("--tag", &format!("{key}={value}")));
        if self.template_base == TemplateBase::Default {
            say("--template-base", "default");
        }
        let switches = [
            (self.protect, "--protect"),
            (self.no_pointer, "--no-pointer"),
            (self.set_default, "--set-default"),
        ];
        words.extend(switches.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()));
        words.join(" ")
    }
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `hostkit publish`.
pub async fn run(args: Args, format: Format) -> anyhow::Result<ExitCode> {
    let journals = teardown::folder()?;
    let digest = if is_id(&args.image) {
        None
    } else {
        Some(super::images::find(&args.image, &args.output)?.manifest.digest)
    };
    let (config, identity) = args.aws.sign_in().await?;
    let subject = Subject::of(found(&args, digest.as_deref(), &config).await?)?;
    let (events, printer) = ui::start(format);
    let errand = Errand {
        config: &config,
        identity: &identity,
        aws: &args.aws,
        options: &args.options,
        output: &args.output,
        journals: &journals,
        subject: &subject,
    };
    let end = Box::pin(errand.run(&events)).await;
    drop(events);
    printer.finish().await;
    errand.tell(&end?, format)?;
    Ok(ExitCode::SUCCESS)
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("ami-").unwrap_or_default();
    digits.len() >= 8 && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The image that is meant.
async fn found(
    args: &Args,
    digest: Option<&str>,
    config: &SdkConfig,
) -> anyhow::Result<image::Image> {
    let there = match digest {
        Some(digest) => register::find(config, digest).await,
        None => image::describe(config, &args.image).await,
    };
    let there = there.map_err(|failure| operator::fault(&failure))?;
    let (name, region) = (&args.image, region(config));
    let none = || match digest {
        Some(digest) => Fault::usage(format!(
            "the image of {name} with digest {} is not in {region}",
            digest.get(..8).unwrap_or(digest)
        ))
        .hint(format!("`hostkit bake {name} --target ami` puts it there")),
        None => Fault::usage(format!("there is no image {name} in {region}"))
            .hint("check the region, and whether the account is the right one"),
    };
    Ok(there.ok_or_else(none)?)
}

/// One image to be published, whoever it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// How AWS is called, in the region of the image.
    pub config: &'a SdkConfig,
    /// As whom.
    pub identity: &'a Identity,
    /// How a person says that.
    pub aws: &'a Aws,
    /// What is wanted.
    pub options: &'a Options,
    /// Where files for other tools go.
    pub output: &'a Utf8Path,
    /// The folder of journals.
    pub journals: &'a Utf8Path,
    /// The image.
    pub subject: &'a Subject,
}

impl Errand<'_> {
    /// Publishes, until it is done or a person stops it: then what was begun is undone.
    pub async fn run(&self, events: &Events) -> anyhow::Result<Vec<Place>> {
        let wanted = self.options.publication();
        let job = Job {
            config: self.config,
            account: &self.identity.account,
            endpoint_url: self.aws.endpoint_url.as_deref(),
            journals: self.journals,
            subject: self.subject,
            wanted: &wanted,
            patience: self.options.copy_patience,
            events,
        };
        tokio::select! {
            end = job.run() => end,
            () = super::stop_signal() => {
                job.undo().await?;
                Err(Fault::interrupted().into())
            }
        }
    }

    /// Writes what other tools read, and tells what was done where.
    ///
    /// # Errors
    /// It was not done everywhere: says so, with the command that does the rest.
    pub fn tell(&self, places: &[Place], format: Format) -> anyhow::Result<()> {
        let home = region(self.config);
        let ids = places.iter().filter(|place| place.failure.is_none());
        let ids: BTreeMap<_, _> = ids
            .filter_map(|place| Some((place.region.clone(), place.image.as_ref()?.id.clone())))
            .collect();
        let writes = ids.contains_key(home);
        if writes {
            outputs::write(self.output, self.subject, home, &ids)?;
        }
        match format {
            Format::Human => ui::text(&table(places, &self.subject.image.id)),
            Format::Json => places.iter().for_each(|place| ui::json(&Line::of(place))),
        }
        if format == Format::Human && writes {
            ui::text(&outcome(&outputs::names(self.subject), self.output));
        }
        self.verdict(places)
    }

    fn verdict(&self, places: &[Place]) -> anyhow::Result<()> {
        let failed = places.iter().filter(|place| place.failure.is_some());
        let failed: Vec<_> = failed.map(|place| place.region.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        // Encrypting makes another image of it.
        let now = places.first().and_then(|place| place.image.as_ref());
        let (id, home) = (&now.unwrap_or(&self.subject.image).id, region(self.config));
        let text = format!("{id} is not published in {}; the rest is good", failed.join(", "));
        let again = self.options.again(id, home, &failed, self.aws);
        Err(Fault::aws(text).hint(format!("do the rest with: {again}")).into())
    }
}

/// Which files other tools read.
pub(super) fn outcome(files: &[String], folder: &Utf8Path) -> String {
    format!("  written   {} in {folder}", files.join(", "))
}

/// What came of it, a region a line.
fn table(places: &[Place], image: &str) -> String {
    let wide = places.iter().map(|place| place.region.len()).max().unwrap_or(0).max(6);
    let mut text =
        format!("\n{:<wide$}  {:<21}  {:<9}  {:>7}\n", "region", "image", "state", "took");
    for place in places {
        let id = place.image.as_ref().map_or("-", |image| image.id.as_str());
        let took = format!("{:.1} s", place.took.as_secs_f64());
        let (region, state) = (&place.region, place.state());
        let mut done = place.done.join(", ");
        if place.failure.is_some() && !done.is_empty() {
            done = format!("done: {done}");
        }
        let line = format!("{region:<wide$}  {id:<21}  {state:<9}  {took:>7}  {done}");
        text += line.trim_end();
        text += "\n";
        if let Some(failure) = &place.failure {
            for line in render(failure).lines() {
                text += &format!("{:wide$}  {line}\n", "");
            }
        }
    }
    if places.len() == 1 && places[0].failure.is_none() && places[0].done.is_empty() {
        text += &format!("\n{image} was published before: there was nothing to do\n");
    }
    text
}

/// What came of it in one region, for programs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    version: u32,
    published: Published<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Published<'a> {
    region: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    snapshots: Vec<String>,
    state: &'a str,
    done: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    took: f64,
}

impl<'a> Line<'a> {
    fn of(place: &'a Place) -> Self {
        let published = Published {
            region: &place.region,
            image: place.image.as_ref().map(|image| image.id.as_str()),
            snapshots: place.image.as_ref().map(image::Image::snapshots).unwrap_or_default(),
            state: place.state(),
            done: &place.done,
            error: place.failure.as_ref().map(|failure| format!("{failure:#}")),
            took: (place.took.as_secs_f64() * 1000.0).round() / 1000.0,
        };
        Self { version: crate::report::VERSION, published }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &[&str]) -> Options {
        Cli::try_parse_from([&["x"], words].concat()).unwrap().options
    }

    #[test]
    fn the_rest_is_done_by_a_command_that_a_shell_takes_as_it_is() {
        let options = options(&[
            "--copy-to",
            "us-east-1",
            "--copy-to",
            "us-west-2",
            "--kms-key",
            "us-west-2=alias/images",
            "--kms-key",
            "us-east-1=alias/images",
            "--share-account",
            "111122223333",
            "--tag",
            "team=it's us",
            "--protect",
        ]);
        let aws = Aws { profile: Some("ci".into()), ..Aws::default() };
        let again = options.again("ami-1", "eu-west-1", &["us-east-1"], &aws);
        insta::assert_snapshot!(again, @r"hostkit publish ami-1 --region eu-west-1 --profile ci --copy-to us-east-1 --kms-key us-east-1=alias/images --share-account 111122223333 --tag 'team=it'\''s us' --protect");
    }

    #[test]
    fn people_see_a_region_a_line_and_what_is_wrong_below_it() {
        let place = |region: &str, done: &[&str], failure| Place {
            region: region.into(),
            image: None,
            done: done.iter().map(|it| (*it).to_owned()).collect(),
            failure,
            took: Duration::from_millis(1500),
        };
        let fault = Fault::aws("the image ami-2 could not be made: no").hint("try again");
        let places = [
            place("eu-west-1", &["protected", "/hostkit/ci/amd64/latest moved"], None),
            place("ap-southeast-2", &["copied"], Some(fault.into())),
        ];
        insta::assert_snapshot!(table(&places, "ami-1"));
    }

    #[test]
    fn hostkits_own_tags_and_what_is_no_account_are_refused_by_the_parser() {
        for words in [["--tag", "hostkit:state=kept"], ["--share-account", "1"]] {
            assert!(Cli::try_parse_from([&["x"], &words[..]].concat()).is_err(), "{words:?}");
        }
        assert!(Cli::try_parse_from(["x", "--set-default"]).is_err());
    }
}
