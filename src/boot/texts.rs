//! What tells a host what to be: the image, the user-data, and three tags.
//!
//! Who may tag an instance must not thereby command it: of the tags only `hostkit:pool` and
//! `hostkit:labels` are read here, and `hostkit:drain` by the guard. No other tag is even asked for.

use std::fmt;

use camino::Utf8Path;

use super::context::as_fault;
use crate::aws::imds::Imds;
use crate::error::Fault;
use crate::host::{Layer, Tag};

/// What tells a host what to be: the texts, or why they cannot be had. User-data may hold secrets
/// that were not meant for hostkit, so nothing shows it.
pub struct Texts {
    /// The image's `host.toml`.
    pub image: Result<String, Fault>,
    /// The user-data of the instance.
    pub user_data: Result<String, Fault>,
    /// Its tags.
    pub tags: Result<Tags, Fault>,
}

/// What the tags of an instance say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Those that are read, as the text of a layer.
    pub told: Vec<(Tag, String)>,
    /// Those that look as if they were meant for hostkit, and are not read.
    pub ignored: Vec<String>,
    /// Whether the metadata service gives tags away at all.
    pub given: bool,
}

impl Tags {
    /// What people should know of them.
    pub(super) fn told(&self) -> Vec<String> {
        let none = "the metadata service gives no tags away; none are read";
        let none = (!self.given).then(|| none.to_owned());
        let ignored = self.ignored.iter().map(|name| {
            let shown: String = name.chars().take(80).collect();
            let shown = shown.escape_debug();
            format!(
                "the tag {shown} is not read: tags may say hostkit:pool, hostkit:labels and \
                 hostkit:drain, and nothing else"
            )
        });
        none.into_iter().chain(ignored).collect()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

impl Texts {
    /// Those that there are, the lowest first. `path` is where the image has its own.
    pub fn layers<'a>(&'a self, path: &'a str) -> Vec<Layer<'a>> {
        let both = [(path, &self.image), ("user-data", &self.user_data)];
        let readable =
            both.into_iter().filter_map(|(origin, text)| Some((origin, text.as_ref().ok()?)));
        let tags = self.tags.iter().flat_map(|tags| &tags.told);
        let tags = tags.map(|(tag, text)| Layer { origin: tag.origin(), text });
        readable.map(|(origin, text)| Layer { origin, text }).chain(tags).collect()
    }

    /// Why one of them cannot be had, if that is so.
    pub fn fault(&self) -> Option<&Fault> {
        let both = [&self.image, &self.user_data].into_iter().find_map(|text| text.as_ref().err());
        both.or(self.tags.as_ref().err())
    }
}

/// All of them. That one cannot be had is the next step's error: the launch hook is found without
/// them.
pub(super) async fn texts(imds: &Imds, image: &Utf8Path) -> Texts {
    let (user_data, tags) = futures::join!(imds.user_data(), tags(imds));
    Texts {
        image: of_image(image),
        user_data: user_data.map_err(|error| as_fault(&error)),
        tags: tags.map_err(|error| as_fault(&error)),
    }
}

/// The image's `host.toml`; an absent one is empty.
pub(super) fn of_image(path: &Utf8Path) -> Result<String, Fault> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Fault::environment(format!("{path} cannot be read: {error}"))),
        Ok(text) => Ok(text),
    }
}

async fn tags(imds: &Imds) -> anyhow::Result<Tags> {
    let Some(names) = imds.tags().await? else { return Ok(Tags::default()) };
    let mut tags = Tags { given: true, ..Tags::default() };
    for name in names {
        match Tag::named(&name) {
            // It changes while the host lives, so it is read by those who live as long.
            Some(Tag::Drain) => {}
            Some(tag) => {
                let value = imds.tag(&name).await?;
                tags.told.extend(value.map(|value| (tag, tag.layer(&value))));
            }
            None if Tag::is_foreign(&name) => tags.ignored.push(name),
            None => {}
        }
    }
    Ok(tags)
}
