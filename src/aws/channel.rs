//! The operator's channel to a host: a tag of its instance, which the host reads from the metadata
//! service.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Instance, InstanceMetadataTagsState, Reservation, Tag};

use super::Failure;

/// What an instance says of its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// `running`, `shutting-down`, …
    pub state: String,
    /// Whether the metadata service tells the instance its tags. Where it does not, nobody reads them.
    pub is_open: bool,
    /// What the tag says; none where there is no such tag.
    pub word: Option<String>,
}

impl Channel {
    /// Whether there is still somebody who could read it.
    pub fn has_reader(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }
}

/// How the channel `key` of an instance stands; `None` where there is no such instance any more.
pub async fn look(
    config: &SdkConfig,
    instance_id: &str,
    key: &str,
) -> Result<Option<Channel>, Failure> {
    let call = Client::new(config).describe_instances().instance_ids(instance_id);
    let answer = call.send().await.map_err(|error| Failure::new("ec2:DescribeInstances", &error));
    let answer = match answer {
        Err(failure) if failure.code() == Some("InvalidInstanceID.NotFound") => return Ok(None),
        answer => answer?,
    };
    let mut instances = answer.reservations().iter().flat_map(Reservation::instances);
    let found = instances.find(|instance| instance.instance_id() == Some(instance_id));
    Ok(found.map(|instance| read(instance, key)))
}

fn read(instance: &Instance, key: &str) -> Channel {
    let state = instance.state().and_then(|state| state.name());
    let tags = instance.metadata_options().and_then(|options| options.instance_metadata_tags());
    let word = instance.tags().iter().find(|tag| tag.key() == Some(key));
    Channel {
        state: state.map_or("unknown", |name| name.as_str()).to_owned(),
        is_open: tags == Some(&InstanceMetadataTagsState::Enabled),
        word: word.and_then(|tag| tag.value()).map(str::to_owned),
    }
}

/// Says a word. An instance that is gone is no failure: nobody is left to hear it. Returns whether
/// there is one.
pub async fn say(
    config: &SdkConfig,
    instance_id: &str,
    key: &str,
    word: &str,
) -> Result<bool, Failure> {
    let tag = Tag::builder().key(key).value(word).build();
    let call = Client::new(config).create_tags().resources(instance_id).tags(tag);
    let said = call.send().await.map_err(|error| Failure::new("ec2:CreateTags", &error));
    gone_is_fine(said.map(drop))
}

/// Takes the tag away. Returns whether there is such an instance.
pub async fn clear(config: &SdkConfig, instance_id: &str, key: &str) -> Result<bool, Failure> {
    let tag = Tag::builder().key(key).build();
    let call = Client::new(config).delete_tags().resources(instance_id).tags(tag);
    let cleared = call.send().await.map_err(|error| Failure::new("ec2:DeleteTags", &error));
    gone_is_fine(cleared.map(drop))
}

fn gone_is_fine(done: Result<(), Failure>) -> Result<bool, Failure> {
    match done {
        Err(failure) if failure.code() == Some("InvalidInstanceID.NotFound") => Ok(false),
        done => done.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceMetadataOptionsResponse, InstanceState, InstanceStateName};

    use super::*;

    #[test]
    fn a_channel_is_open_where_the_metadata_service_tells_tags() {
        let open = InstanceMetadataOptionsResponse::builder()
            .instance_metadata_tags(InstanceMetadataTagsState::Enabled)
            .build();
        let state = InstanceState::builder().name(InstanceStateName::Running).build();
        let tag = Tag::builder().key("hostkit:drain").value("quiet").build();
        let told = Instance::builder().state(state).metadata_options(open).tags(tag).build();
        let seen = read(&told, "hostkit:drain");
        assert!(seen.is_open && seen.has_reader());
        assert_eq!(seen.word.as_deref(), Some("quiet"));
        let silent = read(&Instance::builder().build(), "hostkit:drain");
        assert!(!silent.is_open && !silent.has_reader() && silent.word.is_none());
    }
}
