//! Which build is carried on with: that of the same image, account, region and services which did not
//! come to its end on this machine.

use camino::Utf8Path;

use super::build;
use super::name::Labels;
use crate::aws::image::Image;
use crate::digest::sha256;
use crate::error::Fault;
use crate::image::upload;
use crate::teardown::{Fate, Header, Journal, VERSION, unfinished};

/// Who builds, and where.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The account.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
    /// Where all services are, if not on AWS.
    pub endpoint_url: Option<&'a str>,
}

impl Place<'_> {
    fn is_of(&self, header: &Header) -> bool {
        header.account == self.account
            && header.region == self.region
            && header.endpoint_url.as_deref() == self.endpoint_url
    }
}

/// The builds of an image that did not come to their end, the newest first.
pub fn left(folder: &Utf8Path, digest: &str, place: &Place<'_>) -> Vec<Journal> {
    let mut journals = unfinished(folder);
    journals.retain(|journal| journal.header().digest == digest && place.is_of(journal.header()));
    journals
}

/// The journal to write to: that of a build that is carried on with, or a new one. The second value
/// says which.
///
/// # Errors
/// With `insist`: there is nothing to carry on with.
pub fn journal(
    folder: &Utf8Path,
    labels: &Labels,
    place: &Place<'_>,
    insist: bool,
) -> anyhow::Result<(Journal, bool)> {
    if let Some(journal) = left(folder, &labels.digest, place).into_iter().next() {
        return Ok((journal, true));
    }
    if insist {
        let text = format!("no build of this image in {} was interrupted", place.region);
        return Err(Fault::usage(text)
            .hint("without --resume a new one begins; builds are known on the machine they ran on")
            .into());
    }
    let header = Header {
        version: VERSION,
        build: build_id(labels),
        recipe: labels.recipe.clone(),
        digest: labels.digest.clone(),
        account: place.account.to_owned(),
        region: place.region.to_owned(),
        endpoint_url: place.endpoint_url.map(str::to_owned),
        started: jiff::Timestamp::now(),
    };
    Ok((Journal::create(folder, header)?, false))
}

/// The image is there and is to stay: what a build of it left open is told so, if it is part of it.
/// Whatever else is open is for who undoes.
pub fn adopt(journal: &mut Journal, image: &Image) -> anyhow::Result<()> {
    let parts = [image.snapshots(), vec![image.id.clone()]].concat();
    for (number, resource) in journal.unsettled() {
        if resource.id.is_some_and(|id| parts.contains(&id)) {
            journal.settle(number, Fate::Kept)?;
        }
    }
    Ok(())
}

/// A build has come to its end, good or bad, and nothing of it is open.
pub fn close(journal: Journal) -> anyhow::Result<()> {
    upload::forget(&build::record(&journal))?;
    journal.close()
}

/// A name that no other build has: a person reads it in a tag, so it says what is built.
fn build_id(labels: &Labels) -> String {
    let now = jiff::Timestamp::now();
    let unique = sha256(format!("{} {} {now:?}", labels.digest, std::process::id()));
    format!("{}-{}-{}", labels.recipe, now.strftime("%Y%m%dT%H%M%S"), &unique[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;

    #[test]
    fn only_the_same_image_in_the_same_place_is_carried_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::from_path_buf(dir.path().join("builds")).unwrap();
        let text = |text: &str| text.to_owned();
        let labels = Labels {
            recipe: text("ci"),
            version: text("1"),
            arch: text("amd64"),
            digest: text("0123456789abcdef"),
        };
        let here = Place { account: "1", region: "eu-west-1", endpoint_url: None };
        let error = journal(&folder, &labels, &here, true).unwrap_err().to_string();
        assert_eq!(error, "no build of this image in eu-west-1 was interrupted");
        let (first, carried_on) = journal(&folder, &labels, &here, false).unwrap();
        assert!(!carried_on);
        let id = first.header().build.clone();
        drop(first);
        let (again, carried_on) = journal(&folder, &labels, &here, true).unwrap();
        assert_eq!((again.header().build.as_str(), carried_on), (id.as_str(), true));
        let there = Place { region: "us-east-1", ..here.clone() };
        assert!(left(&folder, &labels.digest, &there).is_empty());
        let sim = Place { endpoint_url: Some("http://127.0.0.1:1"), ..here.clone() };
        assert!(left(&folder, &labels.digest, &sim).is_empty());
        drop(again);
        assert!(left(&folder, "other", &here).is_empty());
        close(journal(&folder, &labels, &here, true).unwrap().0).unwrap();
        assert!(left(&folder, &labels.digest, &here).is_empty());
    }
}
