//! What a group does by itself, suspended and resumed: `ReplaceUnhealthy`, `HealthCheck`, …

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;

use super::Failure;

/// Has a group not do these any more.
pub async fn suspend(config: &SdkConfig, group: &str, processes: &[String]) -> Result<(), Failure> {
    let call = Client::new(config).suspend_processes().auto_scaling_group_name(group);
    let answer = call.set_scaling_processes(Some(named(processes))).send().await;
    answer.map(drop).map_err(|error| Failure::new("autoscaling:SuspendProcesses", &error))
}

/// Has it do them again.
pub async fn resume(config: &SdkConfig, group: &str, processes: &[String]) -> Result<(), Failure> {
    let call = Client::new(config).resume_processes().auto_scaling_group_name(group);
    let answer = call.set_scaling_processes(Some(named(processes))).send().await;
    answer.map(drop).map_err(|error| Failure::new("autoscaling:ResumeProcesses", &error))
}

/// Without any name AWS takes all of them.
fn named(processes: &[String]) -> Vec<String> {
    debug_assert!(!processes.is_empty(), "no name means all of them");
    processes.to_vec()
}
