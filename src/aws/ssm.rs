//! Systems Manager Parameter Store.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use zeroize::Zeroizing;

use super::Failure;
use crate::secret;

/// Values of parameters. `Debug` shows their names only.
#[derive(Default)]
pub struct Values(HashMap<String, Zeroizing<String>>);

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// The value of a parameter that was asked for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }
}

/// What Parameter Store has of what was asked for.
#[derive(Debug)]
pub struct Found {
    /// The parameters that exist.
    pub values: Values,
    /// The names that do not. AWS does not call this an error.
    pub missing: Vec<String>,
}

/// Gets up to ten parameters, decrypted, in one call.
pub async fn parameters(config: &SdkConfig, names: &[&str]) -> Result<Found, Failure> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    let answer = Client::new(config)
        .get_parameters()
        .set_names(Some(names))
        .with_decryption(true)
        .send()
        .await
        .map_err(|error| Failure::new("ssm:GetParameters", &error))?;
    let missing = answer.invalid_parameters().to_vec();
    let values = answer
        .parameters
        .unwrap_or_default()
        .into_iter()
        .filter_map(|parameter| {
            if parameter.r#type == Some(ParameterType::SecureString) {
                secret::learn(parameter.value.as_deref().unwrap_or_default());
            }
            // As it was asked for: with the version or label behind the name.
            let name = parameter.name? + &parameter.selector.unwrap_or_default();
            Some((name, Zeroizing::new(parameter.value?)))
        })
        .collect();
    Ok(Found { values: Values(values), missing })
}

/// Says which image a parameter points to: of the data type `aws:ec2:image`, so that launch templates
/// can name it, and made if it is not there. Returns the version.
///
/// AWS looks at the image only after it has answered, and forgets the value if it cannot be launched:
/// whoever needs to know reads it back.
pub async fn point(
    config: &SdkConfig,
    name: &str,
    image_id: &str,
    description: &str,
) -> Result<i64, Failure> {
    let call = Client::new(config)
        .put_parameter()
        .name(name)
        .value(image_id)
        .description(description)
        .r#type(ParameterType::String)
        .data_type("aws:ec2:image")
        .overwrite(true);
    let answer = call.send().await.map_err(|error| Failure::new("ssm:PutParameter", &error))?;
    Ok(answer.version())
}

/// Writes `text` into a plain parameter, which is made if it is not there.
pub async fn write(config: &SdkConfig, name: &str, text: &str) -> Result<(), Failure> {
    Client::new(config)
        .put_parameter()
        .name(name)
        .value(text)
        .r#type(ParameterType::String)
        .overwrite(true)
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("ssm:PutParameter", &error))
}
