//! Instance types: what an image must be to run on one.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, EnaSupport, InstanceType, ProcessorInfo, VCpuInfo};

use super::Failure;

/// What EC2 says of a type that there is none of.
pub const UNKNOWN: &str = "InvalidInstanceType";

/// A type of instances, as far as an image must fit it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Type {
    /// `m5.large`
    pub name: String,
    /// The processors that it runs: `x86_64`, `arm64`.
    pub architectures: Vec<String>,
    /// The firmware that it has: `legacy-bios`, `uefi`.
    pub boot_modes: Vec<String>,
    /// Whether it has no other network card than ENA.
    pub needs_ena: bool,
    /// How many virtual processors it has, where nobody says otherwise; 0 where EC2 does not say.
    pub vcpus: u32,
}

/// Types by their names. One that is not there is refused with [`UNKNOWN`].
pub async fn describe(config: &SdkConfig, names: &[String]) -> Result<Vec<Type>, Failure> {
    let names = names.iter().map(|name| InstanceType::from(name.as_str())).collect();
    let answer = Client::new(config).describe_instance_types().set_instance_types(Some(names));
    let answer = answer.send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeInstanceTypes", &error))?;
    Ok(answer.instance_types().iter().filter_map(read).collect())
}

fn read(told: &types::InstanceTypeInfo) -> Option<Type> {
    let processor = told.processor_info();
    let architectures = processor.map(ProcessorInfo::supported_architectures).unwrap_or_default();
    let ena = told.network_info().and_then(|it| it.ena_support());
    let vcpus = told.v_cpu_info().and_then(VCpuInfo::default_v_cpus);
    Some(Type {
        name: told.instance_type()?.as_str().to_owned(),
        architectures: architectures.iter().map(|it| it.as_str().to_owned()).collect(),
        boot_modes: told.supported_boot_modes().iter().map(|it| it.as_str().to_owned()).collect(),
        needs_ena: ena == Some(&EnaSupport::Required),
        vcpus: vcpus.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
    })
}
