//! Whether a call would be allowed: EC2 answers that without doing it. Changes nothing.
//!
//! Auto Scaling and Parameter Store have no such question.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{LaunchTemplateSpecification, RequestLaunchTemplateData, Tag};

use super::Failure;

/// What EC2 says where the call would be done.
const ALLOWED: &str = "DryRunOperation";

/// What comes of a question: nothing where it is allowed.
type Answer = Result<(), Failure>;

/// Whether a version may be added to a launch template (`lt-…`).
pub async fn add_version(config: &SdkConfig, template: &str, source: i64, image: &str) -> Answer {
    let call = Client::new(config)
        .create_launch_template_version()
        .launch_template_id(template)
        .source_version(source.to_string())
        .launch_template_data(RequestLaunchTemplateData::builder().image_id(image).build())
        .dry_run(true);
    let answer = call.send().await.map(drop);
    allowed(answer.map_err(|error| Failure::new("ec2:CreateLaunchTemplateVersion", &error)))
}

/// Whether the default version of a launch template may be moved.
pub async fn set_default(config: &SdkConfig, template: &str, number: i64) -> Answer {
    let call = Client::new(config)
        .modify_launch_template()
        .launch_template_id(template)
        .default_version(number.to_string())
        .dry_run(true);
    let answer = call.send().await.map(drop);
    allowed(answer.map_err(|error| Failure::new("ec2:ModifyLaunchTemplate", &error)))
}

/// Whether an instance may be given a tag.
pub async fn tag(config: &SdkConfig, instance: &str, key: &str, value: &str) -> Answer {
    let tag = Tag::builder().key(key).value(value).build();
    let call = Client::new(config).create_tags().resources(instance).tags(tag).dry_run(true);
    let answer = call.send().await.map(drop);
    allowed(answer.map_err(|error| Failure::new("ec2:CreateTags", &error)))
}

/// Whether a tag may be taken from an instance.
pub async fn untag(config: &SdkConfig, instance: &str, key: &str) -> Answer {
    let tag = Tag::builder().key(key).build();
    let call = Client::new(config).delete_tags().resources(instance).tags(tag).dry_run(true);
    let answer = call.send().await.map(drop);
    allowed(answer.map_err(|error| Failure::new("ec2:DeleteTags", &error)))
}

/// Whether an instance could be launched from a template with another image. A group launches
/// nothing that whoever changes it could not launch.
pub async fn launch(
    config: &SdkConfig,
    template: &str,
    version: i64,
    image: &str,
    subnet: Option<&str>,
) -> Answer {
    let from = LaunchTemplateSpecification::builder()
        .launch_template_id(template)
        .version(version.to_string())
        .build();
    let call = Client::new(config)
        .run_instances()
        .launch_template(from)
        .image_id(image)
        .set_subnet_id(subnet.map(str::to_owned))
        .min_count(1)
        .max_count(1)
        .dry_run(true);
    let answer = call.send().await.map(drop);
    allowed(answer.map_err(|error| Failure::new("ec2:RunInstances", &error)))
}

fn allowed(answer: Answer) -> Answer {
    answer.or_else(|failure| match failure.code() {
        Some(ALLOWED) => Ok(()),
        _ => Err(failure),
    })
}
