//! What happens to the AMI of a bake once it is there: other tools are told, and it is published if
//! that was asked for.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::aws::Aws;
use super::bake_ami::Cloud;
use super::publish::{Errand, Options, outcome};
use crate::aws::ebs::Encryption;
use crate::aws::image;
use crate::aws::operator::{self, region};
use crate::error::Fault;
use crate::event::Events;
use crate::image::ami::build::Made;
use crate::image::ami::distribute::{Place, Subject};
use crate::image::ami::name::Tags;
use crate::image::ami::outputs;
use crate::teardown;
use crate::ui::{self, Format};

/// The options of `hostkit publish`, on a bake.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Publishing, with --target ami")]
pub struct Publishing {
    /// Move the parameter /hostkit/RECIPE/ARCH/latest to the AMI; every option below does that, too
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    options: Options,
}

/// What came of it.
#[derive(Debug)]
pub struct Published {
    subject: Subject,
    /// None where only files were written.
    places: Option<Vec<Place>>,
}

impl Publishing {
    fn is_asked(&self) -> bool {
        self.publish || self.options.is_asked()
    }

    /// What cannot be is said before anything is baked.
    ///
    /// # Errors
    /// A matter of usage.
    pub fn check(&self, cloud: Option<&Cloud>, encrypted: bool) -> Result<(), Fault> {
        match cloud {
            Some(cloud) => self.options.publication().check(region(&cloud.config), encrypted),
            None if self.is_asked() || !self.options.tags().is_empty() => {
                Err(Fault::usage("only an AMI can be published").hint("add --target ami"))
            }
            None => Ok(()),
        }
    }

    /// The user's tags.
    pub fn tags(&self) -> Tags {
        self.options.tags()
    }

    /// How the snapshot is encrypted, if a key is given in the form that EBS takes. One that is not is
    /// used when the image is published.
    pub fn encryption(&self, home: &str) -> Option<Encryption> {
        let key = self.options.key(home)?;
        (key.starts_with("arn:") && key.contains(":key/")).then_some(Encryption::Key(key))
    }

    /// Publishes what was made, if it is to be.
    pub async fn run(
        &self,
        cloud: &Cloud,
        aws: &Aws,
        output: &Utf8Path,
        made: &Made,
        events: &Events,
    ) -> anyhow::Result<Published> {
        let found = image::describe(&cloud.config, &made.image).await;
        let found = found.map_err(|failure| operator::fault(&failure))?;
        let gone = || {
            Fault::aws(format!("the image {} is gone", made.image))
                .hint("somebody deregistered it; the same command makes it again")
        };
        let subject =
            Subject { fresh: made.sent.is_some(), ..Subject::of(found.ok_or_else(gone)?)? };
        if !self.is_asked() {
            let home = region(&cloud.config);
            let ids = BTreeMap::from([(home.to_owned(), made.image.clone())]);
            outputs::write(output, &subject, home, &ids)?;
            return Ok(Published { subject, places: None });
        }
        let journals = teardown::folder()?;
        let errand = self.errand(cloud, aws, output, &journals, &subject);
        let places = Some(Box::pin(errand.run(events)).await?);
        Ok(Published { subject, places })
    }

    /// Tells what was done where.
    ///
    /// # Errors
    /// It was not done everywhere.
    pub fn tell(
        &self,
        cloud: &Cloud,
        aws: &Aws,
        output: &Utf8Path,
        published: &Published,
        format: Format,
    ) -> anyhow::Result<()> {
        let Some(places) = &published.places else {
            if format == Format::Human {
                ui::text(&outcome(&outputs::names(&published.subject), output));
            }
            return Ok(());
        };
        let journals = teardown::folder()?;
        self.errand(cloud, aws, output, &journals, &published.subject).tell(places, format)
    }

    fn errand<'a>(
        &'a self,
        cloud: &'a Cloud,
        aws: &'a Aws,
        output: &'a Utf8Path,
        journals: &'a Utf8Path,
        subject: &'a Subject,
    ) -> Errand<'a> {
        let options = &self.options;
        let Cloud { config, identity, .. } = cloud;
        Errand { config, identity, aws, options, output, journals, subject }
    }
}
