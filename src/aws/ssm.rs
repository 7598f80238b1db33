//! Systems Manager Parameter Store.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::Failure;
use super::clock::Listener;
use crate::secret;

/// One call may name this many parameters.
pub const BATCH: usize = 10;

/// The longest pause before the second attempt; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A parameter in one of its versions. `Debug` does not show its value.
pub struct Parameter {
    /// Its value, in the clear.
    pub value: Zeroizing<String>,
    /// Whether it is a `SecureString`: the others are plain to everybody who may read parameters.
    pub is_secret: bool,
    /// When this version was written, by AWS's clock.
    pub written: Option<Timestamp>,
    /// How long before the answer that was, by AWS's clock alone; absent where the answer has no time.
    pub age: Option<Duration>,
    /// The number of this version, from 1.
    pub number: i64,
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter").field("is_secret", &self.is_secret).finish_non_exhaustive()
    }
}

/// Values of parameters. `Debug` shows their names only.
#[derive(Default)]
pub struct Values(HashMap<String, Parameter>);

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// The value of a parameter that was asked for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|parameter| parameter.value.as_str())
    }

    /// A parameter that was asked for.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
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

/// Gets parameters, decrypted: ten with each call.
pub async fn parameters(config: &SdkConfig, names: &[&str]) -> Result<Found, Failure> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    let client = Client::new(config);
    let mut all = Found { values: Values::default(), missing: Vec::new() };
    for batch in names.chunks(BATCH) {
        let found = batch_of(&client, batch).await?;
        all.values.0.extend(found.values.0);
        all.missing.extend(found.missing);
    }
    Ok(all)
}

async fn batch_of(client: &Client, names: &[String]) -> Result<Found, Failure> {
    let listener = Listener::default();
    let answer = client
        .get_parameters()
        .set_names(Some(names.to_vec()))
        .with_decryption(true)
        .customize()
        .interceptor(listener.clone())
        .send()
        .await
        .map_err(|error| Failure::new("ssm:GetParameters", &error))?;
    let heard = listener.heard();
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
            let selector = parameter.selector.unwrap_or_default();
            let name = parameter.name? + &selector;
            let arn = parameter.arn.unwrap_or_default() + &selector;
            let name = if names.contains(&arn) { arn } else { name };
            let written = parameter.last_modified_date;
            let written =
                written.and_then(|at| Timestamp::from_millisecond(at.to_millis().ok()?).ok());
            let is_secret = parameter.r#type == Some(ParameterType::SecureString);
            let value = Zeroizing::new(parameter.value?);
            // An answer's time is to the second, so that it may be before what it tells of.
            let age = heard.zip(written).map(|(now, written)| now.duration_since(written));
            let age = age.map(|age| Duration::try_from(age).unwrap_or_default());
            Some((name, Parameter { value, is_secret, written, age, number: parameter.version }))
        })
        .collect();
    Ok(Found { values: Values(values), missing })
}

/// As [`parameters`], and what passes (throttling, 5xx, no answer) is borne for `budget`.
///
/// A whole fleet may ask at the same moment, so that Parameter Store throttles it, and each host of it
/// waits for a time of its own: anything between nothing and a bound that doubles. The SDK's own
/// retries are off; they would end too early.
pub async fn patiently(
    config: &SdkConfig,
    names: &[&str],
    budget: Duration,
) -> Result<Found, Failure> {
    let config = config.to_builder().retry_config(RetryConfig::disabled()).build();
    let deadline = Instant::now() + budget;
    let mut bound = FIRST_PAUSE.min(budget);
    loop {
        let failure = match timeout_at(deadline, parameters(&config, names)).await {
            Ok(Err(failure)) if failure.is_passing() => failure,
            Ok(end) => return end,
            Err(_elapsed) => return Err(silent(budget)),
        };
        let pause = bound.mul_f64(fastrand::f64());
        if Instant::now() + pause >= deadline {
            return Err(failure);
        }
        tracing::debug!(%failure, ?pause, "Parameter Store is asked again");
        tokio::time::sleep(pause).await;
        bound = (bound * 2).min(LONGEST_PAUSE);
    }
}

fn silent(budget: Duration) -> Failure {
    let cause = format!("nothing came within {:.0} s", budget.as_secs_f64());
    Failure::NoAnswer { call: "ssm:GetParameters", cause }
}

/// What a new parameter is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A `String`.
    Plain,
    /// A `SecureString`, encrypted with this key of KMS, or the account's own for parameters.
    Secret(Option<&'a str>),
}

/// Makes a parameter. One that is there already is left alone, and the call refused with the code
/// `ParameterAlreadyExists`.
pub async fn create(
    config: &SdkConfig,
    name: &str,
    value: &str,
    kind: Kind<'_>,
    description: &str,
) -> Result<(), Failure> {
    let call = Client::new(config).put_parameter().name(name).value(value).description(description);
    let call = match kind {
        Kind::Plain => call.r#type(ParameterType::String),
        Kind::Secret(key) => {
            call.r#type(ParameterType::SecureString).set_key_id(key.map(str::to_owned))
        }
    };
    let made = call.overwrite(false).send().await;
    made.map(drop).map_err(|error| Failure::new("ssm:PutParameter", &error))
}

/// Gives a parameter another value, and leaves its type and its key as they are.
pub async fn replace(config: &SdkConfig, name: &str, value: &str) -> Result<(), Failure> {
    // A secret that is written without a key is encrypted with the account's own from then on.
    let key = key_of(config, name).await?;
    let call = Client::new(config).put_parameter().name(name).value(value).set_key_id(key);
    let written = call.overwrite(true).send().await;
    written.map(drop).map_err(|error| Failure::new("ssm:PutParameter", &error))
}

/// The key of KMS that a parameter is encrypted with; none where it is plain.
pub async fn key_of(config: &SdkConfig, name: &str) -> Result<Option<String>, Failure> {
    let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
    let filter = filter.expect("it has a key");
    let call = Client::new(config).describe_parameters().parameter_filters(filter);
    let mut pages = call.into_paginator().send();
    // A page may be empty and have another one after it.
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ssm:DescribeParameters", &error))?;
        if let Some(parameter) = page.parameters().first() {
            return Ok(parameter.key_id.clone());
        }
    }
    Ok(None)
}

/// Removes a parameter. One that is gone already is no failure.
pub async fn remove(config: &SdkConfig, name: &str) -> Result<(), Failure> {
    let gone = Client::new(config).delete_parameter().name(name).send().await;
    match gone.map_err(|error| Failure::new("ssm:DeleteParameter", &error)) {
        Err(failure) if failure.code() == Some("ParameterNotFound") => Ok(()),
        gone => gone.map(drop),
    }
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

/// As [`write`], and returns the number of the version that was written: the writer's only way to see
/// that nobody else has written in between.
pub async fn write_numbered(config: &SdkConfig, name: &str, text: &str) -> Result<i64, Failure> {
    let call = Client::new(config).put_parameter().name(name).value(text);
    let answer = call.r#type(ParameterType::String).overwrite(true).send().await;
    answer.map(|answer| answer.version()).map_err(|error| Failure::new("ssm:PutParameter", &error))
}

/// A parameter as it is now; `None` where there is none.
pub async fn parameter(config: &SdkConfig, name: &str) -> Result<Option<Parameter>, Failure> {
    let mut found = parameters(config, &[name]).await?;
    Ok(found.values.0.remove(name))
}
