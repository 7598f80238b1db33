//! `RunInstances`.

use super::plan::Plan;
use super::shape;
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::launch::Launch;
use crate::sim::ec2::once::Once;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::specification::Specification;
use crate::sim::ec2::template::{Named, version};
use crate::sim::instance::Instance;
use crate::sim::random;
use crate::sim::region::Tags;
use crate::sim::volume::Volume;

/// So many instances can be had at once.
const MOST: u64 = 100;

/// What is asked for.
struct Asked {
    said: Specification,
    subnet: Option<String>,
    private_ip: Option<String>,
    count: u64,
    template: Option<(Named, String)>,
    once: Once,
}

impl Asked {
    fn of(query: &mut Query, call: &Call<'_>) -> Answer<Self> {
        let least = query.number("MinCount")?.ok_or_else(|| Refusal::missing("MinCount"))?;
        let count = query.number("MaxCount")?.ok_or_else(|| Refusal::missing("MaxCount"))?;
        if least == 0 || least > count {
            return Err(Refusal::value(format!(
                "Invalid value '{least}' for MinCount. It must be at least 1 and at most MaxCount"
            )));
        }
        if count > MOST {
            let message = format!("You have requested more instances ({count}) than your limit");
            return Err(Refusal::new("InstanceLimitExceeded", message));
        }
        let template = query.structure("LaunchTemplate").map(|mut template| {
            let named = Named::of(&mut template)?;
            let version = template.text("Version").unwrap_or_else(|| "$Default".to_owned());
            template.done()?;
            Ok((named, version))
        });
        Ok(Self {
            said: Specification::of(query)?,
            subnet: query.text("SubnetId"),
            private_ip: query.text("PrivateIpAddress"),
            count,
            template: template.transpose()?,
            once: Once::of(query, call)?,
        })
    }
}

/// See the module.
pub fn run(call: &mut Call<'_>, mut query: Query) -> Answer {
    let mut asked = Asked::of(&mut query, call)?;
    let dry_run = query.finish()?;
    if let Some(reservation) = asked.once.made(call)? {
        return Ok(shape::reservation(call, &reservation));
    }
    let mut template = None;
    if let Some((named, word)) = &asked.template {
        let region = call.here();
        let id = named.find(region)?;
        let found = &region.launch_templates[&id];
        let number = version(found, word)?;
        asked.said = asked.said.over(found.versions[&number].data.clone());
        template = Some((id, number));
    }
    let order = Order {
        said: &asked.said,
        subnet: asked.subnet.as_deref(),
        private_ip: asked.private_ip.as_deref(),
        count: asked.count,
        template: template.as_ref(),
        token: asked.once.token(),
    };
    let plan = order.plan(call)?;
    dry_run.end()?;
    let reservation = order.carry_out(call, &plan);
    asked.once.remember(call, &reservation);
    Ok(shape::reservation(call, &reservation))
}

/// What is launched, all decided by who launches.
#[derive(Debug)]
pub struct Order<'a> {
    /// What the instances are to be like.
    pub said: &'a Specification,
    /// Their subnet, where that is said apart.
    pub subnet: Option<&'a str>,
    /// Their address, where that is said apart.
    pub private_ip: Option<&'a str>,
    /// How many.
    pub count: u64,
    /// The template that they are launched from, and its version.
    pub template: Option<&'a (String, u64)>,
    /// The client's token.
    pub token: Option<&'a str>,
}

impl Order<'_> {
    /// What it comes to, where that can be had.
    pub fn plan(&self, call: &mut Call<'_>) -> Answer<Plan> {
        Plan::of(call, self.said, self.subnet, self.private_ip)
    }

    /// Launches, and tells the reservation that the instances are in.
    pub fn carry_out(&self, call: &mut Call<'_>, plan: &Plan) -> String {
        let reservation = format!("r-0{}", random::hex(16));
        for index in 0..self.count {
            let launch = launch(call, self, plan, &reservation, index);
            make(call, self.said, plan, launch);
        }
        let now = call.account.world();
        if let Some(image) = call.here().images.get_mut(&plan.image.id) {
            image.last_launched = Some(now);
        }
        reservation
    }
}

