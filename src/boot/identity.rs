//! Who this instance is, and its name.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::context::{Context, Known, Texts, as_fault};
use crate::aws::imds::Imds;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::Identity;
use crate::host;
use crate::sys::{Cmd, Tool, atomic, journal};

const STEP: &str = "identity";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let imds = Imds::new(machine.imds.as_deref(), machine.imds_budget)?;
    let identity = ask(&imds, &context.events, &context.facts.boot_id).await?;
    let texts = texts(&imds, &context).await;
    let layers = texts.layers(context.config_file.as_str());
    let (aws, asg) = (host::section(&layers, "aws"), host::section(&layers, "asg"));
    let json = serde_json::to_vec(&identity).expect("an identity has only string keys");
    journal::name_instance(&identity.instance_id);
    let cached = atomic::write(&machine.path(Identity::PATH), &json, 0o644)
        .context("writing /run/hostkit/identity.json")?;
    let named = set_hostname(&context, &identity.hostname).await;
    context.events.log(STEP, format!("{} in {}", identity.instance_id, identity.availability_zone));
    let first = context.known.set(Known { identity, imds, texts, aws, asg }).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::changed(cached || named))
}

async fn ask(imds: &Imds, events: &Events, boot_id: &str) -> anyhow::Result<Identity> {
    let mut attempts = 0;
    let document = imds
        .document(|cause| {
            attempts += 1;
            // A service that is a second late is normal; one that stays silent is worth a line.
            if attempts % 10 == 0 {
                events.log(STEP, format!("the metadata service does not answer yet: {cause}"));
            }
        })
        .await?;
    let zone_id = imds.require("/latest/meta-data/placement/availability-zone-id", |_| {}).await?;
    let name = imds.get("/latest/meta-data/local-hostname", |_| {}).await?;
    let address = document.private_ip.to_string().replace('.', "-");
    Ok(Identity {
        hostname: name.and_then(|name| short_name(&name)).unwrap_or(format!("ip-{address}")),
        instance_id: document.instance_id,
        account_id: document.account_id,
        region: document.region,
        availability_zone: document.availability_zone,
        availability_zone_id: zone_id.trim().to_owned(),
        image_id: document.image_id,
        private_ip: document.private_ip,
        launched: document.pending_time,
        boot_id: boot_id.to_owned(),
    })
}

/// The first label of a private DNS name: what `hostname` prints. The domain is DHCP's business.
fn short_name(name: &str) -> Option<String> {
    let label = name.split_whitespace().next()?.split('.').next()?;
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = (1..=63).contains(&label.len()) && label.chars().all(valid);
    (good && !label.starts_with('-')).then(|| label.to_owned())
}

/// The image's file and the user-data. That one cannot be had is the next step's error: the launch
/// hook is found without them.
async fn texts(imds: &Imds, context: &Context) -> Texts {
    let path = &context.config_file;
    let image = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Fault::environment(format!("{path} cannot be read: {error}"))),
        Ok(text) => Ok(text),
    };
    Texts { image, user_data: imds.user_data().await.map_err(|error| as_fault(&error)) }
}

/// Says whether the name was changed. A host with a wrong name still serves, so a failure is only
/// told.
async fn set_hostname(context: &Context, name: &str) -> bool {
    let now = std::fs::read_to_string(context.machine.path("proc/sys/kernel/hostname"));
    if now.is_ok_and(|now| now.trim() == name) {
        return false;
    }
    // Over D-Bus: this service may not change the name of the machine itself.
    let command = Cmd::new(Tool::Hostnamectl)
        .args(["--no-ask-password", "hostname", name])
        .timeout(Duration::from_secs(30));
    match context.machine.runner.run(&command).await {
        Ok(_) => true,
        Err(error) => {
            context.events.log(STEP, format!("the host name could not be set: {error}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_one_harmless_label() {
        let name = short_name("ip-10-0-2-15.eu-west-1.compute.internal");
        assert_eq!(name.as_deref(), Some("ip-10-0-2-15"));
        for bad in ["", "-x", "a/b", "a;b.example", &"x".repeat(64)] {
            assert_eq!(short_name(bad), None, "{bad}");
        }
    }
}
