//! Parameters that may name images: no secrets, so that nothing is decrypted.

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;

use crate::aws::Failure;

/// The most that Parameter Store gives in one page of a path.
const PAGE: i32 = 10;
/// The most that it gives of a history.
const HISTORY_PAGE: i32 = 50;
/// So many parameters may one call name.
const NAMES: usize = 10;

/// A parameter, in one of its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; with what it was asked for by behind it (`:3`, `:label`).
    pub name: String,
    /// Its value; empty where that is a secret.
    pub value: String,
    /// Its ARN, with the same behind it.
    pub arn: Option<String>,
}

impl Parameter {
    /// Whether it is what somebody asked for by its name or its ARN, and a version or label if any.
    pub fn is_called(&self, asked: &str) -> bool {
        self.name == asked || self.arn.as_deref() == Some(asked)
    }
}

/// Everything below a path, at any depth.
pub async fn below(config: &SdkConfig, path: &str) -> Result<Vec<Parameter>, Failure> {
    let call = Client::new(config).get_parameters_by_path().path(path).recursive(true);
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut parameters = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ssm:GetParametersByPath", &error))?;
        parameters.extend(page.parameters().iter().filter_map(read));
    }
    Ok(parameters)
}

/// All versions of a parameter that are recorded; none if there is no such parameter.
pub async fn history(config: &SdkConfig, name: &str) -> Result<Vec<Parameter>, Failure> {
    let call = Client::new(config).get_parameter_history().name(name);
    let mut pages = call.into_paginator().page_size(HISTORY_PAGE).send();
    let mut parameters = Vec::new();
    while let Some(page) = pages.next().await {
        match page.map_err(|error| Failure::new("ssm:GetParameterHistory", &error)) {
            Ok(page) => parameters.extend(page.parameters().iter().filter_map(|parameter| {
                let version = parameter.version();
                let value = parameter.value().unwrap_or_default().to_owned();
                let name = format!("{}:{version}", parameter.name()?);
                Some(Parameter { name, value, arn: None })
            })),
            Err(failure) if failure.code() == Some("ParameterNotFound") => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(parameters)
}

/// Parameters by their names, with versions or labels behind them. What is not there is left out.
pub async fn values(config: &SdkConfig, names: &[String]) -> Result<Vec<Parameter>, Failure> {
    let client = Client::new(config);
    let mut parameters = Vec::new();
    for names in names.chunks(NAMES) {
        let answer = client.get_parameters().set_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| Failure::new("ssm:GetParameters", &error))?;
        parameters.extend(answer.parameters().iter().filter_map(read));
    }
    Ok(parameters)
}

fn read(parameter: &aws_sdk_ssm::types::Parameter) -> Option<Parameter> {
    let secret = parameter.r#type() == Some(&ParameterType::SecureString);
    let value = if secret { "" } else { parameter.value().unwrap_or_default() };
    let selector = parameter.selector().unwrap_or_default();
    let name = parameter.name()?.to_owned() + selector;
    let arn = parameter.arn().map(|arn| arn.to_owned() + selector);
    Some(Parameter { name, value: value.to_owned(), arn })
}