fn launch(
    call: &Call<'_>,
    order: &Order<'_>,
    plan: &Plan,
    reservation: &str,
    index: u64,
) -> Launch {
    let said = order.said;
    let host = call.account.instances().len() % 240 + 10;
    let private_ip = || format!("172.31.{}.{host}", plan.subnet.third);
    Launch {
        region: call.region.clone(),
        reservation: reservation.to_owned(),
        index,
        instance_type: plan.kind.name(),
        architecture: plan.image.architecture.clone(),
        boot_mode: plan.image.boot_mode.clone(),
        tpm_support: plan.image.tpm_support.clone(),
        root_device: plan.image.root_device.clone(),
        volumes: Vec::new(),
        key_name: plan.key.as_ref().map(|(name, _)| name.clone()),
        groups: plan.groups.clone(),
        vpc: plan.subnet.vpc.clone(),
        subnet: plan.subnet.id.clone(),
        zone: plan.subnet.zone.clone(),
        interface: Kind::NetworkInterface.fresh(),
        private_ip: plan.private_ip.clone().unwrap_or_else(private_ip),
        // A network for documentation: nobody is there.
        public_ip: plan.public.then(|| format!("203.0.113.{host}")),
        metadata: plan.metadata.clone(),
        shutdown: plan.shutdown,
        spot: plan.spot.map(|once| (Kind::SpotRequest.fresh(), once)),
        profile: plan.profile.clone(),
        template: order.template.cloned(),
        client_token: order.token.map(str::to_owned),
        ebs_optimized: said.ebs_optimized.unwrap_or_default(),
        monitoring: said.monitoring.unwrap_or_default(),
        disable_termination: said.disable_termination.unwrap_or_default(),
        disable_stop: said.disable_stop.unwrap_or_default(),
        console: String::new(),
        reboot: false,
    }
}

/// Makes the instance and its volumes.
fn make(call: &mut Call<'_>, said: &Specification, plan: &Plan, launch: Launch) {
    let tags = |kind: Kind| said.tags.get(kind.word()).cloned().unwrap_or_default();
    let mut instance = Instance::run(call.account.now(), &plan.image.id, launch);
    instance.user_data.clone_from(&plan.user_data);
    instance.public_key = plan.key.as_ref().map(|(_, key)| key.clone()).unwrap_or_default();
    instance.hibernation = said.hibernation.unwrap_or_default();
    instance.tags = tags(Kind::Instance);
    let created = call.account.world();
    let mut volumes = Vec::new();
    for disk in &plan.disks {
        let volume = Volume {
            id: Kind::Volume.fresh(),
            gib: disk.volume_gib,
            kind: disk.volume_type.clone(),
            iops: disk.iops,
            throughput: disk.throughput,
            encrypted: disk.encrypted,
            kms_key: disk.kms_key.clone(),
            snapshot: disk.snapshot.clone(),
            zone: plan.subnet.zone.clone(),
            created,
            tags: tags(Kind::Volume),
            instance: instance.id.clone(),
            device: disk.device.clone(),
            delete_on_termination: disk.delete_on_termination,
        };
        volumes.push(volume.id.clone());
        call.here().volumes.insert(volume.id.clone(), volume);
    }
    if let Some(launch) = &mut instance.launch {
        instance.tags.extend(launch.template.as_ref().map(template_tags).unwrap_or_default());
        launch.volumes = volumes;
    }
    call.account.add(instance);
}

/// EC2 tags an instance with the template that it was launched from.
fn template_tags((id, version): &(String, u64)) -> Tags {
    Tags::from([
        ("aws:ec2launchtemplate:id".to_owned(), id.clone()),
        ("aws:ec2launchtemplate:version".to_owned(), version.to_string()),
    ])
}
