//! What holds of all of an account in a region.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;

use super::Failure;

/// Whether every new snapshot and volume is encrypted, whatever was asked.
pub async fn encrypts_by_default(config: &SdkConfig) -> Result<bool, Failure> {
    let answer = Client::new(config).get_ebs_encryption_by_default().send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:GetEbsEncryptionByDefault", &error))?;
    Ok(answer.ebs_encryption_by_default().unwrap_or(false))
}
