//! Who this instance is.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::{Context, Known};
use super::texts::texts;
use crate::aws::imds::{self, Imds};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::{Identity, LifeCycle, Partition};
use crate::host;
use crate::sys::{atomic, journal};

const STEP: &str = "identity";
const NAME: &str = "/2021-03-23/meta-data/local-hostname";
const LIFE_CYCLE: &str = "/2021-03-23/meta-data/instance-life-cycle";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let imds = Imds::new(machine.imds.as_deref(), machine.imds_budget)?;
    let (events, boot_id) = (&context.events, &context.facts.boot_id);
    let (identity, texts) =
        futures::join!(ask(&imds, events, boot_id), texts(&imds, &context.config_file));
    let identity = identity?;
    let layers = texts.layers(context.config_file.as_str());
    let (aws, asg) = (host::section(&layers, "aws"), host::section(&layers, "asg"));
    let json = serde_json::to_vec(&identity).expect("an identity has only string keys");
    journal::name_instance(&identity.instance_id);
    let cached = atomic::write(&machine.path(Identity::PATH), &json, 0o644)
        .context("writing /run/hostkit/identity.json")?;
    context.events.log(STEP, format!("{} in {}", identity.instance_id, identity.availability_zone));
    let first = context.known.set(Known { identity, imds, texts, aws, asg }).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::changed(cached))
}

/// Everything at the same time, so that it takes as long as its slowest part.
async fn ask(imds: &Imds, events: &Events, boot_id: &str) -> anyhow::Result<Identity> {
    // A service that is some seconds late is normal; one that stays silent is worth a line.
    let waiting = |cause: &str| {
        events.log(STEP, format!("the metadata service does not answer yet: {cause}"));
    };
    let (document, zone_id, name, life_cycle) = futures::join!(
        imds.document(waiting),
        imds.zone_id(),
        imds.get(NAME, |_| {}),
        imds.get(LIFE_CYCLE, |_| {}),
    );
    let document = document?;
    let partition = match Partition::of_region(&document.region) {
        Some(partition) => partition,
        None => partition(imds, &document.region).await?,
    };
    let address = document.private_ip.to_string().replace('.', "-");
    Ok(Identity {
        hostname: name?.and_then(|name| short_name(&name)).unwrap_or(format!("ip-{address}")),
        instance_id: document.instance_id,
        account_id: document.account_id,
        region: document.region,
        partition,
        availability_zone: document.availability_zone,
        availability_zone_id: zone_id?,
        image_id: document.image_id,
        instance_type: document.instance_type,
        architecture: document.architecture,
        life_cycle: life_cycle?.as_deref().and_then(LifeCycle::named),
        private_ip: document.private_ip,
        launched: document.pending_time,
        boot_id: boot_id.to_owned(),
    })
}

/// The partition of a region that is newer than this program.
async fn partition(client: &Imds, region: &str) -> anyhow::Result<Partition> {
    let service = |what: &str| format!("{}/meta-data/services/{what}", imds::PINNED);
    let (name, domain) = (service("partition"), service("domain"));
    let (name, domain) =
        futures::join!(client.require(&name, |_| {}), client.require(&domain, |_| {}));
    let partition = Partition::new(name?.trim(), domain?.trim());
    let unknown = || Fault::environment(format!("nothing is known of the partition of {region}"));
    Ok(partition.ok_or_else(unknown)?)
}

/// The first label of a private DNS name: what `hostname` prints. The domain is DHCP's business.
fn short_name(name: &str) -> Option<String> {
    let label = name.split_whitespace().next()?.split('.').next()?;
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = (1..=63).contains(&label.len()) && label.chars().all(valid);
    (good && !label.starts_with('-')).then(|| label.to_owned())
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
